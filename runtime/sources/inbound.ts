// inbound.db as a source of messages. It is another program's file: read, never written.
//
//   poll         has anything been committed? if so, scan on from where the last scan ended, page by page  (event, poll)
//   beyond       while the lanes have no room, read on beyond the scan: a function whose messages do not fill them goes on.
//                What has no room there is passed over; the scan comes to it in its turn, and laps find what has room before
//   rescan       scan again, slowly, over what the scan has passed: a row that the host changed there, or that this
//                runtime had to forget for lack of memory, is found within one round                       (poll)
//   checkpoint   how far the scan has come, kept in outbound.db, so that the next start need not begin at the beginning
//
// What becomes of a row that is found stands in admission.ts.
import type { Clock, Timer } from '../protocol/clock.ts'
import type { Checkpoint, History, RawId } from '../protocol/commit-batch.ts'
import type { Events } from '../protocol/events.ts'
import type { Crowded } from '../protocol/status-file.ts'
import type { Entry, Message, MessageRow, MessageSource } from '../queue/message.ts'
import { PassedOver } from '../queue/passed-over.ts'
import type { Queue } from '../queue/queue.ts'
import { Admission, type AdmissionListener, type Origin, type PendingRow, type Router } from './admission.ts'
import { RetryingReader, type RetryingReaderParts } from './retrying-reader.ts'

export type { PendingRow, Router } from './admission.ts'

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
  /** The ids of such a page; null for one that is not text. */
  getPendingIds(
    after: Cursor,
    limit: number,
  ): Pick<Page, 'cursor' | 'end'> & { readonly ids: readonly (string | null)[] }
  getMessages(ids: readonly string[]): ReadonlyMap<string, MessageRow>
  maxSeq(): number
  placeOf(seq: number, id: string): Place | undefined
  rawId(rowid: number): RawId | null
}

export interface InboundLimits {
  /** Rows read in one go. */
  readonly pageRows: number
  /**
   * Ids that the scan reads in one go where most messages are finished: 2 ms. The rescan keeps to `pageRows`.
   */
  readonly skimRows: number
  /** Entries in lanes; above that the scan waits. About 300 bytes each, content not included. */
  readonly readyMax: number
  /** Entries that each function may have in its lanes though those of all are `readyMax`. */
  readonly shareMax: number
  /** Messages up to the checkpoint that may be unfinished: a start looks at each of them. */
  readonly unfinishedMax: number
  /** Rows without a proper id that are remembered as rejected. */
  readonly namelessMax: number
}

export interface InboundSourceParts {
  readonly limits: InboundLimits
  readonly clock: Clock
  readonly events: Events
  readonly inbound: InboundFile
  readonly history: (ids: readonly string[]) => ReadonlyMap<string, History>
  /** Those of these messages that have no end on record, and no more than `limit`. */
  readonly unfinished: (ids: readonly string[], limit: number) => readonly string[]
  readonly queue: Queue
  /** Before every row. */
  readonly start: Cursor
  readonly checkpoint: Checkpoint
  readonly maxContentBytes: number
  readonly pollMs: number
  /** Asked before each poll: a later one will do, since nothing happens and events tell of changes. */
  readonly pollLater?: (poll: () => void) => Timer | undefined
  readonly classify: RetryingReaderParts['classify']
  /** inbound.db, for people. */
  readonly path: string
}

export const INBOUND_LIMITS: InboundLimits = {
  pageRows: 500,
  skimRows: 1_000,
  readyMax: 20_000,
  shareMax: 2_000,
  unfinishedMax: 1_000,
  namelessMax: 10_000,
}
const CHECKPOINT_EVERY_MS = 1_000
/**
 * With so many in the lanes the scan goes on at leisure, a page in each pause: what waits for long costs the
 * garbage collector.
 */
const [AHEAD, LEISURE_MS] = [2_000, 10]

export class InboundSource implements MessageSource {
  readonly #parts: InboundSourceParts
  #router: Router
  readonly #admission: Admission
  readonly #reader: RetryingReader
  // Each by one name, so that a read that waits for its turn waits once.
  readonly #pollNow = () => this.#poll()
  readonly #scanNow = () => this.#scan()
  readonly #rescanNow = () => this.#rescan()
  #dispatcher: AdmissionListener | undefined
  #scanned: Cursor
  /** How far rows were read beyond the scan, while that has no room for all that it would find. */
  #beyond: Cursor | undefined
  /** Where the lap is that looks again at what was passed over in between. */
  #lap: Cursor | undefined
  #lapFrom: Cursor
  #lapBeganMs = 0
  #lapRestsUntilMs = Number.NEGATIVE_INFINITY
  #doubt = false
  #scanning = false
  /** Whether it is known that the checkpoint fits this file. */
  #checkpointRead = false
  /** Where the file ended when it was first read to its end. */
  #startedUpTo: Cursor | undefined
  /**
   * Rows up to here may be on record in outbound.db already; those behind it are new. undefined: all may be.
   */
  #recordedUpTo: Cursor | undefined
  /** The last page of recorded rows held finished messages for the most part. */
  #skims = false
  #rescanning = false
  #rescanAgain = true
  #firstRescan = true
  /** Something that is due by now can only be found by the rescan: it does not wait for the poll. */
  #rescanSoon = false
  readonly #rescanPassedOver = new PassedOver()
  #rescanned: Cursor
  #rescanTo: Cursor
  #changedAtMs = Number.NEGATIVE_INFINITY
  #keptAtMs = 0
  #kept: Place
  #step: Timer | undefined
  #pollTimer: Timer | undefined
  #pollsLater = false
  #stopped = false

  constructor(parts: InboundSourceParts, router: Router) {
    this.#parts = parts
    this.#router = router
    this.#scanned = { ...parts.start, seq: parts.checkpoint.seq, id: parts.checkpoint.id }
    this.#lapFrom = parts.start
    this.#rescanned = parts.start
    this.#rescanTo = parts.start
    this.#kept = this.#scanned
    this.#reader = new RetryingReader({
      ...parts,
      onReadable: () => this.#dispatcher?.nudge(),
    })
    this.#admission = new Admission(
      {
        ...parts,
        ...parts.limits,
        source: this,
        whereIs: (row) => (hasPassed(this.#scanned, row) ? 'scanned' : this.#beyond ? 'beyond' : 'unread'),
        rowsOf: (ids, withContent) => parts.inbound.getPendingByIds(ids, withContent),
        rawId: (rowid) => parts.inbound.rawId(rowid),
        read: (read) => this.#reader.do(read, 'first'),
        onForgotten: () => this.#rescanFromStart(),
      },
      router,
    )
  }

  start(dispatcher: AdmissionListener): void {
    this.#dispatcher = dispatcher
    this.#admission.start(dispatcher)
    this.poll('now')
    // A folder in which there is nothing to do comes to rest before the next one is opened.
    if (this.#parts.pollLater) this.#reader.do(this.#rescanNow)
    this.#armPoll()
  }

  stop(): void {
    this.#stopped = true
    this.#step?.cancel()
    this.#pollTimer?.cancel()
    this.#reader.stop()
    this.#parts.queue.stop()
  }

  /** What keeps the file from being read, if anything does. */
  get waitingFor(): string | undefined {
    return this.#reader.waitingFor
  }

  /**
   * How long ago all of the file was read and nothing has changed since; 0: something may be left to find.
   */
  get quietForMs(): number {
    const busy = this.#scanning || this.#rescanning || this.#rescanAgain || this.#beyond || this.waitingFor
    return busy ? 0 : this.#parts.clock.monotonic() - this.#changedAtMs
  }

  /**
   * `now`: an event says that the file has changed (see RetryingReader); `doubt`: without one, so look with
   * fresh eyes.
   */
  poll(why: 'now' | 'doubt'): void {
    this.#doubt ||= why === 'doubt'
    this.#reader.do(this.#pollNow, why === 'doubt' ? 'in-turn' : why)
  }

  /** The functions are others now: what waits is routed anew. */
  reroute(router: Router): void {
    this.#router = router
    this.#closeGap()
    this.#scanning = true
    this.#admission.reroute(router)
    this.#stepSoon()
  }

  /**
   * Functions of which more waits in the file than is taken in for now; empty while there is room for all.
   */
  get crowded(): readonly Crowded[] {
    const {
      queue: { lanes },
      limits,
    } = this.#parts
    if (!this.#beyond && lanes.size < limits.readyMax) return []
    const names = new Set(this.#admission.passedOver.functions)
    for (const name of lanes.functions) if (this.#admission.isFull(name)) names.add(name)
    return [...names].map((name) => ({ name, ready: lanes.count(name), retrying: lanes.retrying(name) }))
  }

  /** The time of these has come. */
  comeDue(messages: readonly Message[]): void {
    this.#admission.comeDue(messages)
  }

  /** Messages that were forgotten are due by now: they are looked for at once. */
  horizonCame(): void {
    this.#rescanFromStart()
    this.#rescanSoon = true
    this.#stepSoon()
  }

  getMessages(ids: readonly string[]): ReadonlyMap<string, MessageRow> {
    return this.#parts.inbound.getMessages(ids)
  }

  /** Undefined: the file cannot be read now. */
  maxSeq(): number | undefined {
    try {
      return this.#parts.inbound.maxSeq()
    } catch (error) {
      this.readFailed(error)
      return undefined
    }
  }

  reread(entry: Entry): void {
    this.#admission.reread(entry)
  }

  onFinished(): void {
    this.#goOn()
  }

  onClaimLost(): void {
    this.#goOn()
    this.#rescanFromStart()
  }

  isCurrent(entry: Entry): boolean {
    return this.#admission.isCurrent(entry)
  }

  /** The dispatcher could not read what it was about to run. */
  readFailed(error: unknown): void {
    this.#reader.failed(error)
  }

  /** How far the scan has come, when it is time to write that down. */
  checkpoint(nowMs: number): Checkpoint | null {
    if (nowMs - this.#keptAtMs < CHECKPOINT_EVERY_MS || isAt(this.#kept, this.#scanned)) return null
    this.#keptAtMs = nowMs
    return this.currentCheckpoint()
  }

  /** What a start may skip: as far as the scan has come, or less when too many messages are unfinished. */
  currentCheckpoint(): Checkpoint {
    const { checkpoint, limits, start, queue } = this.#parts
    // What the checkpoint says of this file has not been read yet; a stop at this point must not undo it.
    if (!this.#checkpointRead) return checkpoint
    const unfinished = queue.unfinishedUpTo(this.#scanned.seq)
    const all = unfinished.length <= limits.unfinishedMax
    const listed = all ? unfinished : firstOf(unfinished, limits.unfinishedMax)
    const last = listed.at(-1)
    this.#kept = all ? this.#scanned : { ...start, seq: last?.seq ?? start.seq, id: last?.id ?? null }
    return { seq: this.#kept.seq, id: this.#kept.id, unfinished: listed.map(({ id }) => id) }
  }

  #poll(): void {
    const changed = this.#parts.inbound.changed(this.#doubt)
    this.#doubt = false
    if (changed === 'replaced') this.#startOver()
    if (changed !== 'no') {
      // What was there at the start has not changed.
      if (this.#startedUpTo) this.#changedAtMs = this.#parts.clock.monotonic()
      this.#rescanAgain = true
      this.#scanning = true
      if (this.#pollsLater) this.#armPoll()
    } else this.#goOn()
    this.#scan()
  }

  /** One page: of the scan, or, where there is no room for more of it, of what lies beyond. */
  #scan(): void {
    const {
      queue: { lanes },
      limits,
    } = this.#parts
    if (!this.#scanning) return this.#goRound()
    if (!this.#checkpointRead) this.#readCheckpoint()
    if (lanes.size < limits.readyMax) this.#scanInTurn()
    else if (this.#router.names.length > 1) this.#readBeyond()
  }

  #readCheckpoint(): void {
    const { inbound, checkpoint, start } = this.#parts
    const { readsContent } = this.#admission
    const place = checkpoint.seq === start.seq ? start : this.#placeOf(checkpoint)
    // The checkpoint was made for another file: what it says has no meaning in this one.
    if (place && place !== start)
      this.#admission.admit(inbound.getPendingByIds(checkpoint.unfinished, readsContent), this.#origin(start))
    this.#scanned = { ...start, ...place }
    this.#checkpointRead = true
  }

  /** One from before checkpoints knew their row fits every file that is long enough. */
  #placeOf({ seq, id }: Checkpoint): Place | undefined {
    const { inbound } = this.#parts
    if (id !== null) return inbound.placeOf(seq, id)
    return inbound.maxSeq() < seq ? undefined : { seq, seqRowid: Number.POSITIVE_INFINITY, id }
  }

  #scanInTurn(): void {
    const { cursor, end } = this.#admitPage(this.#scanned, this.#origin(this.#scanned))
    this.#scanned = cursor
    if (this.#beyond && (end || !isBefore(cursor, this.#beyond))) this.#closeGap()
    if (!end) return this.#stepSoon()
    this.#ended(cursor)
  }

  #readBeyond(): void {
    const from = this.#beyond ?? this.#scanned
    this.#beyond = from
    const over = { passedOver: this.#admission.passedOver, by: 'beyond' } as const
    const { cursor, end } = this.#admitPage(from, this.#origin(from, over))
    this.#beyond = cursor
    if (this.#recordedUpTo) this.#recordedUpTo = furthest(this.#recordedUpTo, cursor)
    if (end) this.#ended(cursor)
    this.#stepSoon()
  }

  #ended(cursor: Cursor): void {
    this.#scanning = false
    if (this.#rescanSoon) this.#stepSoon()
    this.#startedUpTo ??= cursor
    this.#recordedUpTo ??= cursor
  }

  /** The scan has come to where rows were read beyond it, or that is to be done anew. */
  #closeGap(): void {
    this.#beyond = undefined
    this.#lap = undefined
    this.#admission.passedOver.clear()
  }

  /** A page of a lap over what was passed over, if there is anything to be found. */
  #goRound(): void {
    if (!this.#beyond) return
    if (!this.#lap && !this.#beginLap()) return
    const from = furthest(this.#lap ?? this.#scanned, this.#scanned)
    const upTo = this.#beyond
    const over = { passedOver: this.#admission.passedOver, by: 'lap' } as const
    const { cursor, end } = this.#admitPage(from, this.#origin(from, over), upTo)
    this.#lap = cursor
    if (end || !isBefore(cursor, upTo)) this.#endLap()
    this.#stepSoon()
  }

  /**
   * Some function that was passed over has room again, or the scan has come on, so that what waited for its
   * key may go.
   */
  #beginLap(): boolean {
    const {
      clock,
      queue: { lanes },
      limits,
    } = this.#parts
    const { passedOver } = this.#admission
    const nowMs = clock.monotonic()
    if (nowMs < this.#lapRestsUntilMs) return false
    const hasRoom = [...passedOver.functions].some((name) => lanes.count(name) < limits.shareMax / 2)
    if (!hasRoom && !(passedOver.forKey && isBefore(this.#lapFrom, this.#scanned))) return false
    passedOver.lapBegins()
    this.#lapFrom = this.#scanned
    this.#lapBeganMs = nowMs
    return true
  }

  #endLap(): void {
    this.#lap = undefined
    this.#admission.passedOver.lapEnds()
    const nowMs = this.#parts.clock.monotonic()
    this.#lapRestsUntilMs = nowMs + (nowMs - this.#lapBeganMs)
  }

  /**
   * A full stop of the scan for lack of room ends when half of the lanes' entries are gone, or when there is
   * some room and nothing in the lanes can run now: what waits there for its next attempt may wait for hours.
   */
  #goOn(): void {
    // Asked for each message that ends: as a rule nothing waits for room.
    if (!this.#beyond && !this.#scanning && this.#rescanPassedOver.functions.size === 0) return
    const {
      queue: { lanes },
      limits,
    } = this.#parts
    const stuck = lanes.size < limits.readyMax && lanes.readyHeads().next().done === true
    const hasRoom = lanes.size < limits.readyMax / 2 || stuck
    if (hasRoom && this.#beyond) this.#scanning = true
    if (hasRoom && this.#rescanPassedOver.functions.size > 0) this.#rescanSoon = true
    if ((hasRoom && (this.#scanning || this.#rescanSoon)) || this.#beyond) this.#stepSoon()
  }

  #stepSoon(): void {
    if (this.#stopped || this.#step) return
    const {
      clock,
      queue: { lanes },
    } = this.#parts
    const step = () => {
      this.#step = undefined
      this.#reader.do(this.#scanNow)
      if (this.#rescanSoon) this.#reader.do(this.#rescanNow)
    }
    this.#step = lanes.size < AHEAD ? clock.soon(step) : clock.after(LEISURE_MS, step)
  }

  #rescan(): void {
    if (this.#scanning || !this.#startedUpTo) return
    if (!this.#rescanning) {
      if (!this.#rescanAgain) return
      this.#rescanPassedOver.clear()
      this.#rescanAgain = false
      this.#rescanning = true
      this.#rescanned = this.#parts.start
      this.#rescanTo = this.#scanned
    }
    const last = this.#rescanTo
    const passedOver = this.#rescanPassedOver
    const atStart = this.#firstRescan
    const over = { passedOver, by: 'beyond' } as const
    const origin = { recorded: true, atStart: () => atStart, over }
    const { cursor, end } = this.#admitPage(this.#rescanned, origin, last, this.#parts.limits.pageRows)
    this.#rescanned = cursor
    if (!end && isBefore(cursor, last)) {
      if (this.#rescanSoon) this.#stepSoon()
      return
    }
    this.#rescanning = false
    this.#firstRescan = false
    this.#rescanSoon = false
    if (passedOver.functions.size > 0) this.#rescanAgain = true
  }

  #rescanFromStart(): void {
    this.#rescanning = false
    this.#rescanAgain = true
  }

  #startOver(): void {
    this.#admission.startOver()
    this.#closeGap()
    this.#scanned = this.#parts.start
    this.#recordedUpTo = undefined
    // What the other file holds was not there at the start.
    if (this.#startedUpTo) this.#startedUpTo = this.#parts.start
    this.#rescanFromStart()
  }

  #origin(from: Cursor, over?: Origin['over']): Origin {
    const startedUpTo = this.#startedUpTo
    return {
      recorded: !this.#recordedUpTo || isBefore(from, this.#recordedUpTo),
      atStart: (row) => !startedUpTo || hasPassed(startedUpTo, row),
      over,
    }
  }

  /** Reads the next page and gives its rows up to `upTo` their places. */
  #admitPage(
    after: Cursor,
    origin: Origin,
    upTo?: Cursor,
    skimRows = this.#parts.limits.skimRows,
  ): Pick<Page, 'cursor' | 'end'> {
    const { inbound, limits } = this.#parts
    const skimmed = origin.recorded && this.#skims ? this.#skim(after, skimRows) : undefined
    const page = skimmed ?? inbound.getPendingMessages(after, limits.pageRows, this.#admission.readsContent)
    const rows = upTo ? page.rows.filter((row) => hasPassed(upTo, row)) : page.rows
    const finished = this.#admission.admit(rows, origin)
    if (!skimmed) this.#skims = finished > rows.length / 2
    return page
  }

  /**
   * A longer page that leaves out what is finished, with one look-up for all of it. Undefined where a page of
   * whole rows does as well: most is unfinished, or something is there that only its row tells how to treat.
   */
  #skim(after: Cursor, skimRows: number): Page | undefined {
    const { inbound, limits, unfinished } = this.#parts
    const { ids, cursor, end } = inbound.getPendingIds(after, skimRows)
    const named = ids.filter((id) => id !== null)
    if (named.length < ids.length) return undefined
    const left = unfinished(named, limits.pageRows + 1)
    if (left.length > limits.pageRows) return undefined
    const rows = left.length > 0 ? inbound.getPendingByIds(left, this.#admission.readsContent) : []
    return rows.some(({ seq }) => seq === null) ? undefined : { rows, cursor, end }
  }

  #armPoll(): void {
    if (this.#stopped) return
    const { clock, pollMs, pollLater } = this.#parts
    const poll = () => {
      this.poll('doubt')
      this.#reader.do(this.#rescanNow)
      this.#armPoll()
    }
    this.#pollTimer?.cancel()
    this.#pollTimer = this.quietForMs > 0 ? pollLater?.(poll) : undefined
    this.#pollsLater = this.#pollTimer !== undefined
    this.#pollTimer ??= clock.after(pollMs, poll)
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

/**
 * The first of these by seq, as many as `max`; of those that share a seq all or none, so that they end at
 * one.
 */
function firstOf(unfinished: Message[], max: number): Message[] {
  unfinished.sort((a, b) => a.seq - b.seq)
  const nextSeq = unfinished[max]!.seq
  let end = max
  while (end > 0 && unfinished[end - 1]!.seq === nextSeq) end--
  return unfinished.slice(0, end)
}
