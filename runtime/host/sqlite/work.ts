// A supervisor's queries on the two files: due messages that have not ended, the next due time, and the open
// claims. By index, in pages; tables that only some runtimes have are checked for first.
import { HAS_ENDED } from '../../protocol/ack.ts'
import { LONG_TOOL, RUNNING } from '../../protocol/schema.ts'
import { parseTime } from '../../protocol/time.ts'
import { hasTable, type ReadonlyDb } from '../../store/sqlite/open.ts'
import type { HostFile } from './file.ts'
import type { HostOutbox, Read } from './outbox.ts'

export interface WakingRow {
  readonly cursor: number
  readonly id: string
  readonly processAfter: string | null
}

export interface OpenClaim {
  readonly id: string
  readonly atMs: number
}

export interface OpenClaims {
  readonly claims: readonly OpenClaim[]
  /** The declared time limit of the operation that runs now; 0: none is declared. */
  readonly declaredMs: number
}

/** A runner's claims are its newest acks: it replaces the row with each change. */
const ACKS_LOOKED_AT = 5_000

/** Pending messages that wake a runtime (trigger 1), behind a cursor. */
export function wakingAfter(file: HostFile, cursor: number, limit: number): WakingRow[] {
  return file.use(
    (db) =>
      db
        .prepare(
          `select rowid as cursor, id, process_after as "processAfter" from messages_in
           where status = 'pending' and trigger = 1 and rowid > ? order by rowid limit ?`,
        )
        .all(cursor, limit) as WakingRow[],
  )
}

/** The given messages that wait for a runtime now: not ended, and without a retry that is due later. */
export function unended(outbox: HostOutbox, ids: readonly string[], nowMs: number): Read<string[]> {
  return outbox.read((db) => {
    const mayWait = hasTable(db, 'nanoclaw_run')
    const rows = db
      .prepare(
        `select m.value from json_each(?) m
         where not exists (select 1 from processing_ack a
           where a.message_id = m.value and a.${HAS_ENDED})
         ${mayWait ? 'and not exists (select 1 from nanoclaw_run r where r.message_id = m.value and r.next_at > ?)' : ''}`,
      )
      .all(JSON.stringify(ids), ...(mayWait ? [nowMs] : [])) as [string][]
    return rows.map(([id]) => id)
  })
}

/** When the next retry after now is due, as recorded by this project's runtime. */
export function nextAttemptMs(outbox: HostOutbox, nowMs: number): Read<number | null> {
  return outbox.read((db) => {
    if (!hasTable(db, 'nanoclaw_run')) return null
    const [atMs] = db.prepare('select min(next_at) from nanoclaw_run where next_at > ?').get(nowMs) as [
      number | null,
    ]
    return atMs
  })
}

/**
 * The open claims. This project's runtime lists what it runs; for any other runner only the newest acks are
 * read, since acks are not indexed by status.
 */
export function claimsNow(outbox: HostOutbox): Read<OpenClaims> {
  return outbox.read((db) => {
    const claims = hasTable(db, 'nanoclaw_batch')
      ? db
          .prepare(`select message_id, started_at from (${RUNNING})`)
          .all()
          .map((row) => claim(row as [string, number]))
      : db
          .prepare(
            `select message_id, status_changed from
               (select message_id, status, status_changed from processing_ack order by rowid desc limit ${ACKS_LOOKED_AT})
             where status = 'processing'`,
          )
          .all()
          .map((row) => claim(row as [string, string]))
    return { claims, declaredMs: declaredMs(db) }
  })
}

function claim([id, at]: [string, string | number]): OpenClaim {
  return { id, atMs: typeof at === 'number' ? at : (parseTime(at) ?? 0) }
}

function declaredMs(db: ReadonlyDb): number {
  if (!hasTable(db, 'container_state')) return 0
  const row = db
    .prepare('select tool_declared_timeout_ms from container_state where current_tool = ?')
    .get(LONG_TOOL) as [unknown] | undefined
  return typeof row?.[0] === 'number' ? row[0] : 0
}
