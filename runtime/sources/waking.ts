// Messages whose handlers wait are in outbound.db alone: no memory, no place in a lane. Here they come back:
// at their time, when an answer has woken them, and after a start, as far as their waits have ended
// meanwhile.
import type { Clock, Timer } from '../protocol/clock.ts'
import type { WaitQueries } from '../protocol/waits.ts'

export interface WakingParts {
  readonly clock: Clock
  readonly waits: Pick<WaitQueries, 'holding' | 'ready' | 'due' | 'nextAtMs'>
  /** Messages brought back in one go. */
  readonly pageRows: number
  /** Finds each of these its place, and one that keeps its lane waiting goes on waiting. */
  readonly bring: (ids: readonly string[]) => void
  /** Something that they wait for has come. One that throws has woken none, or is repeated for all. */
  readonly wake: (ids: readonly string[]) => void
  /** There is something to bring back. */
  readonly onDue: () => void
}

/** The wall clock may be set while a timer is on, so no timer is longer. */
const LOOK_AGAIN_MS = 60_000

export class Waking {
  readonly #parts: WakingParts
  readonly #woken = new Set<string>()
  /** The start reads those that are ready, behind this id; undefined: it has read all of them. */
  #readyAfter: string | undefined = ''
  #isHeld = false
  /** Those whose time came until then have been brought back. */
  #upToMs = Number.MIN_SAFE_INTEGER
  #afterId = ''
  #isDue = true
  #nextAtMs = Number.POSITIVE_INFINITY
  #timer: Timer | undefined
  #stopped = false

  constructor(parts: WakingParts) {
    this.#parts = parts
  }

  /** Something is to be brought back. */
  get isWanted(): boolean {
    return this.#isDue || this.#woken.size > 0 || this.#readyAfter !== undefined
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** Another inbound.db: what had been brought back is not in memory any more. */
  startOver(): void {
    this.#isHeld = false
    this.#readyAfter = ''
    this.#upToMs = Number.MIN_SAFE_INTEGER
    this.#afterId = ''
    this.#isDue = true
  }

  /** Its handler waits until then, at most. */
  suspended(id: string, wakeAtMs: number): void {
    const nowMs = this.#parts.clock.now()
    if (wakeAtMs <= nowMs) return this.wake([id])
    // The clock was set back: what is due between is looked at once more.
    if (wakeAtMs <= this.#upToMs) this.#walkFrom(wakeAtMs - 1)
    if (wakeAtMs < this.#nextAtMs) this.#arm(wakeAtMs)
  }

  wake(ids: readonly string[]): void {
    for (const id of ids) this.#woken.add(id)
    this.#parts.onDue()
  }

  /**
   * Those that keep their lanes waiting: before anything else of the file, since nothing of their keys may
   * run.
   */
  hold(): void {
    if (this.#isHeld) return
    const { waits, pageRows, bring } = this.#parts
    for (let after = '', isMore = true; isMore; ) {
      const ids = waits.holding(after, pageRows)
      if (ids.length > 0) bring(ids)
      after = ids.at(-1) ?? after
      isMore = ids.length === pageRows
    }
    this.#isHeld = true
  }

  /** A page of each kind. */
  bringPage(): void {
    if (this.#woken.size > 0) this.#bringWoken()
    if (this.#readyAfter !== undefined) this.#bringReady(this.#readyAfter)
    if (this.#isDue) this.#bringDue()
  }

  #bringWoken(): void {
    const ids = [...this.#woken].slice(0, this.#parts.pageRows)
    this.#parts.wake(ids)
    for (const id of ids) this.#woken.delete(id)
  }

  #bringReady(after: string): void {
    const { waits, pageRows, wake } = this.#parts
    const ids = waits.ready(after, pageRows)
    if (ids.length > 0) wake(ids)
    this.#readyAfter = ids.length < pageRows ? undefined : ids.at(-1)
  }

  #bringDue(): void {
    const { clock, waits, pageRows, wake } = this.#parts
    const nowMs = clock.now()
    const due = waits.due({ wakeAtMs: this.#upToMs, id: this.#afterId }, nowMs, pageRows)
    if (due.length > 0) wake(due.map(({ id }) => id))
    const last = due.at(-1)
    if (last && due.length === pageRows) {
      this.#upToMs = last.wakeAtMs
      this.#afterId = last.id
      return
    }
    const nextAtMs = waits.nextAtMs(nowMs)
    this.#upToMs = nowMs
    this.#afterId = LAST_ID
    this.#isDue = false
    this.#arm(nextAtMs ?? Number.POSITIVE_INFINITY)
  }

  #walkFrom(upToMs: number): void {
    this.#upToMs = upToMs
    this.#afterId = LAST_ID
  }

  #arm(nextAtMs: number): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#nextAtMs = nextAtMs
    if (this.#stopped || nextAtMs === Number.POSITIVE_INFINITY) return
    const { clock, onDue } = this.#parts
    this.#timer = clock.after(Math.min(Math.max(nextAtMs - clock.now(), 0), LOOK_AGAIN_MS), () => {
      if (clock.now() < this.#nextAtMs) return this.#arm(this.#nextAtMs)
      this.#timer = undefined
      this.#isDue = true
      onDue()
    })
  }
}

/** Behind every id: no text of SQLite sorts after it. */
const LAST_ID = '\u{10ffff}'
