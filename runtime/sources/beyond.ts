// What lies beyond the scan while the lanes have no room for all that it would find. A function that does not
// fill them goes on there; what has no room is passed over, and every later message of the same key with it.
// The scan comes to it in its turn, and laps between the scan and the farthest page find before that what has
// room by then.
import type { Clock } from '../protocol/clock.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { PassedOver } from '../queue/passed-over.ts'
import type { Queue } from '../queue/queue.ts'
import type { Origin } from './admission.ts'
import { furthest, isBefore } from './cursor.ts'
import type { Page, PageReader } from './pages.ts'
import type { SetAsideLane } from './set-aside.ts'

export interface BeyondParts {
  readonly clock: Clock
  readonly queue: Queue
  readonly pages: PageReader
  readonly passedOver: PassedOver
  readonly skimRows: number
  readonly shareMax: number
  readonly originOf: (from: Cursor, over: Origin['over']) => Origin
}

export class Beyond {
  readonly #parts: BeyondParts
  #upTo: Cursor | undefined
  /** How far the lap is that reads again what was passed over. */
  #lap: Cursor | undefined
  #lapFrom: Cursor | undefined
  #lapBeganMs = 0
  #lapRestsUntilMs = Number.NEGATIVE_INFINITY

  constructor(parts: BeyondParts) {
    this.#parts = parts
  }

  /** How far rows were read; undefined: the scan has read as much. */
  get upTo(): Cursor | undefined {
    return this.#upTo
  }

  /** The next page. */
  read(scanned: Cursor): Pick<Page, 'cursor' | 'end'> {
    const from = this.#upTo ?? scanned
    this.#upTo = from
    const page = this.#admit(from, 'beyond')
    this.#upTo = page.cursor
    return page
  }

  /**
   * Messages of this lane are taken in again: those that are here come before any that are found farther on.
   */
  mayHold({ key, functionName, tailFrom }: SetAsideLane): void {
    const { passedOver } = this.#parts
    if (!this.#upTo || key === null) return
    if (tailFrom !== undefined || passedOver.has(key, 'beyond')) passedOver.add(functionName, key, 'beyond')
  }

  /** The scan has come as far, or what was read is to be read anew. */
  close(): void {
    this.#upTo = undefined
    this.#lap = undefined
    this.#parts.passedOver.clear()
  }

  /** A page of a lap over what was passed over, if there is anything to be found. */
  goRound(scanned: Cursor): boolean {
    const upTo = this.#upTo
    if (!upTo || (!this.#lap && !this.#beginLap(scanned))) return false
    const { cursor, end } = this.#admit(furthest(this.#lap ?? scanned, scanned), 'lap', upTo)
    this.#lap = cursor
    if (end || !isBefore(cursor, upTo)) this.#endLap()
    return true
  }

  /**
   * Some function that was passed over has room again, or the scan has come on, so that what waited for its
   * key may go.
   */
  #beginLap(scanned: Cursor): boolean {
    const {
      clock,
      queue: { lanes },
      passedOver,
      shareMax,
    } = this.#parts
    const nowMs = clock.monotonic()
    if (nowMs < this.#lapRestsUntilMs) return false
    const hasRoom = [...passedOver.functions].some((name) => lanes.count(name) < shareMax / 2)
    const hasComeOn = !this.#lapFrom || isBefore(this.#lapFrom, scanned)
    if (!hasRoom && !(passedOver.forKey && hasComeOn)) return false
    passedOver.lapBegins()
    this.#lapFrom = scanned
    this.#lapBeganMs = nowMs
    return true
  }

  #endLap(): void {
    this.#lap = undefined
    this.#parts.passedOver.lapEnds()
    const nowMs = this.#parts.clock.monotonic()
    this.#lapRestsUntilMs = nowMs + (nowMs - this.#lapBeganMs)
  }

  #admit(from: Cursor, by: 'lap' | 'beyond', upTo?: Cursor): Pick<Page, 'cursor' | 'end'> {
    const { pages, passedOver, skimRows, originOf } = this.#parts
    return pages.admit(from, originOf(from, { passedOver, by }), skimRows, upTo)
  }
}
