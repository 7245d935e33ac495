// What is left to do in a workspace, counted from both files. The walk goes over inbound.db in windows and
// looks up each window's acks, so that no read lock is held for longer than one window takes, however long
// the history is.
import { endOf } from '../../protocol/ack.ts'
import { messageColumn } from '../../protocol/schema.ts'
import { parseTime } from '../../protocol/time.ts'
import { columnsOf, type ReadonlyDb } from './open.ts'

/** Messages that have not ended. */
export interface Backlog {
  readonly due: number
  /** Due messages by kind: compared with the functions it shows which kinds have none. */
  readonly dueByKind: Readonly<Record<string, number>>
  readonly oldestDueAtMs: number | null
  readonly later: number
  readonly nextDueAtMs: number | null
  readonly processing: number
  readonly retrying: number
  readonly nextRetryAtMs: number | null
  /** Their handlers wait (ctx.sleep, ctx.ask). */
  readonly waiting: number
  readonly nextWakeAtMs: number | null
  /** Held back by the host. */
  readonly paused: number
}

/** Rows passed over in one read: some milliseconds. */
const WINDOW_ROWS = 5_000

/**
 * @param recordsOf what outbound.db knows about messages, see readRecords; null when it cannot be read
 * @returns null when a lookup returned null
 */
export function countBacklog(
  inbound: ReadonlyDb,
  recordsOf: (ids: readonly string[]) => ReadonlyMap<string, Recorded> | null,
  nowMs: number,
): Backlog | null {
  const count = new Counter(nowMs)
  for (const rows of windows(inbound)) {
    const records = recordsOf(rows.map(({ id }) => id))
    if (!records) return null
    for (const row of rows) count.add(row, records.get(row.id))
  }
  return count
}

interface OpenRow {
  readonly id: string
  readonly kind: string
  readonly status: string
  readonly timestamp: string
  readonly processAfter: string | null
}

export interface Recorded {
  readonly ack: string | null
  readonly nextAtMs: number | null
  /** When its wait ends at the latest; null: it does not wait, or not any longer. */
  readonly wakeAtMs: number | null
}

function* windows(db: ReadonlyDb): Generator<readonly OpenRow[]> {
  const columns = columnsOf(db, 'messages_in')
  const status = messageColumn(columns, 'status')
  const processAfter = messageColumn(columns, 'process_after')
  const windowEnd = db.prepare(
    'select rowid from messages_in where rowid > ? order by rowid limit 1 offset ?',
  )
  const openRows = db.prepare(
    `select id, kind, ${status}, timestamp, ${processAfter} from messages_in
     where rowid > ? and rowid <= ? and ${status} in ('pending', 'paused')`,
  )
  for (let from = Number.MIN_SAFE_INTEGER, to = from; to !== Number.MAX_SAFE_INTEGER; from = to) {
    const end = windowEnd.get(from, WINDOW_ROWS) as [number] | undefined
    to = end?.[0] ?? Number.MAX_SAFE_INTEGER
    yield (openRows.all(from, to) as (string | null)[][]).map(([id, kind, state, timestamp, after]) => {
      return {
        id: String(id),
        kind: String(kind),
        status: String(state),
        timestamp: String(timestamp),
        processAfter: after ?? null,
      }
    })
  }
}

/** One entry for each id that was asked for. */
export function readRecords(db: ReadonlyDb, ids: readonly string[]): ReadonlyMap<string, Recorded> {
  if (ids.length === 0 || columnsOf(db, 'processing_ack').size === 0) return new Map()
  const nextAt =
    '(select r.next_at from nanoclaw_run r where r.message_id = m.value and r.next_at is not null)'
  const wakeAt = '(select w.wake_at from nanoclaw_waiting w where w.message_id = m.value and w.ready = 0)'
  const rows = db
    .prepare(
      `select m.value, a.status, ${columnsOf(db, 'nanoclaw_run').size > 0 ? nextAt : 'null'},
         ${columnsOf(db, 'nanoclaw_waiting').size > 0 ? wakeAt : 'null'}
       from json_each(?) m left join processing_ack a on a.message_id = m.value`,
    )
    .all(JSON.stringify(ids)) as [string, string | null, number | null, number | null][]
  return new Map(rows.map(([id, ack, nextAtMs, wakeAtMs]) => [id, { ack, nextAtMs, wakeAtMs }]))
}

class Counter implements Backlog {
  due = 0
  readonly dueByKind: Record<string, number> = Object.create(null)
  oldestDueAtMs: number | null = null
  later = 0
  nextDueAtMs: number | null = null
  processing = 0
  retrying = 0
  nextRetryAtMs: number | null = null
  waiting = 0
  nextWakeAtMs: number | null = null
  paused = 0
  readonly #nowMs: number

  constructor(nowMs: number) {
    this.#nowMs = nowMs
  }

  add(row: OpenRow, record: Recorded | undefined): void {
    if (record?.ack && endOf(record.ack)) return
    if (record?.ack) this.processing++
    else if (row.status === 'paused') this.paused++
    else if (record && record.nextAtMs !== null) {
      this.retrying++
      this.nextRetryAtMs = earlier(this.nextRetryAtMs, record.nextAtMs)
    } else if (record && record.wakeAtMs !== null && record.wakeAtMs > this.#nowMs) {
      this.waiting++
      this.nextWakeAtMs = earlier(this.nextWakeAtMs, record.wakeAtMs)
    } else this.#addPending(row)
  }

  #addPending({ kind, timestamp, processAfter }: OpenRow): void {
    // A time that cannot be read is due: the runtime ends such a message as failed, with that reason.
    const dueAtMs = processAfter ? parseTime(processAfter) : undefined
    if (dueAtMs !== undefined && dueAtMs > this.#nowMs) {
      this.later++
      this.nextDueAtMs = earlier(this.nextDueAtMs, dueAtMs)
      return
    }
    this.due++
    this.dueByKind[kind] = (this.dueByKind[kind] ?? 0) + 1
    const sinceMs = Math.max(parseTime(timestamp) ?? this.#nowMs, dueAtMs ?? 0)
    this.oldestDueAtMs = earlier(this.oldestDueAtMs, sinceMs)
  }
}

function earlier(a: number | null, b: number): number {
  return a === null ? b : Math.min(a, b)
}
