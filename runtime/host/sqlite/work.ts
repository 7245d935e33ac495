// A supervisor's queries on the two files: due messages that have not ended, the next due time, and the open
// claims. By index, in pages; tables that only some runtimes have are checked for first.
import { HAS_ENDED } from '../../protocol/ack.ts'
import { LONG_TOOL, RUNNING } from '../../protocol/schema.ts'
import { parseTime } from '../../protocol/time.ts'
import { hasTable, type ReadonlyDb } from '../../store/sqlite/open.ts'
import type { WaitingFor } from '../status.ts'
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

/**
 * Pending messages that wake a runtime, behind a cursor: those with trigger 1, and answers to questions,
 * which some hosts write with trigger 0.
 */
export function wakingAfter(file: HostFile, cursor: number, limit: number): WakingRow[] {
  return file.use(
    (db) =>
      db
        .prepare(
          `select rowid as cursor, id, process_after as "processAfter" from messages_in
           where status = 'pending' and rowid > ?
             and (trigger = 1 or (kind = 'system' and content like '%"question_response"%')) order by rowid limit ?`,
        )
        .all(cursor, limit) as WakingRow[],
  )
}

/**
 * The given messages that wait for a runtime now: not ended, without a retry that is due later, and without a
 * handler that waits for something which has not come.
 */
export function unended(outbox: HostOutbox, ids: readonly string[], nowMs: number): Read<string[]> {
  return outbox.read((db) => {
    const waits = WAITS.filter(([table]) => hasTable(db, table))
    const rows = db
      .prepare(
        `select m.value from json_each(?) m
         where not exists (select 1 from processing_ack a
           where a.message_id = m.value and a.${HAS_ENDED})
         ${waits.map(([table, rule]) => `and not exists (select 1 from ${table} w where w.message_id = m.value and ${rule})`).join(' ')}`,
      )
      .all(JSON.stringify(ids), ...waits.map(() => nowMs)) as [string][]
    return rows.map(([id]) => id)
  })
}

const WAITS = [
  ['nanoclaw_run', 'w.next_at > ?'],
  ['nanoclaw_waiting', 'w.ready = 0 and w.wake_at > ?'],
] as const

/**
 * When the next retry, or the next end of a wait, is due after now, as recorded by this project's runtime.
 */
export function nextAttemptMs(outbox: HostOutbox, nowMs: number): Read<number | null> {
  return outbox.read((db) => {
    const times = ATTEMPTS.flatMap(([table, column]) => {
      if (!hasTable(db, table)) return []
      const row = db.prepare(`select min(${column}) from ${table} where ${column} > ?`).get(nowMs)
      return (row as [number | null])[0] ?? []
    })
    return times.length > 0 ? Math.min(...times) : null
  })
}

const ATTEMPTS = [
  ['nanoclaw_run', 'next_at'],
  ['nanoclaw_waiting', 'wake_at'],
] as const

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

/** What the handler of a message waits for; none while it runs, or when what it waited for has come. */
export function openWaits(outbox: HostOutbox, id: string): Read<WaitingFor[]> {
  return outbox.read((db) => {
    if (!hasTable(db, 'nanoclaw_waiting')) return []
    const rows = db
      .prepare(
        `select s.name, s.kind, s.question_id, s.wake_at from nanoclaw_waiting w
         join nanoclaw_step s on s.message_id = w.message_id
         where w.message_id = ? and w.ready = 0 and s.state = 'open' order by s.wake_at, s.name`,
      )
      .all(id) as [string, WaitingFor['kind'], string | null, number][]
    return rows.map(([name, kind, questionId, untilMs]) => ({ name, kind, questionId, untilMs }))
  })
}
