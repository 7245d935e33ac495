// What becomes of a row that is pending in inbound.db: refused, completed without a run (context that no function wants), held
// (no function for it), kept for later, put in its lane, or passed over for now. A message known here is in exactly one of
// these places, or running; `known` says which ids are.
// Nothing here must survive a crash: all of it is found again in the two files.

import type { Dispatcher, Intake } from '../dispatcher.ts'
import { type Clock, steady } from '../protocol/clock.ts'
import type { History, RawId } from '../protocol/commit-batch.ts'
import type { Events } from '../protocol/events.ts'
import type { FunctionSpec, Routable } from '../protocol/function.ts'
import { dueTime } from '../protocol/time.ts'
import type { Entry, Lanes } from './lanes.ts'
import { PassedOver } from './passed-over.ts'
import { TimeQueue } from './timers.ts'

export interface PendingRow extends Routable {
  readonly id: string | null
  readonly rowid: number
  readonly seq: number | null
  readonly processAfter: string | null
  readonly onWake: boolean
  readonly contentBytes: number
}

export interface Router {
  readonly readsContent: boolean
  /** Of all functions. */
  readonly names: readonly string[]
  route(message: Routable): FunctionSpec | undefined
  keyOf(spec: FunctionSpec, message: Routable): string | null
  get(functionName: string): FunctionSpec | undefined
  /** It wakes nobody by itself, and no function asks for such messages. */
  isContext(message: Routable): boolean
}

export interface AdmissionLimits {
  /** Rows read in one go. */
  readonly page: number
  /** Entries in lanes; above that the walk waits. About 300 bytes each, content not included. */
  readonly readyMax: number
  /** Entries that each function may have in its lanes though those of all are `readyMax`, so that one which fills them leaves the others theirs. */
  readonly shareMax: number
  /** Messages remembered that are due later; beyond, only those that are due first are kept. */
  readonly laterMax: number
  /** Messages without a function that are remembered one by one; the rest is found again by patrol. */
  readonly heldMax: number
}

export interface AdmissionParts {
  readonly limits: AdmissionLimits
  readonly clock: Clock
  readonly events: Events
  readonly lanes: Lanes
  readonly maxContentBytes: number
  /** `beyond`: some rows before it may have been passed over. `unread`: it is yet to be come to, so it need not be remembered. */
  readonly whereIs: (row: PendingRow) => 'walked' | 'beyond' | 'unread'
  readonly rowsOf: (ids: readonly string[], withContent: boolean) => readonly PendingRow[]
  readonly rawId: (rowid: number) => RawId | null
  readonly history: (ids: readonly string[]) => ReadonlyMap<string, History>
  /** Does a read as soon as that is possible, each in its turn, and before any that finds what is newer. */
  readonly read: (read: () => void) => void
  /** There is room in the lanes again. */
  readonly onGone: () => void
  /** Some messages are no longer remembered, or may go another way now: the whole file is to be walked again. */
  readonly onForgotten: () => void
  /** The same, of messages that are due by now. */
  readonly onHorizon: () => void
}

/** Messages without a number queue behind all that have one. */
const UNNUMBERED_FROM = 2 ** 52
const NO_RECORDS: ReadonlyMap<string, History> = new Map()
const NO_ENTRIES: ReadonlyMap<string, Entry> = new Map()

/** Where rows come from that are to find their place. */
export interface Origin {
  /** outbound.db may know something about them. */
  readonly recorded: boolean
  /** It was in the file when this runtime started, so it is taken, too, if it waits for a start. */
  readonly atStart: (row: PendingRow) => boolean
  /** Some before them may have been passed over, and they may be, too. Without it, each has its turn and gets a place. */
  readonly over?: { readonly passedOver: PassedOver; readonly by: 'lap' | 'beyond' } | undefined
}

/** A message that is not due yet, and the time that was read for it. */
interface Later {
  readonly id: string
  readonly atMs: number
}

type Over = NonNullable<Origin['over']>

interface From {
  readonly atStart: boolean
  readonly over: Over | undefined
}

interface Place {
  readonly spec: FunctionSpec
  readonly key: string | null
  readonly history: History | undefined
  readonly suspect: boolean | undefined
}

interface Held {
  readonly kind: string
  readonly why: 'unroutable' | 'on-wake'
}

export class Admission implements Omit<Intake, 'mark'> {
  readonly #parts: AdmissionParts
  /** Id → seq of every message that is somewhere here; Infinity for one without a number. */
  readonly #known = new Map<string, number>()
  readonly #later: TimeQueue<Later>
  /** What of that counts: the host may have moved a message meanwhile, or away and back. */
  readonly #laterById = new Map<string, Later>()
  readonly #retries: TimeQueue<Entry>
  readonly #held = new Map<string, Held>()
  /** Ids that are known and in none of these places until they have been read again. */
  readonly #rechecks = new Map<readonly string[], ReadonlyMap<string, Entry>>()
  /** Rows without a proper id that have been refused. */
  readonly #nameless = new Set<number>()
  readonly #passedOver = new PassedOver()
  #executor: Dispatcher | undefined
  #router: Router
  #unnumbered = 0
  #stopped = false

  constructor(parts: AdmissionParts, router: Router) {
    this.#parts = parts
    this.#router = router
    const { clock, limits } = parts
    this.#later = new TimeQueue({
      clock,
      max: limits.laterMax,
      onDue: (due) => this.#recheck(due.filter((each) => this.#stillLater(each)).map(({ id }) => id)),
      onForget: (far) => far.filter((each) => this.#stillLater(each)).forEach(({ id }) => this.#forget(id)),
      onHorizon: () => parts.onHorizon(),
    })
    this.#retries = new TimeQueue({
      clock: steady(clock),
      max: Number.POSITIVE_INFINITY,
      onDue: (due) => this.#wake(due),
    })
  }

  start(executor: Dispatcher): void {
    this.#executor = executor
  }

  stop(): void {
    this.#stopped = true
    this.#later.clear()
    this.#retries.clear()
  }

  get readsContent(): boolean {
    return this.#router.readsContent
  }

  /** What is in the file and not here, since its function has no room in the lanes. */
  get passedOver(): PassedOver {
    return this.#passedOver
  }

  /** Finds each row its place, or passes it over. */
  admit(rows: readonly PendingRow[], { recorded, atStart, over }: Origin): void {
    const fresh = rows.filter(
      ({ id, processAfter }) => id === null || !this.#known.has(id) || this.#moved(id, processAfter),
    )
    const lookUp = recorded || fresh.some((row) => row.seq === null)
    const ids = lookUp ? fresh.flatMap((row) => row.id ?? []) : []
    const history = ids.length > 0 ? this.#parts.history(ids) : NO_RECORDS
    for (const row of fresh) {
      if (row.id === null) this.#refuseNameless(row)
      else this.#admit(row.id, row, { atStart: atStart(row), over }, history.get(row.id))
    }
    this.#executor?.nudge()
  }

  /** The functions are others now: what waits is routed anew. */
  reroute(router: Router): void {
    this.#router = router
    const waiting = this.#parts.lanes.empty()
    this.#retries.clear()
    const ids = [...waiting.map((entry) => entry.id), ...this.#held.keys()]
    this.#held.clear()
    this.#recheck(ids, new Map(waiting.map((entry) => [entry.id, entry])))
    this.#parts.onForgotten()
  }

  /** Another file stands at the path: what was read from the old one and does not run yet is not started. */
  startOver(): void {
    for (const entry of this.#parts.lanes.empty()) this.#known.delete(entry.id)
    for (const [ids, entries] of this.#rechecks) this.#forgetAll(ids, entries)
    this.#rechecks.clear()
    for (const id of [...this.#laterById.keys(), ...this.#held.keys()]) this.#forget(id)
    this.#later.clear()
    this.#held.clear()
    this.#nameless.clear()
    this.#passedOver.clear()
  }

  /** Ids that are not done, up to a seq, each with its seq. */
  openUpTo(seq: number): (readonly [id: string, seq: number])[] {
    return [...this.#known].filter(([, own]) => own <= seq)
  }

  /** How many messages wait for a function, by kind. */
  unroutable(): Record<string, number> {
    const counts: Record<string, number> = Object.create(null)
    for (const { kind, why } of this.#held.values())
      if (why === 'unroutable') counts[kind] = (counts[kind] ?? 0) + 1
    return counts
  }

  gone(entry: Entry): void {
    this.#known.delete(entry.id)
    this.#parts.onGone()
  }

  lost(entry: Entry): void {
    this.gone(entry)
    this.#parts.onForgotten()
  }

  waits(entry: Entry): void {
    if (this.#stopped) return
    const { clock } = this.#parts
    this.#retries.push(clock.monotonic() + Math.max(entry.waitsUntilMs - clock.now(), 0), entry)
  }

  lookAgain(entry: Entry): void {
    this.#recheck([entry.id], new Map([[entry.id, entry]]))
  }

  isCurrent({ spec }: Entry): boolean {
    return this.#router.get(spec.name) === spec
  }

  #admit(id: string, row: PendingRow, from: From, history?: History, before?: Entry): void {
    if (history?.done) return
    const { clock, maxContentBytes } = this.#parts
    const dueAtMs = dueTime(row.processAfter)
    if (dueAtMs === undefined)
      return this.#refuse(
        id,
        'bad_process_after',
        `process_after is ${JSON.stringify(row.processAfter)}; expected 2026-11-24 06:02:20 (UTC) or ISO 8601`,
      )
    if (row.contentBytes > maxContentBytes)
      return this.#refuse(
        id,
        'content_too_large',
        `content has ${row.contentBytes} bytes; maxContentBytes is ${maxContentBytes}`,
      )
    if (row.onWake && !from.atStart && !history && !before) return this.#hold(id, row, 'on-wake')
    if (dueAtMs > clock.now()) return this.#keepForLater({ id, atMs: dueAtMs }, row)
    this.#laterById.delete(id)
    const spec = this.#router.route(row)
    if (!spec) return this.#router.isContext(row) ? this.#passOver(id) : this.#hold(id, row, 'unroutable')
    const key = this.#router.keyOf(spec, row)
    if (from.over && !before && this.#passesOver(spec.name, key, from.over)) return this.#forget(id)
    this.#putInLane(id, row, { spec, key, history, suspect: before?.alone })
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

  /** No more of its messages are taken in before their turn. */
  isFull(functionName: string): boolean {
    const { lanes, limits } = this.#parts
    return lanes.size >= limits.readyMax && lanes.count(functionName) >= limits.shareMax
  }

  #putInLane(id: string, row: PendingRow, { spec, key, history, suspect = false }: Place): void {
    const { clock, lanes } = this.#parts
    this.#know(id, row)
    const {
      runs = 0,
      attempts = 0,
      turnedAwaySinceMs = null,
      crashes = 0,
      interrupted = false,
    } = history ?? {}
    const nowMs = clock.now()
    const waitMs = history ? waitOf(history, nowMs) : 0
    const entry: Entry = {
      id,
      order: row.seq ?? UNNUMBERED_FROM + this.#unnumbered++,
      spec,
      key,
      contentBytes: row.contentBytes,
      runs,
      attempts,
      turnedAwaySinceMs,
      crashes,
      alone: suspect || crashes > 0 || interrupted,
      waitsUntilMs: waitMs > 0 ? nowMs + waitMs : 0,
    }
    lanes.add(entry)
    if (waitMs > 0) this.waits(entry)
  }

  #keepForLater(later: Later, row: PendingRow): void {
    if (!this.#later.push(later.atMs, later)) return
    this.#laterById.set(later.id, later)
    this.#know(later.id, row)
  }

  #hold(id: string, row: PendingRow, why: Held['why']): void {
    if (this.#held.size >= this.#parts.limits.heldMax) return this.#forget(id)
    this.#held.set(id, { kind: row.kind, why })
    this.#know(id, row)
    if (why === 'unroutable') this.#parts.events.emit('unroutable', { id, kind: row.kind })
  }

  /** Context is never run alone. It ends as completed, so that its host does not wait for it. */
  #passOver(id: string): void {
    this.#executor?.refuse({ id, reason: 'context', detail: '', ack: 'completed' })
  }

  #refuse(id: string, reason: string, detail: string): void {
    this.#executor?.refuse({ id, reason, detail })
  }

  /** Its id is no text, or none at all: no function could be told which message it has. Said once. */
  #refuseNameless({ rowid }: PendingRow): void {
    if (this.#nameless.has(rowid) || this.#nameless.size >= this.#parts.limits.heldMax) return
    const rawId = this.#parts.rawId(rowid)
    this.#nameless.add(rowid)
    const id = rawId ? Buffer.from(rawId.bytes).toString('utf8') : `row ${rowid}`
    const detail = rawId ? 'the id is not UTF-8 text' : 'the id is null, so no ack can name the message'
    this.#executor?.refuse({ id, rawId, reason: 'bad_id', detail }, rowid)
  }

  /**
   * Reads these rows again and finds each its place, all of them before anything newer is read. `entries`: what was made of
   * them the last time.
   */
  #recheck(ids: readonly string[], entries: ReadonlyMap<string, Entry> = NO_ENTRIES): void {
    const { read, limits } = this.#parts
    const pages: (readonly string[])[] = []
    for (let from = 0; from < ids.length; from += limits.page) pages.push(ids.slice(from, from + limits.page))
    for (const page of pages) this.#rechecks.set(page, entries)
    if (pages.length > 0) read(() => pages.forEach((page) => this.#readAgain(page, entries)))
  }

  #readAgain(page: readonly string[], entries: ReadonlyMap<string, Entry>): void {
    if (!this.#rechecks.has(page)) return
    const rows = this.#parts.rowsOf(page, this.readsContent)
    const records = this.#parts.history(page)
    this.#rechecks.delete(page)
    this.#forgetAll(page, entries)
    for (const row of rows)
      if (row.id !== null) this.#admitAgain(row.id, row, records.get(row.id), entries.get(row.id))
    this.#executor?.nudge()
  }

  #admitAgain(id: string, row: PendingRow, history: History | undefined, before: Entry | undefined): void {
    const where = before ? 'walked' : this.#parts.whereIs(row)
    if (where === 'unread') return
    const over = where === 'beyond' ? { passedOver: this.#passedOver, by: where } : undefined
    this.#admit(id, row, { atStart: false, over }, history, before)
  }

  #wake(entries: readonly Entry[]): void {
    for (const entry of entries) this.#parts.lanes.wake(entry)
    this.#executor?.nudge()
  }

  #stillLater(later: Later): boolean {
    return this.#laterById.get(later.id) === later
  }

  /** The host has given a waiting message another time. */
  #moved(id: string, processAfter: string | null): boolean {
    const atMs = this.#laterById.get(id)?.atMs
    return atMs !== undefined && atMs !== dueTime(processAfter)
  }

  #know(id: string, row: PendingRow): void {
    this.#known.set(id, row.seq ?? Number.POSITIVE_INFINITY)
  }

  #forgetAll(ids: readonly string[], entries: ReadonlyMap<string, Entry>): void {
    for (const id of ids) {
      this.#forget(id)
      const entry = entries.get(id)
      if (entry) this.#parts.lanes.remove(entry)
    }
  }

  #forget(id: string): void {
    this.#known.delete(id)
    this.#laterById.delete(id)
  }
}

/** What is left of a pause, however the wall clock was set meanwhile. */
function waitOf({ nextAtMs, waitMs }: History, nowMs: number): number {
  return nextAtMs === null ? 0 : Math.min(nextAtMs - nowMs, waitMs ?? Number.POSITIVE_INFINITY)
}
