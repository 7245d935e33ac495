// inbound.db as a source of messages. It is another program's file: read, never written.
//
//   poll         at an event, or at times: has anything been committed? if so, it scans on, page by page
//   beyond       beyond.ts: while the lanes have no room, other functions go on beyond the scan
//   set aside    set-aside.ts: lanes whose head waits for its next attempt leave memory for others
//   refill       refill.ts: they come back when it is due, and then what stands behind it in the file
//   waking       waking.ts: messages whose handlers wait come back when a wait has ended
//   rescan       rescan.ts: what the scan has passed is read again, slowly
//   checkpoint   checkpoint.ts: how far the scan has come, kept in outbound.db for the next start
//
// What becomes of a row that is found stands in admission.ts.
import type { Clock, Timer } from '../protocol/clock.ts'
import type { Checkpoint, History, WaitingPlace } from '../protocol/commit-batch.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { Events } from '../protocol/events.ts'
import type { Crowded } from '../protocol/status-file.ts'
import type { WaitQueries } from '../protocol/waits.ts'
import type { Entry, Message, MessageRow, MessageSource } from '../queue/message.ts'
import type { Queue } from '../queue/queue.ts'
import { Admission, type AdmissionListener, type Origin, type Router } from './admission.ts'
import { Answers } from './answers.ts'
import { Beyond } from './beyond.ts'
import { CheckpointKeeper } from './checkpoint.ts'
import { furthest, hasPassed, isBefore } from './cursor.ts'
import { type InboundFile, PageReader } from './pages.ts'
import { Refill } from './refill.ts'
import { Rescan } from './rescan.ts'
import { RetryingReader, type RetryingReaderParts } from './retrying-reader.ts'
import { SetAside } from './set-aside.ts'
import { Waking } from './waking.ts'

export type { Router } from './admission.ts'
export type { InboundFile } from './pages.ts'

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
  /** Messages that may wait for their next attempt outside of the lanes. About 250 bytes each. */
  readonly asideMax: number
  /** Messages up to the checkpoint that may be unfinished: a start reads each of them. */
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
  /** Messages whose handlers wait, and their questions. */
  readonly waits: WaitQueries
  /** Those that wait for their next attempt, in the order of its time. */
  readonly waiting: (after: WaitingPlace | undefined, limit: number) => readonly WaitingPlace[]
  readonly queue: Queue
  /** Before every row. */
  readonly start: Cursor
  readonly checkpoint: Checkpoint
  readonly maxContentBytes: number
  readonly pollMs: number
  /** Called before each poll. Returns a later timer where the folder is at rest and events report changes. */
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
  asideMax: 100_000,
  unfinishedMax: 1_000,
  namelessMax: 10_000,
}
/**
 * With so many in the lanes the scan slows down to a page in each pause: what waits for long costs the
 * garbage collector.
 */
const [AHEAD, LEISURE_MS] = [2_000, 10]
/** A shorter pause is not worth to be read again. */
const SET_ASIDE_FROM_MS = 1_000
/** Setting aside goes through each message that waits for its next attempt. */
const SET_ASIDE_EVERY_MS = 100

export class InboundSource implements MessageSource {
  readonly #parts: InboundSourceParts
  #router: Router
  readonly #admission: Admission
  readonly #reader: RetryingReader
  // Each by one name, so that a read that waits for its turn waits once.
  readonly #pollNow = () => this.#poll()
  readonly #scanNow = () => this.#scan()
  readonly #rescanNow = () => this.#readAgain()
  readonly #pages: PageReader
  readonly #beyond: Beyond
  readonly #rescan: Rescan
  readonly #setAside: SetAside
  readonly #refill: Refill
  readonly #checkpoint: CheckpointKeeper
  readonly #answers: Answers
  readonly #waking: Waking
  #dispatcher: AdmissionListener | undefined
  #scanned: Cursor
  #doubt = false
  #scanning = false
  /** Where the file ended when it was first read to its end. */
  #startedUpTo: Cursor | undefined
  /**
   * Rows up to here may be on record in outbound.db already; those behind it are new. undefined: all may be.
   */
  #recordedUpTo: Cursor | undefined
  #changedAtMs = Number.NEGATIVE_INFINITY
  #setsAsideAtMs = Number.NEGATIVE_INFINITY
  #step: Timer | undefined
  #pollTimer: Timer | undefined
  #pollsLater = false
  #stopped = false

  constructor(parts: InboundSourceParts, router: Router) {
    const { clock, queue, inbound, limits, start, checkpoint, unfinished, waits } = parts
    const { pageRows } = limits
    this.#parts = parts
    this.#router = router
    this.#scanned = { ...start, seq: checkpoint.seq, id: checkpoint.id }
    this.#reader = new RetryingReader({
      ...parts,
      onReadable: () => this.#dispatcher?.nudge(),
    })
    const setAside = new SetAside(clock, () => this.#stepSoon())
    this.#setAside = setAside
    const messagesOf = (ids: readonly string[]) => inbound.getMessages(ids)
    this.#answers = new Answers({ clock, waits, messagesOf })
    this.#waking = new Waking({
      clock,
      waits,
      pageRows,
      bring: (ids) => admission.bring(ids),
      wake: (ids) => admission.wake(ids),
      onDue: () => this.#stepSoon(),
    })
    const admission = new Admission(
      {
        ...parts,
        ...limits,
        setAside,
        source: this,
        answers: this.#answers,
        messagesOf,
        whereIs: (row) =>
          hasPassed(this.#scanned, row) ? 'scanned' : this.#beyond.upTo ? 'beyond' : 'unread',
        rowsOf: (ids, withContent) => inbound.getPendingByIds(ids, withContent),
        rawId: (rowid) => inbound.rawId(rowid),
        read: (read) => this.#reader.do(read, 'first'),
        onRerouted: () => this.#reconsider(),
        onForgotten: () => this.#rescan.fromStart(),
      },
      router,
    )
    this.#admission = admission
    this.#checkpoint = new CheckpointKeeper({
      ...parts,
      ...limits,
      setAside,
      admission,
      makeRoom: () => this.#setWaitingAside(),
    })
    const pages = new PageReader({ inbound, admission, pageRows, unfinished })
    this.#pages = pages
    const { passedOver } = admission
    const originOf = (from: Cursor, over?: Origin['over']) => this.#origin(from, over)
    this.#beyond = new Beyond({ ...limits, clock, queue, pages, passedOver, originOf })
    this.#rescan = new Rescan({ pages, pageRows, start })
    this.#refill = new Refill({
      ...limits,
      clock,
      queue,
      setAside,
      admission,
      pages,
      start,
      originOf,
      onOpen: (lane) => this.#beyond.mayHold(lane),
    })
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
    this.#setAside.stop()
    this.#waking.stop()
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
    const isIdle = !this.#scanning && this.#rescan.isDone && !this.#beyond.upTo && !this.#isComingBack
    return isIdle && !this.waitingFor ? this.#parts.clock.monotonic() - this.#changedAtMs : 0
  }

  /**
   * `now`: an event says that the file has changed (see RetryingReader); `doubt`: without one, so the
   * file is opened again where its times have changed.
   */
  poll(why: 'now' | 'doubt'): void {
    this.#doubt ||= why === 'doubt'
    this.#reader.do(this.#pollNow, why === 'doubt' ? 'in-turn' : why)
  }

  /** The functions are others now: what waits is routed anew. */
  reroute(router: Router): void {
    this.#router = router
    this.#beyond.close()
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
    if (!this.#beyond.upTo && lanes.size < limits.readyMax) return []
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
    this.#rescan.fromStart()
    this.#rescan.isUrgent = true
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

  onFinished(message: Message): void {
    this.#answers.ended(message.id)
    this.#goOn()
  }

  onSuspended(entry: Entry, wakeAtMs: number): void {
    const { queue } = this.#parts
    const { message, spec } = entry
    if (!this.isCurrent(entry)) this.#admission.reread(entry)
    else if (spec.holdsWhileWaiting) queue.move(message, { type: 'waiting', entry })
    else queue.remove(message)
    this.#answers.asked()
    this.#waking.suspended(message.id, wakeAtMs)
    this.#goOn()
  }

  onUnused(message: Message): void {
    this.#admission.isUnused(message)
  }

  /** Something has come that these wait for. */
  wake(ids: readonly string[]): void {
    this.#waking.wake(ids)
  }

  onClaimLost(): void {
    this.#goOn()
    this.#rescan.fromStart()
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
    return this.#checkpoint.whenDue(nowMs, this.#scanned)
  }

  /** What a start may skip: as far as the scan has come, or less when too many messages are unfinished. */
  currentCheckpoint(): Checkpoint {
    return this.#checkpoint.upTo(this.#scanned)
  }

  #poll(): void {
    const changed = this.#parts.inbound.changed(this.#doubt)
    this.#doubt = false
    if (changed === 'replaced') this.#startOver()
    if (changed !== 'no') {
      // What was there at the start has not changed.
      if (this.#startedUpTo) this.#changedAtMs = this.#parts.clock.monotonic()
      this.#rescan.again()
      this.#scanning = true
      if (this.#pollsLater) this.#armPoll()
    } else this.#goOn()
    this.#scan()
  }

  /**
   * One page: of the scan, or, where there is no room for more of it, of what lies beyond. What has waited
   * longer comes before.
   */
  #scan(): void {
    const {
      queue: { lanes },
      limits,
    } = this.#parts
    this.#waking.hold()
    if (this.#waking.isWanted && lanes.size < 2 * limits.readyMax) {
      this.#waking.bringPage()
      if (this.#waking.isWanted) this.#stepSoon()
    }
    if (this.#refill.comeBack()) this.#stepSoon()
    if (this.#refill.isWanted) {
      this.#refill.read(this.#scanned)
      this.#stepSoon()
    }
    if (!this.#scanning) {
      if (this.#beyond.goRound(this.#scanned)) this.#stepSoon()
      return
    }
    if (!this.#checkpoint.isRead) this.#scanned = this.#checkpoint.read(this.#origin(this.#parts.start))
    if (lanes.size < limits.readyMax || this.#makeRoom()) this.#scanInTurn()
    else if (this.#router.names.length > 1) this.#readBeyond()
  }

  #makeRoom(): boolean {
    const nowMs = this.#parts.clock.monotonic()
    if (nowMs < this.#setsAsideAtMs) return false
    this.#setsAsideAtMs = nowMs + SET_ASIDE_EVERY_MS
    return this.#setWaitingAside()
  }

  /**
   * What waits for its next attempt leaves the lanes, with all that stands behind it. True: that made room.
   */
  #setWaitingAside(): boolean {
    const { queue, limits } = this.#parts
    const max = limits.asideMax - this.#setAside.size
    for (const lane of queue.removeWaiting(this, SET_ASIDE_FROM_MS, max)) this.#setAside.add(lane)
    return queue.lanes.size < limits.readyMax
  }

  #scanInTurn(): void {
    const from = this.#scanned
    const { cursor, end } = this.#pages.admit(from, this.#origin(from), this.#parts.limits.skimRows)
    this.#scanned = cursor
    if (this.#beyond.upTo && (end || !isBefore(cursor, this.#beyond.upTo))) this.#beyond.close()
    if (!end) return this.#stepSoon()
    this.#ended(cursor)
  }

  #readBeyond(): void {
    const { cursor, end } = this.#beyond.read(this.#scanned)
    if (this.#recordedUpTo) this.#recordedUpTo = furthest(this.#recordedUpTo, cursor)
    if (end) this.#ended(cursor)
    this.#stepSoon()
  }

  #ended(cursor: Cursor): void {
    this.#scanning = false
    if (this.#rescan.isUrgent) this.#stepSoon()
    this.#startedUpTo ??= cursor
    this.#recordedUpTo ??= cursor
  }

  /**
   * A full stop of the scan for lack of room ends when half of the lanes' entries are gone, when what waits
   * can be set aside, or when there is some room and nothing in the lanes can run now.
   */
  #goOn(): void {
    // Asked for each message that ends: as a rule nothing waits for room.
    const { upTo } = this.#beyond
    if (this.#isComingBack) this.#stepSoon()
    if (!upTo && !this.#scanning && !this.#rescan.passedSomethingOver) return
    const {
      queue: { lanes },
      limits,
    } = this.#parts
    const stuck = lanes.size < limits.readyMax && lanes.readyHeads().next().done === true
    const hasRoom =
      lanes.size < limits.readyMax / 2 || stuck || (lanes.size >= limits.readyMax && this.#makeRoom())
    if (hasRoom && upTo) this.#scanning = true
    if (hasRoom && this.#rescan.passedSomethingOver) this.#rescan.isUrgent = true
    if ((hasRoom && (this.#scanning || this.#rescan.isUrgent)) || upTo) this.#stepSoon()
  }

  /** Something that had left memory is on its way back. */
  get #isComingBack(): boolean {
    return this.#setAside.due.size > 0 || this.#setAside.back.size > 0 || this.#waking.isWanted
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
      if (this.#rescan.isUrgent) this.#reader.do(this.#rescanNow)
    }
    this.#step = lanes.size < AHEAD ? clock.soon(step) : clock.after(LEISURE_MS, step)
  }

  #readAgain(): void {
    if (this.#scanning || !this.#startedUpTo) return
    if (this.#rescan.read(this.#scanned) && this.#rescan.isUrgent) this.#stepSoon()
  }

  /**
   * What was set aside has its keys anew; where the file may hold more of the old ones, it is scanned again.
   */
  #reconsider(): void {
    const tailFrom = this.#refill.comeBackAll()
    if (tailFrom === undefined) return
    if (this.#recordedUpTo) this.#recordedUpTo = furthest(this.#recordedUpTo, this.#scanned)
    const { start } = this.#parts
    // A checkpoint that is made now covers everything up to this seq.
    const before = { ...start, seq: tailFrom - 1, seqRowid: Number.POSITIVE_INFINITY }
    this.#scanned = before.seq < this.#scanned.seq ? before : { ...this.#scanned, rowid: start.rowid }
    this.#scanning = true
  }

  #startOver(): void {
    this.#admission.startOver()
    this.#refill.clear()
    this.#beyond.close()
    this.#waking.startOver()
    this.#checkpoint.startOver()
    this.#scanned = this.#parts.start
    this.#recordedUpTo = undefined
    // What the other file holds was not there at the start.
    if (this.#startedUpTo) this.#startedUpTo = this.#parts.start
    this.#rescan.fromStart()
  }

  #origin(from: Cursor, over?: Origin['over']): Origin {
    const startedUpTo = this.#startedUpTo
    return {
      recorded: !this.#recordedUpTo || isBefore(from, this.#recordedUpTo),
      atStart: (row) => !startedUpTo || hasPassed(startedUpTo, row),
      over,
    }
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
