// One folder. The session reads what the host writes and feeds the executor; many sessions can live in one process.
//
//   look     anything new? walk forward from where the last walk ended, page by page                     (event, poll)
//   beyond   while the lanes have no room, look on beyond the walk: a function whose messages do not fill them goes on. What
//            has no room there is passed over; the walk comes to it in its turn, and laps find before what has room by then
//   patrol   walk again, slowly, over what the walk has passed: a row that the host changed there, or that this runtime
//            had to forget for lack of memory, is found within one lap                                    (poll)
//   mark     how far the walk has come, written down now and then, so that the next start need not begin at the beginning
//
// What becomes of a row that is found stands in queue/admission.ts.

import type { Dispatcher, Intake } from '../dispatcher.ts'
import type { Clock, Timer } from '../protocol/clock.ts'
import type { Checkpoint, History, RawId } from '../protocol/commit-batch.ts'
import type { Events } from '../protocol/events.ts'
import type { Crowded } from '../protocol/status-file.ts'
import {
  Admission,
  type AdmissionLimits,
  type Origin,
  type PendingRow,
  type Router,
} from '../queue/admission.ts'
import type { Entry, Lanes } from '../queue/lanes.ts'
import { PassedOver } from '../queue/passed-over.ts'
import { RetryingReader, type RetryingReaderParts } from './retrying-reader.ts'

export type { PendingRow, Router } from '../queue/admission.ts'

export interface Place {
  readonly seq: number
  readonly seqRowid: number
  readonly id: string | null
}

export interface Cursor extends Place {
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
  placeOf(seq: number, id: string): Place | undefined
  rawId(rowid: number): RawId | null
}

export interface InboundLimits extends AdmissionLimits {
  /** Messages up to the mark that may be open: the price of a start is to look at each of them. */
  readonly openMax: number
}

export interface InboundSourceParts {
  readonly limits: InboundLimits
  readonly clock: Clock
  readonly events: Events
  readonly inbound: InboundFile
  readonly history: (ids: readonly string[]) => ReadonlyMap<string, History>
  readonly lanes: Lanes
  /** Before every row. */
  readonly start: Cursor
  readonly mark: Checkpoint
  readonly maxContentBytes: number
  readonly pollMs: number
  readonly classify: RetryingReaderParts['classify']
  /** inbound.db, for people. */
  readonly path: string
}

export const INBOUND_LIMITS: InboundLimits = {
  page: 500,
  readyMax: 20_000,
  shareMax: 2_000,
  laterMax: 20_000,
  heldMax: 10_000,
  openMax: 1_000,
}
const MARK_EVERY_MS = 1_000
/** With so many in the lanes the walk goes on at leisure, a page in each pause: what waits for long costs the garbage collector. */
const [AHEAD, LEISURE_MS] = [2_000, 10]

export class InboundSource implements Intake {
  readonly #parts: InboundSourceParts
  #router: Router
  readonly #admission: Admission
  readonly #reading: RetryingReader
  // Each by one name, so that a read that waits for its turn waits once.
  readonly #lookOn = () => this.#look()
  readonly #walkOn = () => this.#walk()
  readonly #patrolOn = () => this.#patrol()
  #executor: Dispatcher | undefined
  #walked: Cursor
  /** How far it was looked beyond the walk, while that has no room for all that it would find. */
  #beyond: Cursor | undefined
  /** Where the lap is that looks again at what was passed over in between. */
  #lap: Cursor | undefined
  #lapFrom: Cursor
  #lapBeganMs = 0
  #lapRestsUntilMs = Number.NEGATIVE_INFINITY
  #doubt = false
  #walking = false
  /** Whether the mark fits this file has been looked at. */
  #markRead = false
  /** Where the file ended when it was first read to its end. */
  #startedUpTo: Cursor | undefined
  /** Rows up to here may be on record in outbound.db already; those behind it are new. undefined: all may be. */
  #recordedUpTo: Cursor | undefined
  #patrolling = false
  #patrolAgain = true
  #firstPatrol = true
  /** Something that is due by now can only be found by patrol: it does not wait for the poll. */
  #patrolSoon = false
  readonly #patrolPassedOver = new PassedOver()
  #patrolled: Cursor
  #patrolTo: Cursor
  #markedAtMs = 0
  #marked: Place
  #step: Timer | undefined
  #poll: Timer | undefined
  #stopped = false

  constructor(parts: InboundSourceParts, router: Router) {
    this.#parts = parts
    this.#router = router
    this.#walked = { ...parts.start, seq: parts.mark.seq, id: parts.mark.id }
    this.#lapFrom = parts.start
    this.#patrolled = parts.start
    this.#patrolTo = parts.start
    this.#marked = this.#walked
    this.#reading = new RetryingReader({
      ...parts,
      onReadable: () => this.#executor?.nudge(),
    })
    this.#admission = new Admission(
      {
        ...parts,
        whereIs: (row) => (hasPassed(this.#walked, row) ? 'walked' : this.#beyond ? 'beyond' : 'unread'),
        rowsOf: (ids, withContent) => parts.inbound.getPendingByIds(ids, withContent),
        rawId: (rowid) => parts.inbound.rawId(rowid),
        read: (read) => this.#reading.do(read, 'first'),
        onGone: () => this.#goOn(),
        onForgotten: () => this.#patrolFromStart(),
        onHorizon: () => {
          this.#patrolFromStart()
          this.#patrolSoon = true
          this.#stepSoon()
        },
      },
      router,
    )
  }

  start(executor: Dispatcher): void {
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
    this.#router = router
    this.#closeGap()
    this.#walking = true
    this.#admission.reroute(router)
    this.#stepSoon()
  }

  /** Functions of which more waits in the file than is taken in for now; empty while there is room for all. */
  get crowded(): readonly Crowded[] {
    const { lanes, limits } = this.#parts
    if (!this.#beyond && lanes.size < limits.readyMax) return []
    const names = new Set(this.#admission.passedOver.functions)
    for (const name of lanes.functions) if (this.#admission.isFull(name)) names.add(name)
    return [...names].map((name) => ({ name, ready: lanes.count(name), retrying: lanes.retrying(name) }))
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

  mark(nowMs: number): Checkpoint | null {
    if (nowMs - this.#markedAtMs < MARK_EVERY_MS || isAt(this.#marked, this.#walked)) return null
    this.#markedAtMs = nowMs
    return this.currentMark()
  }

  /** What a start may skip: as far as the walk has come, or less when too many messages are open. */
  currentMark(): Checkpoint {
    const { mark, limits } = this.#parts
    // Nobody has read yet what the mark says of this file; a stop at this point must not unsay it.
    if (!this.#markRead) return mark
    const { openMax } = limits
    const open = this.#admission.openUpTo(this.#walked.seq)
    const listed = open.length <= openMax ? open : firstOf(open, openMax)
    const [lastId = null, lastSeq = this.#parts.start.seq] = listed.at(-1) ?? []
    this.#marked = open.length <= openMax ? this.#walked : { ...this.#parts.start, seq: lastSeq, id: lastId }
    return { seq: this.#marked.seq, id: this.#marked.id, open: listed.map(([id]) => id) }
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

  /** One page: of the walk, or, where there is no room for more of it, of what lies beyond. */
  #walk(): void {
    const { lanes, limits } = this.#parts
    if (!this.#walking) return this.#goRound()
    if (!this.#markRead) this.#readMark()
    if (lanes.size < limits.readyMax) this.#walkInTurn()
    else if (this.#router.names.length > 1) this.#lookBeyond()
  }

  #readMark(): void {
    const { inbound, mark, start } = this.#parts
    const { readsContent } = this.#admission
    const place = mark.seq === start.seq ? start : this.#placeOf(mark)
    // The mark was made for another file: what it says has no meaning in this one.
    if (place && place !== start)
      this.#admission.admit(inbound.getPendingByIds(mark.open, readsContent), this.#origin(start))
    this.#walked = { ...start, ...place }
    this.#markRead = true
  }

  /** One from before marks knew their row fits every file that is long enough. */
  #placeOf({ seq, id }: Checkpoint): Place | undefined {
    const { inbound } = this.#parts
    if (id !== null) return inbound.placeOf(seq, id)
    return inbound.maxSeq() < seq ? undefined : { seq, seqRowid: Number.POSITIVE_INFINITY, id }
  }

  #walkInTurn(): void {
    const { rows, cursor, end } = this.#page(this.#walked)
    this.#admission.admit(rows, this.#origin(this.#walked))
    this.#walked = cursor
    if (this.#beyond && (end || !isBefore(cursor, this.#beyond))) this.#closeGap()
    if (!end) return this.#stepSoon()
    this.#ended(cursor)
  }

  #lookBeyond(): void {
    const from = this.#beyond ?? this.#walked
    const { rows, cursor, end } = this.#page(from)
    this.#beyond = from
    this.#admission.admit(rows, this.#origin(from, { passedOver: this.#admission.passedOver, by: 'beyond' }))
    this.#beyond = cursor
    if (this.#recordedUpTo) this.#recordedUpTo = furthest(this.#recordedUpTo, cursor)
    if (end) this.#ended(cursor)
    this.#stepSoon()
  }

  #ended(cursor: Cursor): void {
    this.#walking = false
    if (this.#patrolSoon) this.#stepSoon()
    this.#startedUpTo ??= cursor
    this.#recordedUpTo ??= cursor
  }

  /** The walk has come to where it was looked beyond it, or that is to be done anew. */
  #closeGap(): void {
    this.#beyond = undefined
    this.#lap = undefined
    this.#admission.passedOver.clear()
  }

  /** A page of a lap over what was passed over, if there is anything to be found. */
  #goRound(): void {
    if (!this.#beyond) return
    if (!this.#lap && !this.#beginLap()) return
    const from = furthest(this.#lap ?? this.#walked, this.#walked)
    const { rows, cursor, end } = this.#page(from)
    const upTo = this.#beyond
    const passed = rows.filter((row) => hasPassed(upTo, row))
    this.#admission.admit(passed, this.#origin(from, { passedOver: this.#admission.passedOver, by: 'lap' }))
    this.#lap = cursor
    if (end || !isBefore(cursor, upTo)) this.#endLap()
    this.#stepSoon()
  }

  /** Some function that was passed over has room again, or the walk has come on, so that what waited for its key may go. */
  #beginLap(): boolean {
    const { clock, lanes, limits } = this.#parts
    const { passedOver } = this.#admission
    const nowMs = clock.monotonic()
    if (nowMs < this.#lapRestsUntilMs) return false
    const hasRoom = [...passedOver.functions].some((name) => lanes.count(name) < limits.shareMax / 2)
    if (!hasRoom && !(passedOver.forKey && isBefore(this.#lapFrom, this.#walked))) return false
    passedOver.lapBegins()
    this.#lapFrom = this.#walked
    this.#lapBeganMs = nowMs
    return true
  }

  #endLap(): void {
    this.#lap = undefined
    this.#admission.passedOver.lapEnds()
    const nowMs = this.#parts.clock.monotonic()
    this.#lapRestsUntilMs = nowMs + (nowMs - this.#lapBeganMs)
  }

  /** A full stop of the walk for lack of room ends when half of the lanes' entries are gone. */
  #goOn(): void {
    const { lanes, limits } = this.#parts
    const hasRoom = lanes.size < limits.readyMax / 2
    if (hasRoom && this.#beyond) this.#walking = true
    if (hasRoom && this.#patrolPassedOver.functions.size > 0) this.#patrolSoon = true
    if ((hasRoom && (this.#walking || this.#patrolSoon)) || this.#beyond) this.#stepSoon()
  }

  #stepSoon(): void {
    if (this.#stopped || this.#step) return
    const { clock, lanes } = this.#parts
    const step = () => {
      this.#step = undefined
      this.#reading.do(this.#walkOn)
      if (this.#patrolSoon) this.#reading.do(this.#patrolOn)
    }
    this.#step = lanes.size < AHEAD ? clock.soon(step) : clock.after(LEISURE_MS, step)
  }

  #patrol(): void {
    if (this.#walking || !this.#startedUpTo) return
    if (!this.#patrolling) {
      if (!this.#patrolAgain) return
      this.#patrolPassedOver.clear()
      this.#patrolAgain = false
      this.#patrolling = true
      this.#patrolled = this.#parts.start
      this.#patrolTo = this.#walked
    }
    const { rows, cursor, end } = this.#page(this.#patrolled)
    const last = this.#patrolTo
    const passed = rows.filter((row) => hasPassed(last, row))
    const passedOver = this.#patrolPassedOver
    const atStart = this.#firstPatrol
    const over = { passedOver, by: 'beyond' } as const
    this.#admission.admit(passed, { recorded: true, atStart: () => atStart, over })
    this.#patrolled = cursor
    if (!end && isBefore(cursor, last)) {
      if (this.#patrolSoon) this.#stepSoon()
      return
    }
    this.#patrolling = false
    this.#firstPatrol = false
    this.#patrolSoon = false
    if (passedOver.functions.size > 0) this.#patrolAgain = true
  }

  #patrolFromStart(): void {
    this.#patrolling = false
    this.#patrolAgain = true
  }

  #startOver(): void {
    this.#admission.startOver()
    this.#closeGap()
    this.#walked = this.#parts.start
    this.#recordedUpTo = undefined
    // What the other file holds was not there at the start.
    if (this.#startedUpTo) this.#startedUpTo = this.#parts.start
    this.#patrolFromStart()
  }

  #origin(from: Cursor, over?: Origin['over']): Origin {
    const startedUpTo = this.#startedUpTo
    return {
      recorded: !this.#recordedUpTo || isBefore(from, this.#recordedUpTo),
      atStart: (row) => !startedUpTo || hasPassed(startedUpTo, row),
      over,
    }
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

/** Some row lies behind the first and not behind the second. */
function isBefore(a: Cursor, b: Cursor): boolean {
  return a.seq < b.seq || (a.seq === b.seq && a.seqRowid < b.seqRowid) || a.rowid < b.rowid
}

function furthest(a: Cursor, b: Cursor): Cursor {
  const isAhead = a.seq > b.seq || (a.seq === b.seq && a.seqRowid >= b.seqRowid)
  return { ...(isAhead ? a : b), rowid: Math.max(a.rowid, b.rowid) }
}

function hasPassed(cursor: Cursor, { seq, rowid }: PendingRow): boolean {
  if (seq === null) return rowid <= cursor.rowid
  return seq < cursor.seq || (seq === cursor.seq && rowid <= cursor.seqRowid)
}

function isAt(a: Place, b: Place): boolean {
  return a.seq === b.seq && a.seqRowid === b.seqRowid
}

/** The first of what is open, by seq, as many as `max`; of those that share a seq all or none, so that they end at one. */
function firstOf(open: (readonly [id: string, seq: number])[], max: number): typeof open {
  open.sort(([, a], [, b]) => a - b)
  const [, nextSeq] = open[max]!
  let end = max
  while (end > 0 && open[end - 1]![1] === nextSeq) end--
  return open.slice(0, end)
}
