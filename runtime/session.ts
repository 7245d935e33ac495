// One folder. The session reads what the host writes and feeds the executor; many sessions can live in one process.
//
//   look     anything new? walk forward from where the last walk ended, page by page                     (event, poll)
//   patrol   walk again, slowly, over what the walk has passed: a row that the host changed there, or that this runtime
//            had to forget for lack of memory, is found within one lap                                    (poll)
//   admit    one row: refuse it, hold it (no function for it), keep it for later, or put it in its lane
//
// A message known here is in exactly one place: in a lane, in `later`, or in `held`; `known` says which ids are.
// Nothing here must survive a crash: all of it is found again in the two files.
import type { Clock, Timer } from './clock.ts'
import type { Executor, Intake } from './execute.ts'
import type { Events } from './protocol/events.ts'
import type { FunctionSpec, Routable } from './protocol/function.ts'
import { parseTime } from './protocol/time.ts'
import type { History, Mark, RawId } from './protocol/turn.ts'
import { DueQueue } from './schedule/due-queue.ts'
import type { Entry, Lanes } from './schedule/lanes.ts'

export interface Cursor {
  readonly seq: number
  readonly rowid: number
}

export interface PendingRow extends Routable {
  readonly id: string | null
  readonly rowid: number
  readonly seq: number | null
  readonly processAfter: string | null
  readonly onWake: boolean
  readonly contentBytes: number
}

export interface InboundFile {
  changed(doubt: boolean): 'no' | 'yes' | 'replaced'
  getPendingMessages(
    after: Cursor,
    limit: number,
    withContent: boolean,
  ): { readonly rows: readonly PendingRow[]; readonly cursor: Cursor; readonly end: boolean }
  getPendingByIds(ids: readonly string[], withContent: boolean): readonly PendingRow[]
  maxSeq(): number
  rawId(rowid: number): RawId | null
}

export interface Router {
  readonly readsContent: boolean
  route(message: Routable): FunctionSpec | undefined
  keyOf(spec: FunctionSpec, message: Routable): string | null
}

export interface SessionParts {
  readonly clock: Clock
  readonly events: Events
  readonly inbound: InboundFile
  readonly history: (ids: readonly string[]) => ReadonlyMap<string, History>
  readonly lanes: Lanes
  readonly start: Cursor
  readonly mark: Mark
  readonly maxContentBytes: number
  readonly pollMs: number
  /** What an error of the reading side means: again in a moment, or not readable for now (and why). */
  readonly classify: (
    error: unknown,
  ) => { readonly retry: true } | { readonly retry: false; readonly reason: string }
  readonly path: string
}

const PAGE = 500
/** Entries in lanes; above that the walk waits. About 300 bytes each, content not included. */
const READY_MAX = 20_000
/** Messages remembered that are due later; beyond, only those that are due first are kept. */
const LATER_MAX = 20_000
/** Messages without a function that are remembered one by one; the rest is found again by patrol. */
const HELD_MAX = 10_000
/** Messages up to the mark that may be open: the price of a start is to look at each of them. */
const OPEN_MAX = 1_000
const MARK_EVERY_MS = 1_000
/** A read that met the host's lock is tried again after these pauses; the last one is repeated. */
const RETRY_MS = [1, 1, 2, 4, 8, 16]

/** A message that is not due yet, and the time that was read for it. */
interface Later {
  readonly id: string
  readonly atMs: number
}

type Held = { readonly row: PendingRow; readonly why: 'unroutable' | 'on-wake' }

export class Session implements Intake {
  readonly #parts: SessionParts
  readonly #known = new Map<string, number>()
  readonly #later: DueQueue<Later>
  readonly #laterAtMs = new Map<string, number>()
  readonly #retries: DueQueue<Entry>
  readonly #held = new Map<string, Held>()
  /** Rows without a proper id that have been refused. */
  readonly #nameless = new Set<number>()
  #executor: Executor | undefined
  #router: Router
  #walked: Cursor
  #walking = false
  /** Rows up to here may be on record in outbound.db already; those behind it are new to everybody. */
  #recordedUpTo = Number.POSITIVE_INFINITY
  #firstLap = true
  #patrolled: Cursor
  #patrolTo = Number.NEGATIVE_INFINITY
  #patrolAgain = true
  #unnumbered = 0
  #markedAtMs = 0
  #marked: number
  #step: Timer | undefined
  #poll: Timer | undefined
  #busyReads = 0
  #retryTimer: Timer | undefined
  readonly #retrying = new Set<() => void>()
  readonly #lookSoon = () => this.look(false)
  #waitingFor: string | undefined
  #stopped = false

  constructor(parts: SessionParts, router: Router) {
    this.#parts = parts
    this.#router = router
    this.#walked = { ...parts.start, seq: parts.mark.seq }
    this.#patrolled = parts.start
    this.#marked = parts.mark.seq
    const { clock } = parts
    this.#later = new DueQueue({
      clock,
      max: LATER_MAX,
      onDue: (due) => this.#recheck(due.filter((each) => this.#stillLater(each)).map(({ id }) => id)),
      onForget: (far) => far.filter((each) => this.#stillLater(each)).forEach(({ id }) => this.#forget(id)),
      onHorizon: () => this.#patrolFromStart(),
    })
    this.#retries = new DueQueue({
      clock,
      max: Number.POSITIVE_INFINITY,
      onDue: (entries) => this.#wake(entries),
    })
  }

  start(executor: Executor): void {
    this.#executor = executor
    this.look(false)
    this.#armPoll()
  }

  stop(): void {
    this.#stopped = true
    this.#step?.cancel()
    this.#poll?.cancel()
    this.#retryTimer?.cancel()
    this.#later.clear()
    this.#retries.clear()
  }

  /** How many messages wait for a function, by kind. */
  unroutable(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { row, why } of this.#held.values())
      if (why === 'unroutable') counts[row.kind] = (counts[row.kind] ?? 0) + 1
    return counts
  }

  /** What keeps the file from being read, if anything does. */
  get waitingFor(): string | undefined {
    return this.#waitingFor
  }

  /** Somebody says that the file has changed; `doubt`: nobody does, but look with fresh eyes. */
  look(doubt: boolean): void {
    this.#reading(() => {
      const changed = this.#parts.inbound.changed(doubt)
      if (changed === 'replaced') this.#startOver()
      if (changed !== 'no') {
        this.#patrolAgain = true
        this.#walking = true
      }
      this.#walk()
    })
  }

  /** The functions are others now: what waits is routed anew. */
  reroute(router: Router): void {
    this.#router = router
    const waiting = this.#parts.lanes.empty()
    this.#retries.clear()
    const ids = [...waiting.map((entry) => entry.id), ...this.#held.keys()]
    this.#held.clear()
    this.#recheck(ids, new Map(waiting.map((entry) => [entry.id, recordOf(entry)])))
    this.#patrolFromStart()
  }

  gone(entry: Entry): void {
    this.#known.delete(entry.id)
    if (this.#walking && this.#parts.lanes.size < READY_MAX / 2) this.#stepSoon()
  }

  waits(entry: Entry): void {
    this.#retries.push(entry.waitsUntilMs, entry)
  }

  lookAgain(entry: Entry): void {
    this.#known.delete(entry.id)
    this.#recheck([entry.id])
  }

  mark(nowMs: number): Mark | null {
    if (nowMs - this.#markedAtMs < MARK_EVERY_MS || this.#walked.seq === this.#marked) return null
    this.#markedAtMs = nowMs
    return this.currentMark()
  }

  /** What a start may skip: as far as the walk has come, or less when too many messages are open. */
  currentMark(): Mark {
    const open = [...this.#known].filter(([, seq]) => seq <= this.#walked.seq)
    const first = open.length <= OPEN_MAX ? open : open.sort(([, a], [, b]) => a - b).slice(0, OPEN_MAX)
    const seq = open.length <= OPEN_MAX ? this.#walked.seq : (first.at(-1)?.[1] ?? 0)
    this.#marked = seq
    return { seq, open: first.map(([id]) => id) }
  }

  #walk(): void {
    if (!this.#walking || this.#parts.lanes.size >= READY_MAX) return
    const { inbound, mark } = this.#parts
    if (this.#firstLap && this.#walked.seq === mark.seq) {
      // A file that ends before the mark is not the one that the mark was made for.
      if (inbound.maxSeq() < mark.seq) this.#walked = this.#parts.start
      else this.#admitAll(inbound.getPendingByIds(mark.open, this.#router.readsContent), true)
    }
    const { rows, cursor, end } = this.#page(this.#walked)
    this.#admitAll(rows, this.#walked.seq < this.#recordedUpTo)
    this.#walked = cursor
    if (end) {
      this.#walking = false
      if (this.#firstLap) this.#recordedUpTo = cursor.seq
      this.#firstLap = false
    } else this.#stepSoon()
  }

  #patrol(): void {
    if (this.#walking || this.#firstLap) return
    if (this.#patrolled.seq >= this.#patrolTo) {
      if (!this.#patrolAgain) return
      this.#patrolAgain = false
      this.#patrolled = { ...this.#parts.start, rowid: this.#walked.rowid }
      this.#patrolTo = this.#walked.seq
    }
    const { rows, cursor } = this.#page(this.#patrolled)
    this.#admitAll(
      rows.filter((row) => row.seq !== null && row.seq <= this.#patrolTo),
      true,
    )
    this.#patrolled = { seq: Math.max(cursor.seq, this.#patrolled.seq), rowid: this.#patrolled.rowid }
  }

  #patrolFromStart(): void {
    this.#patrolTo = Number.NEGATIVE_INFINITY
    this.#patrolAgain = true
  }

  #page(after: Cursor): ReturnType<InboundFile['getPendingMessages']> {
    return this.#parts.inbound.getPendingMessages(after, PAGE, this.#router.readsContent)
  }

  /** Reads these rows again and puts each where it belongs now. `records`: what is known of them that may not be on disk yet. */
  #recheck(ids: readonly string[], records?: ReadonlyMap<string, History>): void {
    for (const id of ids) this.#forget(id)
    for (let from = 0; from < ids.length; from += PAGE) {
      const page = ids.slice(from, from + PAGE)
      this.#reading(
        () =>
          this.#admitAll(this.#parts.inbound.getPendingByIds(page, this.#router.readsContent), true, records),
        () => this.#recheck(page, records),
      )
    }
  }

  #admitAll(
    rows: readonly PendingRow[],
    recorded: boolean,
    records: ReadonlyMap<string, History> = NO_RECORDS,
  ): void {
    const fresh = rows.filter(
      (row) => row.id === null || !this.#known.has(row.id) || this.#moved(row.id, row),
    )
    const numberless = fresh.some((row) => row.seq === null)
    const ids = recorded || numberless ? fresh.flatMap((row) => row.id ?? []) : []
    const history = ids.length > 0 ? this.#parts.history(ids) : NO_RECORDS
    for (const row of fresh)
      this.#admit(row, row.id === null ? undefined : (records.get(row.id) ?? history.get(row.id)))
    this.#executor?.nudge()
  }

  #admit(row: PendingRow, history: History | undefined): void {
    const { id } = row
    if (id === null) return this.#refuseNameless(row)
    if (history?.done) return
    const { clock, lanes, maxContentBytes } = this.#parts
    const dueAtMs = row.processAfter ? parseTime(row.processAfter) : 0
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
    if (row.onWake && !this.#firstLap) return this.#hold(id, row, 'on-wake')
    if (dueAtMs > clock.now()) {
      if (!this.#later.push(dueAtMs, { id, atMs: dueAtMs })) return
      this.#laterAtMs.set(id, dueAtMs)
      this.#know(row)
      return
    }
    this.#laterAtMs.delete(id)
    const spec = this.#router.route(row)
    if (!spec) return this.#hold(id, row, 'unroutable')
    this.#know(row)
    const entry: Entry = {
      id,
      order: row.seq ?? UNNUMBERED_FROM + this.#unnumbered++,
      spec,
      key: this.#router.keyOf(spec, row),
      contentBytes: row.contentBytes,
      runs: history?.runs ?? 0,
      attempts: history?.attempts ?? 0,
      crashes: history?.crashes ?? 0,
      alone: (history?.crashes ?? 0) > 0 || (history?.interrupted ?? false),
      waitsUntilMs: 0,
    }
    if (history?.nextAtMs && history.nextAtMs > clock.now()) {
      entry.waitsUntilMs = history.nextAtMs
      this.#retries.push(history.nextAtMs, entry)
    }
    lanes.add(entry)
  }

  /** Whether what is due is what was last said of this message: the host may have moved it since. */
  #stillLater({ id, atMs }: Later): boolean {
    return this.#laterAtMs.get(id) === atMs
  }

  /** The host has given a waiting message another time. */
  #moved(id: string, row: PendingRow): boolean {
    const atMs = this.#laterAtMs.get(id)
    return atMs !== undefined && atMs !== (row.processAfter ? parseTime(row.processAfter) : 0)
  }

  #forget(id: string): void {
    this.#known.delete(id)
    this.#laterAtMs.delete(id)
  }

  #know(row: PendingRow): void {
    if (row.id !== null) this.#known.set(row.id, row.seq ?? Number.POSITIVE_INFINITY)
  }

  #hold(id: string, row: PendingRow, why: Held['why']): void {
    if (this.#held.size >= HELD_MAX) return
    this.#held.set(id, { row: { ...row, content: null }, why })
    this.#know(row)
    if (why === 'unroutable') this.#parts.events.emit('unroutable', { id, kind: row.kind })
  }

  /** Its id is no text, or none at all: no function could be told which message it has. Said once. */
  #refuseNameless({ rowid }: PendingRow): void {
    if (this.#nameless.has(rowid) || this.#nameless.size >= HELD_MAX) return
    const rawId = this.#parts.inbound.rawId(rowid)
    this.#nameless.add(rowid)
    const id = rawId ? Buffer.from(rawId.bytes).toString('utf8') : `row ${rowid}`
    const detail = rawId ? 'the id is not UTF-8 text' : 'the id is null, so no ack can name the message'
    this.#executor?.refuse({ id, rawId, reason: 'bad_id', detail })
  }

  #refuse(id: string, reason: string, detail: string): void {
    this.#executor?.refuse({ id, reason, detail })
  }

  #wake(entries: readonly Entry[]): void {
    for (const entry of entries) this.#parts.lanes.wake(entry)
    this.#executor?.nudge()
  }

  /** Another file stands at the path: what was read from the old one and does not run yet is not started. */
  #startOver(): void {
    for (const entry of this.#parts.lanes.empty()) this.#known.delete(entry.id)
    for (const { id } of this.#later.clear()) this.#forget(id)
    for (const id of this.#held.keys()) this.#known.delete(id)
    this.#held.clear()
    this.#nameless.clear()
    this.#walked = this.#parts.start
    this.#recordedUpTo = Number.POSITIVE_INFINITY
    this.#patrolFromStart()
  }

  #stepSoon(): void {
    this.#step ??= this.#parts.clock.soon(() => {
      this.#step = undefined
      this.#reading(() => this.#walk())
    })
  }

  #armPoll(): void {
    if (this.#stopped) return
    this.#poll = this.#parts.clock.after(this.#parts.pollMs, () => {
      this.look(true)
      if (this.#waitingFor === undefined) this.#reading(() => this.#patrol())
      this.#armPoll()
    })
  }

  /** The executor could not read what it was about to run. */
  readFailed(error: unknown): void {
    this.#reading(
      () => {
        throw error
      },
      () => this.#executor?.nudge(),
    )
  }

  /** Reads, and when the file cannot be read: in a moment again, or (said once) when the poll finds it readable. */
  #reading(read: () => void, again: () => void = this.#lookSoon): void {
    if (this.#stopped) return
    const { classify, events, path } = this.#parts
    try {
      read()
      this.#busyReads = 0
      if (this.#waitingFor !== undefined) {
        this.#waitingFor = undefined
        events.emit('readable', { path })
        this.#executor?.nudge()
      }
    } catch (error) {
      const meaning = classify(error)
      if (meaning.retry) return this.#retry(again)
      this.#patrolFromStart()
      if (this.#waitingFor === meaning.reason) return
      this.#waitingFor = meaning.reason
      events.emit('waiting', { path, reason: meaning.reason })
    }
  }

  /** One timer for whatever has to be read again, however many have met the lock. */
  #retry(again: () => void): void {
    this.#retrying.add(again)
    if (this.#retryTimer) return
    const pauseMs = RETRY_MS[Math.min(this.#busyReads++, RETRY_MS.length - 1)] ?? 1
    this.#retryTimer = this.#parts.clock.after(pauseMs, () => {
      this.#retryTimer = undefined
      const calls = [...this.#retrying]
      this.#retrying.clear()
      for (const call of calls) call()
    })
  }
}

/** Messages without a number queue behind all that have one. */
const UNNUMBERED_FROM = 2 ** 52
const NO_RECORDS: ReadonlyMap<string, History> = new Map()

function recordOf({ runs, attempts, crashes, alone, waitsUntilMs }: Entry): History {
  return { done: false, runs, attempts, crashes, interrupted: alone, nextAtMs: waitsUntilMs || null }
}
