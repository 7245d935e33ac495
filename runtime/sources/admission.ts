// Finds each row of inbound.db its place in the queue: rejected, parked (no function takes it), scheduled
// (due later), or in its lane. The decision is a pure function; this class reads what it needs, and reads
// again what may have changed.
import type { Clock } from '../protocol/clock.ts'
import type { AnswerResult, History, RawId, Rejection } from '../protocol/commit-batch.ts'
import type { Events } from '../protocol/events.ts'
import type { FunctionSpec, Routable } from '../protocol/function.ts'
import { dueTime } from '../protocol/time.ts'
import type { Entry, Message, MessageRow, MessageSource, MessageState } from '../queue/message.ts'
import { PassedOver } from '../queue/passed-over.ts'
import type { Begun, Place, Queue } from '../queue/queue.ts'
import type { Answers, Match } from './answers.ts'
import type { PendingRow } from './pending-row.ts'
import type { SetAside } from './set-aside.ts'

export interface Router {
  readonly readsContent: boolean
  /** Of all functions. */
  readonly names: readonly string[]
  route(message: Routable): FunctionSpec | undefined
  keyOf(spec: FunctionSpec, message: Routable): string | null
  get(functionName: string): FunctionSpec | undefined
  /** It starts nothing by itself, and no function asks for such messages. */
  isContext(message: Routable): boolean
}

export interface AdmissionParts {
  readonly clock: Clock
  readonly events: Events
  readonly queue: Queue
  readonly setAside: SetAside
  /** Whose messages these are. */
  readonly source: MessageSource
  readonly maxContentBytes: number
  /** Rows read in one go. */
  readonly pageRows: number
  /** Rows without a proper id that are remembered as rejected. */
  readonly namelessMax: number
  /** Entries in lanes; above that the scan waits. About 300 bytes each, content not included. */
  readonly readyMax: number
  /**
   * Entries that each function may have in its lanes though those of all are `readyMax`, so that one which
   * fills them leaves the others theirs.
   */
  readonly shareMax: number
  /**
   * `beyond`: some rows before it may have been passed over. `unread`: the scan will come to it, so it need
   * not be remembered.
   */
  readonly whereIs: (row: PendingRow) => 'scanned' | 'beyond' | 'unread'
  readonly rowsOf: (ids: readonly string[], withContent: boolean) => readonly PendingRow[]
  readonly rawId: (rowid: number) => RawId | null
  readonly answers: Answers
  /** Whole messages; those that are not there any more are left out. */
  readonly messagesOf: (ids: readonly string[]) => ReadonlyMap<string, MessageRow>
  readonly history: (ids: readonly string[]) => ReadonlyMap<string, History>
  /** Does a read as soon as that is possible, each in its turn, and before any that finds what is newer. */
  readonly read: (read: () => void) => void
  /** Functions, and with them ordering keys, are others now, and nothing that waits stands in a lane. */
  readonly onRerouted: () => void
  /** Messages have left memory, or may go another way now: the whole file is to be scanned again. */
  readonly onForgotten: () => void
}

/** Where rows come from that are to find their place. */
export interface Origin {
  /** outbound.db may know something about them. */
  readonly recorded: boolean
  /** It was in the file when this runtime started, so it is taken, too, if it waits for a start. */
  readonly atStart: (row: PendingRow) => boolean
  /**
   * Some before them may have been passed over, and they may be, too. Without it, each has its turn and gets
   * a place.
   */
  readonly over?: Over | undefined
  /** Only messages of the lanes that are refilled are wanted. */
  readonly refills?: boolean
}

interface Over {
  readonly passedOver: PassedOver
  readonly by: 'lap' | 'beyond'
}

/** What receives the decisions of admission. */
export interface AdmissionListener {
  reject(rejection: Rejection, message?: Message): void
  answer(answer: AnswerResult, message: Message): void
  /** The host has ended a message that waited. */
  withdraw(id: string): void
  nudge(): void
}

/** Messages without a number queue behind all that have one. */
const UNNUMBERED_FROM = 2 ** 52
const NO_RECORDS: ReadonlyMap<string, History> = new Map()
const NO_MESSAGES: ReadonlyMap<string, MessageRow> = new Map()

export class Admission {
  readonly #parts: AdmissionParts
  /** Rows without a proper id that have been rejected. */
  readonly #nameless = new Set<number>()
  readonly #passedOver = new PassedOver()
  #listener: AdmissionListener | undefined
  #router: Router
  #unnumbered = 0

  constructor(parts: AdmissionParts, router: Router) {
    this.#parts = parts
    this.#router = router
  }

  start(listener: AdmissionListener): void {
    this.#listener = listener
  }

  get readsContent(): boolean {
    return this.#router.readsContent
  }

  /** What is in the file and not here, since its function has no room in the lanes. */
  get passedOver(): PassedOver {
    return this.#passedOver
  }

  /** No more of its messages are taken in before their turn. */
  isFull(functionName: string): boolean {
    const { queue, readyMax, shareMax } = this.#parts
    return queue.lanes.size >= readyMax && queue.lanes.count(functionName) >= shareMax
  }

  /** Finds each row its place, or passes it over. Returns how many of them are finished by their record. */
  admit(rows: readonly PendingRow[], { recorded, atStart, over, refills = false }: Origin): number {
    const wanted = refills ? rows.filter((row) => this.#isRefill(row)) : rows
    const fresh = wanted.filter(({ id, processAfter }) => id === null || this.#isNew(id, processAfter))
    const lookUp = recorded || fresh.some((row) => row.seq === null)
    const ids = lookUp ? fresh.flatMap((row) => row.id ?? []) : []
    const records = ids.length > 0 ? this.#parts.history([...new Set(ids)]) : NO_RECORDS
    const answers = this.#parts.answers.among(fresh)
    for (const row of fresh) {
      if (row.id === null) {
        this.#rejectNameless(row)
        continue
      }
      const [history, answer] = [records.get(row.id), answers(row.id)]
      this.#place(row.id, row, { atStart: atStart(row), over, refills, history, answer })
    }
    this.#listener?.nudge()
    return fresh.filter(({ id }) => id !== null && records.get(id)?.done).length
  }

  /** The functions are others now: what waits is routed anew. */
  reroute(router: Router): void {
    this.#router = router
    this.#readAgainSoon(this.#parts.queue.rereadWaiting(), this.#parts.onRerouted)
    this.#parts.onForgotten()
  }

  /** What had left memory while it waited for its next attempt is found its place again. */
  comeBack(begun: readonly Begun[]): void {
    if (begun.length === 0) return
    const { queue, rowsOf, history } = this.#parts
    const back = new Map(begun.map((each) => [each.id, each]))
    const ids = [...back.keys()]
    const rows = rowsOf(ids, this.readsContent)
    const records = history(ids)
    for (const row of rows)
      if (row.id !== null && !queue.get(row.id)) {
        const known = { back: back.get(row.id), history: records.get(row.id) }
        this.#place(row.id, row, { atStart: false, over: undefined, ...known })
      }
    this.#listener?.nudge()
  }

  /** Messages whose handlers wait, and need not wait any longer. */
  wake(ids: readonly string[]): void {
    const { queue, history, clock } = this.#parts
    const here = ids.filter((id) => queue.get(id)?.state.type === 'waiting')
    const records = here.length > 0 ? history(here) : NO_RECORDS
    for (const id of here) {
      const { state } = queue.get(id)!
      // It may have run meanwhile, and wait for something else.
      if (state.type === 'waiting' && !isHeld(records.get(id), clock.now()))
        queue.move(state.entry.message, { type: 'ready', entry: state.entry })
    }
    this.bring(ids)
  }

  /** Messages whose handlers wait find their places, those that are not in memory. */
  bring(ids: readonly string[]): void {
    const { queue, rowsOf, history, messagesOf } = this.#parts
    const away = ids.filter((id) => !queue.get(id))
    const rows = away.length > 0 ? rowsOf(away, this.readsContent) : []
    const records = away.length > 0 ? history(away) : NO_RECORDS
    const there = new Set(rows.map(({ id }) => id))
    const gone = away.filter((id) => !there.has(id))
    const held = gone.length > 0 ? messagesOf(gone) : NO_MESSAGES
    for (const row of rows)
      if (row.id !== null && !queue.get(row.id))
        this.#place(row.id, row, { atStart: false, over: undefined, history: records.get(row.id) })
    for (const id of gone) if (held.get(id)?.status !== 'paused') this.#listener?.withdraw(id)
    this.#listener?.nudge()
  }

  /** It is no answer after all: as a message in its own right it is found its place. */
  isUnused(message: Message): void {
    this.#parts.answers.ended(message.id)
    this.#parts.queue.move(message, { type: 'rereading', last: undefined, holdsLane: false })
    this.#readAgainSoon([message])
  }

  /** Another file stands at the path. */
  startOver(): void {
    this.#parts.queue.startOver()
    this.#parts.setAside.clear()
    this.#parts.setAside.suspects.clear()
    this.#nameless.clear()
    this.#passedOver.clear()
  }

  /** Their time has come: as they are in the file now, each is found its place. */
  comeDue(messages: readonly Message[]): void {
    for (const message of messages)
      this.#parts.queue.move(message, { type: 'rereading', last: undefined, holdsLane: false })
    this.#readAgainSoon(messages)
  }

  /**
   * Its row or its function has changed. Its lane waits until it has been read
   * again.
   */
  reread(last: Entry): void {
    const { message } = last
    this.#parts.queue.move(message, { type: 'rereading', last, holdsLane: true })
    this.#readAgainSoon([message])
  }

  isCurrent({ spec }: Entry): boolean {
    return this.#router.get(spec.name) === spec
  }

  /** In memory it is new, or the host has given it another time while it was scheduled. */
  #isNew(id: string, processAfter: string | null): boolean {
    const { queue, setAside } = this.#parts
    const state = queue.get(id)?.state
    if (!state) return !setAside.has(id)
    return state.type === 'scheduled' && state.dueAtMs !== dueTime(processAfter)
  }

  #place(id: string, row: PendingRow, circumstances: Circumstances): void {
    const { atStart, history, answer, last, back } = circumstances
    const { queue, setAside, source, clock, maxContentBytes, events } = this.#parts
    const known = queue.get(id)
    if (known?.state.type === 'scheduled')
      queue.move(known, { type: 'rereading', last: undefined, holdsLane: false })
    // A page that has a row twice, as a table without a key may give it, has placed it already.
    else if (known && known.state.type !== 'rereading') return
    const { suspects } = setAside
    const wasIsolated = (last ?? back)?.isolated === true || (suspects.size > 0 && suspects.has(id))
    const facts = { nowMs: clock.now(), maxContentBytes, atStart, history, answer, last, wasIsolated }
    const decision = decideAdmission(row, facts, this.#router)
    switch (decision.type) {
      case 'finished':
      case 'suspended':
        if (known) queue.remove(known)
        return
      case 'rejected':
        queue.place(id, seqOf(row), source, { type: 'skipped' })
        this.#listener?.reject({ id, ...decision.rejection }, queue.get(id))
        return
      case 'answer': {
        const { questionId, value, otherwise } = decision.answer
        queue.place(id, seqOf(row), source, { type: 'skipped', perhaps: otherwise === 'unused' })
        this.#parts.answers.take(id, decision.answer)
        this.#listener?.answer({ id, questionId, value, otherwise }, queue.get(id)!)
        return
      }
      case 'lane': {
        const { facts, untilMs, held } = decision
        const { spec, key } = facts
        if (!last && this.#waits(spec.name, key, row, circumstances)) {
          if (known) queue.remove(known)
          return
        }
        if (suspects.size > 0) suspects.delete(id)
        const order = row.seq ?? UNNUMBERED_FROM + this.#unnumbered++
        return queue.place(id, seqOf(row), source, { type: 'lane', order, facts, untilMs, held })
      }
      default:
        queue.place(id, seqOf(row), source, decision)
        if (decision.type === 'parked' && decision.why === 'unroutable' && queue.get(id))
          events.emit('unroutable', { id, kind: row.kind })
    }
  }

  /**
   * It is not taken in now: it must not come before an earlier one of its key, or there is no room for it.
   */
  #waits(functionName: string, key: string | null, row: PendingRow, where: Circumstances): boolean {
    const { setAside } = this.#parts
    const { over, refills, back } = where
    const lane = key === null || back ? undefined : setAside.of(key)
    if (!lane) return over !== undefined && this.#passesOver(functionName, key, over)
    if (refills && lane.state === 'refilling') {
      if (!this.isFull(functionName)) return false
      setAside.stopsRefilling(lane, functionName, seqOf(row))
    } else if (over?.passedOver === this.#passedOver) over.passedOver.add(null, key, over.by)
    else setAside.passOver(lane, row)
    return true
  }

  /** There is no room for it, or it must not come before one for which there was none. */
  #passesOver(functionName: string, key: string | null, { passedOver, by }: Over): boolean {
    if (this.isFull(functionName)) {
      passedOver.add(functionName, key, by)
      return true
    }
    const waits = key !== null && passedOver.has(key, by)
    if (waits) passedOver.add(null, key, by)
    return waits
  }

  #isRefill(row: PendingRow): boolean {
    const spec = this.#router.route(row)
    const key = spec ? this.#router.keyOf(spec, row) : null
    return key !== null && this.#parts.setAside.of(key)?.state === 'refilling'
  }

  /** Its id is no text, or none at all: no function could learn which message it has. Rejected once. */
  #rejectNameless({ rowid }: PendingRow): void {
    if (this.#nameless.has(rowid) || this.#nameless.size >= this.#parts.namelessMax) return
    const rawId = this.#parts.rawId(rowid)
    this.#nameless.add(rowid)
    const id = rawId ? Buffer.from(rawId.bytes).toString('utf8') : `row ${rowid}`
    const detail = rawId ? 'the id is not UTF-8 text' : 'the id is null, so no ack can name the message'
    this.#listener?.reject({ id, rawId, reason: 'bad_id', detail })
  }

  /** Reads messages again that are in the state `rereading`, all of them before anything newer is read. */
  #readAgainSoon(messages: readonly Message[], before?: () => void): void {
    if (messages.length === 0 && !before) return
    const waiting = messages.map((message) => ({ message, state: message.state }))
    const pages: (typeof waiting)[] = []
    for (let from = 0; from < waiting.length; from += this.#parts.pageRows)
      pages.push(waiting.slice(from, from + this.#parts.pageRows))
    this.#parts.read(() => {
      before?.()
      for (const page of pages)
        this.#readAgain(
          page.filter(({ message, state }) => message.state === state).map(({ message }) => message),
        )
    })
  }

  #readAgain(messages: readonly Message[]): void {
    if (messages.length === 0) return
    const { queue, setAside, rowsOf, history } = this.#parts
    const ids = messages.map(({ id }) => id)
    const rows = new Map(rowsOf(ids, this.readsContent).map((row) => [row.id, row]))
    const records = history(ids)
    const answers = this.#parts.answers.among([...rows.values()])
    for (const message of messages) {
      const row = rows.get(message.id)
      const { last, holdsLane } = message.state as MessageState & { type: 'rereading' }
      const stays = last && (holdsLane || last.runs > 0)
      const where = row && (stays ? 'scanned' : this.#parts.whereIs(row))
      if (!row || where === 'unread') {
        queue.remove(message)
        if (row && last?.isolated) setAside.suspects.add(message.id)
        continue
      }
      const over = where === 'beyond' ? ({ passedOver: this.#passedOver, by: 'beyond' } as const) : undefined
      const [history, answer] = [records.get(message.id), answers(message.id)]
      this.#place(message.id, row, { atStart: false, over, history, answer, last })
    }
    this.#listener?.nudge()
  }
}

interface Circumstances {
  readonly atStart: boolean
  readonly over: Over | undefined
  readonly refills?: boolean
  /** It was set aside like this. */
  readonly back?: Begun | undefined
  readonly history: History | undefined
  readonly answer?: Match | undefined
  readonly last?: Entry | undefined
}

interface AdmissionFacts {
  readonly nowMs: number
  readonly maxContentBytes: number
  readonly atStart: boolean
  /** What outbound.db has on record about it. */
  readonly history: History | undefined
  /** The question that it answers. */
  readonly answer: Match | undefined
  /** What it was in its lane before it was read again. */
  readonly last: Entry | undefined
  readonly wasIsolated: boolean
}

type LaneDecision = Omit<Extract<Place, { type: 'lane' }>, 'order'>

type Decision =
  | { readonly type: 'finished' }
  /** Its handler waits. */
  | { readonly type: 'suspended' }
  | { readonly type: 'answer'; readonly answer: Match }
  | { readonly type: 'rejected'; readonly rejection: Omit<Rejection, 'id' | 'rawId'> }
  | Extract<Place, { type: 'scheduled' | 'parked' }>
  | LaneDecision

/** Where a pending row belongs. */
export function decideAdmission(row: PendingRow, facts: AdmissionFacts, router: Router): Decision {
  const unrouted = decideUnrouted(row, facts)
  if (unrouted) return unrouted
  const { nowMs, history, answer, wasIsolated } = facts
  // What one function has begun means nothing to another one.
  const begunBy = history?.begunBy ?? null
  const spec = begunBy === null ? router.route(row) : router.get(begunBy)
  if (answer && begunBy === null && (answer.isOpen || !spec)) return { type: 'answer', answer }
  // Context never runs alone. It ends as completed, so that its host does not wait for it.
  if (!spec && begunBy === null && router.isContext(row))
    return { type: 'rejected', rejection: { reason: 'context', detail: '', ack: 'completed' } }
  if (!spec) return { type: 'parked', why: 'unroutable', kind: row.kind }
  const { runs = 0, attempts = 0, turnedAwaySinceMs = null, crashes = 0, interrupted = false } = history ?? {}
  const waitMs = history ? waitOf(history, nowMs) : 0
  const waits = history !== undefined && history.wakeAtMs !== null
  const held = isHeld(history, nowMs)
  if (held && !spec.holdsWhileWaiting) return { type: 'suspended' }
  return {
    type: 'lane',
    held,
    untilMs: waitMs > 0 ? nowMs + waitMs : undefined,
    facts: {
      spec,
      key: router.keyOf(spec, row),
      contentBytes: row.contentBytes,
      runs,
      attempts,
      turnedAwaySinceMs,
      crashes,
      isolated: wasIsolated || crashes > 0 || interrupted,
      waits,
    },
  }
}

/** Undefined: nothing keeps it from being routed now. */
function decideUnrouted(
  row: PendingRow,
  { nowMs, maxContentBytes, atStart, history, last }: Omit<AdmissionFacts, 'answer' | 'wasIsolated'>,
): Decision | undefined {
  if (history?.done) return { type: 'finished' }
  const dueAtMs = dueTime(row.processAfter)
  if (dueAtMs === undefined)
    return rejected(
      'bad_process_after',
      `process_after is ${JSON.stringify(row.processAfter)}; expected 2026-11-24 06:02:20 (UTC) or ISO 8601`,
    )
  if (row.contentBytes > maxContentBytes)
    return rejected(
      'content_too_large',
      `content has ${row.contentBytes} bytes; maxContentBytes is ${maxContentBytes}`,
    )
  if (row.onWake && !atStart && !history && !last) return { type: 'parked', why: 'on-wake', kind: row.kind }
  if (dueAtMs > nowMs) return { type: 'scheduled', dueAtMs }
  return undefined
}

function rejected(reason: string, detail: string): Decision {
  return { type: 'rejected', rejection: { reason, detail } }
}

/** Its handler waits, and none of its waits has ended. */
function isHeld(history: History | undefined, nowMs: number): boolean {
  return history !== undefined && history.wakeAtMs !== null && !history.woken && history.wakeAtMs > nowMs
}

/** What is left of a pause, however the wall clock was set meanwhile. */
function waitOf({ nextAtMs, waitMs }: History, nowMs: number): number {
  return nextAtMs === null ? 0 : Math.min(nextAtMs - nowMs, waitMs ?? Number.POSITIVE_INFINITY)
}

function seqOf({ seq }: PendingRow): number {
  return seq ?? Number.POSITIVE_INFINITY
}
