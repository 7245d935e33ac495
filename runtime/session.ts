// One folder. The session reads what the host writes and feeds the executor; many sessions can live in one process.
//
//   look     anything new? walk forward from where the last walk ended, page by page                     (event, poll)
//   patrol   walk again, slowly, over what the walk has passed: a row that the host changed there, or that this runtime
//            had to forget for lack of memory, is found within one lap                                    (poll)
//   mark     how far the walk has come, written down now and then, so that the next start need not begin at the beginning
//
// What becomes of a row that is found stands in admission.ts.
import { Admission, type AdmissionLimits, type PendingRow, type Router } from './admission.ts'
import type { Clock, Timer } from './clock.ts'
import type { Executor, Intake } from './execute.ts'
import type { Events } from './protocol/events.ts'
import type { History, Mark, RawId } from './protocol/turn.ts'
import { Reading, type ReadingParts } from './reading.ts'
import type { Entry, Lanes } from './schedule/lanes.ts'

export type { PendingRow, Router } from './admission.ts'

export interface Cursor {
  readonly seq: number
  readonly rowid: number
}

export interface Page {
  readonly rows: readonly PendingRow[]
  readonly cursor: Cursor
  readonly end: boolean
}

export interface InboundFile {
  changed(doubt: boolean): 'no' | 'yes' | 'replaced'
  getPendingMessages(after: Cursor, limit: number, withContent: boolean): Page
  getPendingByIds(ids: readonly string[], withContent: boolean): readonly PendingRow[]
  maxSeq(): number
  rawId(rowid: number): RawId | null
}

export interface SessionLimits extends AdmissionLimits {
  /** Entries in lanes; above that the walk waits. About 300 bytes each, content not included. */
  readonly readyMax: number
  /** Messages up to the mark that may be open: the price of a start is to look at each of them. */
  readonly openMax: number
}

export interface SessionParts {
  readonly limits: SessionLimits
  readonly clock: Clock
  readonly events: Events
  readonly inbound: InboundFile
  readonly history: (ids: readonly string[]) => ReadonlyMap<string, History>
  readonly lanes: Lanes
  /** Before every row. */
  readonly start: Cursor
  readonly mark: Mark
  readonly maxContentBytes: number
  readonly pollMs: number
  readonly classify: ReadingParts['classify']
  /** inbound.db, for people. */
  readonly path: string
}

export const SESSION_LIMITS: SessionLimits = {
  page: 500,
  readyMax: 20_000,
  laterMax: 20_000,
  heldMax: 10_000,
  openMax: 1_000,
}
const MARK_EVERY_MS = 1_000
/** With so many in the lanes the walk goes on at leisure, a page in each pause: what waits for long costs the garbage collector. */
const [AHEAD, LEISURE_MS] = [2_000, 10]

export class Session implements Intake {
  readonly #parts: SessionParts
  readonly #admission: Admission
  readonly #reading: Reading
  // Each by one name, so that a read that waits for its turn waits once.
  readonly #lookOn = () => this.#look()
  readonly #walkOn = () => this.#walk()
  readonly #patrolOn = () => this.#patrol()
  #executor: Executor | undefined
  #walked: Cursor
  #doubt = false
  #walking = false
  #firstWalk = true
  /** Rows up to here may be on record in outbound.db already; those behind it are new to everybody. */
  #recordedUpTo = Number.POSITIVE_INFINITY
  #patrolling = false
  #patrolAgain = true
  #firstPatrol = true
  #patrolled: Cursor
  #patrolTo: Cursor
  #markedAtMs = 0
  #marked: number
  #step: Timer | undefined
  #poll: Timer | undefined
  #stopped = false

  constructor(parts: SessionParts, router: Router) {
    this.#parts = parts
    this.#walked = { ...parts.start, seq: parts.mark.seq }
    this.#patrolled = parts.start
    this.#patrolTo = parts.start
    this.#marked = parts.mark.seq
    this.#reading = new Reading({
      ...parts,
      onReadable: () => this.#executor?.nudge(),
    })
    this.#admission = new Admission(
      {
        ...parts,
        rowsOf: (ids, withContent) => parts.inbound.getPendingByIds(ids, withContent),
        rawId: (rowid) => parts.inbound.rawId(rowid),
        read: (read) => this.#reading.do(read, 'first'),
        onGone: () => this.#goOn(),
        onForgotten: () => this.#patrolFromStart(),
      },
      router,
    )
  }

  start(executor: Executor): void {
    this.#executor = executor
    this.#admission.start(executor)
    this.look('now')
    this.#armPoll()
  }

  stop(): void {
    this.#stopped = true
    this.#step?.cancel()
    this.#poll?.cancel()
    this.#reading.stop()
    this.#admission.stop()
  }

  /** How many messages wait for a function, by kind. */
  unroutable(): Record<string, number> {
    return this.#admission.unroutable()
  }

  /** What keeps the file from being read, if anything does. */
  get waitingFor(): string | undefined {
    return this.#reading.waitingFor
  }

  /** `now`: somebody says that the file has changed (see Reading); `doubt`: nobody does, but look with fresh eyes. */
  look(why: 'now' | 'doubt'): void {
    this.#doubt ||= why === 'doubt'
    this.#reading.do(this.#lookOn, why === 'doubt' ? 'in-turn' : why)
  }

  /** The functions are others now: what waits is routed anew. */
  reroute(router: Router): void {
    this.#admission.reroute(router)
  }

  gone(entry: Entry): void {
    this.#admission.gone(entry)
  }

  lost(entry: Entry): void {
    this.#admission.lost(entry)
  }

  waits(entry: Entry): void {
    this.#admission.waits(entry)
  }

  lookAgain(entry: Entry): void {
    this.#admission.lookAgain(entry)
  }

  isCurrent(entry: Entry): boolean {
    return this.#admission.isCurrent(entry)
  }

  /** The executor could not read what it was about to run. */
  readFailed(error: unknown): void {
    this.#reading.failed(error)
  }

  mark(nowMs: number): Mark | null {
    if (nowMs - this.#markedAtMs < MARK_EVERY_MS || this.#walked.seq === this.#marked) return null
    this.#markedAtMs = nowMs
    return this.currentMark()
  }

  /** What a start may skip: as far as the walk has come, or less when too many messages are open. */
  currentMark(): Mark {
    const { mark, limits } = this.#parts
    // Nobody has read yet what the mark says of this file; a stop at this point must not unsay it.
    if (this.#firstWalk && this.#walked.seq === mark.seq) return mark
    const { openMax } = limits
    const open = this.#admission.openUpTo(this.#walked.seq)
    const first = open.length <= openMax ? open : open.sort(([, a], [, b]) => a - b).slice(0, openMax)
    this.#marked = open.length <= openMax ? this.#walked.seq : (first.at(-1)?.[1] ?? 0)
    return { seq: this.#marked, open: first.map(([id]) => id) }
  }

  #look(): void {
    const changed = this.#parts.inbound.changed(this.#doubt)
    this.#doubt = false
    if (changed === 'replaced') this.#startOver()
    if (changed !== 'no') {
      this.#patrolAgain = true
      this.#walking = true
    }
    this.#walk()
  }

  #walk(): void {
    const { inbound, mark, lanes, start, limits } = this.#parts
    if (!this.#walking || lanes.size >= limits.readyMax) return
    if (this.#firstWalk && this.#walked.seq === mark.seq) {
      // A file that ends before the mark is not the one that the mark was made for.
      if (inbound.maxSeq() < mark.seq) this.#walked = start
      else this.#admission.admit(inbound.getPendingByIds(mark.open, this.#admission.readsContent), true, true)
    }
    const { rows, cursor, end } = this.#page(this.#walked)
    this.#admission.admit(rows, this.#walked.seq < this.#recordedUpTo, this.#firstWalk)
    this.#walked = cursor
    if (!end) return this.#stepSoon()
    this.#walking = false
    if (this.#firstWalk) this.#recordedUpTo = cursor.seq
    this.#firstWalk = false
  }

  /** A full stop of the walk for lack of room ends when half of the lanes' entries are gone. */
  #goOn(): void {
    if (this.#walking && this.#parts.lanes.size < this.#parts.limits.readyMax / 2) this.#stepSoon()
  }

  #stepSoon(): void {
    if (this.#stopped || this.#step) return
    const { clock, lanes } = this.#parts
    const step = () => {
      this.#step = undefined
      this.#reading.do(this.#walkOn)
    }
    this.#step = lanes.size < AHEAD ? clock.soon(step) : clock.after(LEISURE_MS, step)
  }

  #patrol(): void {
    if (this.#walking || this.#firstWalk) return
    if (!this.#patrolling) {
      if (!this.#patrolAgain) return
      this.#patrolAgain = false
      this.#patrolling = true
      this.#patrolled = this.#parts.start
      this.#patrolTo = this.#walked
    }
    const { rows, cursor, end } = this.#page(this.#patrolled)
    const last = this.#patrolTo
    const passed = rows.filter(({ seq, rowid }) => (seq === null ? rowid <= last.rowid : seq <= last.seq))
    this.#admission.admit(passed, true, this.#firstPatrol)
    this.#patrolled = cursor
    if (!end && (cursor.seq < last.seq || cursor.rowid < last.rowid)) return
    this.#patrolling = false
    this.#firstPatrol = false
  }

  #patrolFromStart(): void {
    this.#patrolling = false
    this.#patrolAgain = true
  }

  #startOver(): void {
    this.#admission.startOver()
    this.#walked = this.#parts.start
    this.#recordedUpTo = Number.POSITIVE_INFINITY
    this.#patrolFromStart()
  }

  #page(after: Cursor): Page {
    const { inbound, limits } = this.#parts
    return inbound.getPendingMessages(after, limits.page, this.#admission.readsContent)
  }

  #armPoll(): void {
    if (this.#stopped) return
    this.#poll = this.#parts.clock.after(this.#parts.pollMs, () => {
      this.look('doubt')
      this.#reading.do(this.#patrolOn)
      this.#armPoll()
    })
  }
}
