// The host's pen: what it writes into messages_in and reads back. The host is the only writer of inbound.db, but there may
// be several hosts at a time, so every number is taken and used inside one transaction that shuts the others out.

import { MESSAGE_COLUMNS, type MessageColumn } from '../../protocol/schema.ts'
import { SEQ_MAX } from '../../store/sqlite/message-rows.ts'
import type { WritableDb } from '../../store/sqlite/open.ts'
import type { HostFile } from './file.ts'

/** A row to insert: checked, and every value in its stored form. */
export interface MessageRow {
  readonly id: string
  readonly kind: string
  readonly timestamp: string
  readonly processAfter: string | null
  readonly recurrence: string | null
  /** The zone that the series counts in, where its recurrence says none. */
  readonly timeZone?: string | undefined
  readonly seriesId: string
  readonly trigger: 0 | 1
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
  readonly content: string
  readonly sourceSessionId: string | null
  readonly onWake: 0 | 1
}

export interface Enqueued {
  readonly id: string
  /** The message's number, even and rising; of the row that was there first when this is a duplicate. */
  readonly seq: number | null
  /** True: a message with this id exists already, and nothing was written. */
  readonly duplicate: boolean
}

export interface PendingRow {
  readonly cursor: number
  readonly id: string
}

export interface TerminalAck {
  readonly id: string
  readonly status: 'completed' | 'failed'
}

export interface StoredMessage {
  readonly id: string
  readonly seq: number | null
  readonly kind: string
  readonly status: string
  readonly tries: number
  readonly processAfter: string | null
}

/**
 * The number that the next one is counted from. Text in the column sorts above every number and is passed over, as are
 * numbers that no runtime counts as one.
 */
export const LAST_SEQ = `(select seq from messages_in where seq < ${SEQ_MAX - 2} order by seq desc limit 1)`

/** All rows in one transaction, each with the next even number; ids that exist already are left as they are. */
export function insertMessages(file: HostFile, rows: Iterable<MessageRow>): Enqueued[] {
  return file.transact((db) => {
    const insert = db.prepare(INSERT)
    const existing = db.prepare('select seq from messages_in where id = ?').pluck()
    const enqueued: Enqueued[] = []
    let seq = nextEvenSeq(db)
    for (const row of rows) {
      if (insert.run(FIELDS.map((field) => (field === 'seq' ? seq : row[field]))).changes > 0) {
        enqueued.push({ id: row.id, seq, duplicate: false })
        seq += 2
        if (row.timeZone !== undefined) noteZone(db, row.seriesId, row.timeZone)
      } else {
        enqueued.push({ id: row.id, seq: existing.get(row.id) as number | null, duplicate: true })
      }
    }
    return enqueued
  })
}

/** Pending messages behind a cursor (0: from the first), in the order they were written; by index, whatever the history. */
export function pendingAfter(file: HostFile, cursor: number, limit: number): PendingRow[] {
  return file.use(
    (db) =>
      db
        .prepare(
          `select rowid as cursor, id from messages_in
           where status = 'pending' and rowid > ? order by rowid limit ?`,
        )
        .all(cursor, limit) as PendingRow[],
  )
}

/** Writes how messages ended. Only rows that are still pending: a pause, a cancellation or an end stays as it is. */
export function settlePending(file: HostFile, acks: readonly TerminalAck[]): TerminalAck[] {
  return file.transact((db) => {
    const settle = db.prepare(`update messages_in set status = ? where id = ? and status = 'pending'`)
    return acks.filter(({ id, status }) => settle.run(status, id).changes > 0)
  })
}

export function getMessage(file: HostFile, id: string): StoredMessage | undefined {
  return file.use(
    (db) =>
      db
        .prepare(
          `select id, seq, kind, status, tries, process_after as "processAfter" from messages_in where id = ?`,
        )
        .get(id) as StoredMessage | undefined,
  )
}

/** null: what the recurrence itself says, or nothing. */
export function noteZone(db: WritableDb, seriesId: string, timeZone: string | null): void {
  if (timeZone === null) db.prepare('delete from nanoclaw_series where series_id = ?').run(seriesId)
  else
    db.prepare('insert or replace into nanoclaw_series (series_id, time_zone) values (?, ?)').run(
      seriesId,
      timeZone,
    )
}

/** What a host says about a new message; the others have their defaults. */
const NEW_COLUMNS = MESSAGE_COLUMNS.filter((name) => name !== 'status' && name !== 'tries')

const INSERT = `insert into messages_in (${NEW_COLUMNS.join(', ')})
  values (${NEW_COLUMNS.map(() => '?').join(', ')}) on conflict (id) do nothing`

/** The field of a new row for each of them: `processAfter` for `process_after`. */
const FIELDS = NEW_COLUMNS.map((name) =>
  name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
) as (Exclude<keyof MessageRow, 'timeZone'> | 'seq')[]

/**
 * Inserts a copy of the message `@from`.
 * @param changes what is not copied, as SQL
 */
export function copyMessage(changes: Readonly<Partial<Record<MessageColumn, string>>>): string {
  return `insert into messages_in (${NEW_COLUMNS.join(', ')})
    select ${NEW_COLUMNS.map((name) => changes[name] ?? name).join(', ')} from messages_in where id = @from`
}

/** The next even number above all of messages_in; the runtime's numbers are odd, so the two never meet. */
export function nextEvenSeq(db: WritableDb): number {
  const last = db.prepare(`select ${LAST_SEQ}`).pluck().get() as number | null
  const floor = Math.max(0, Math.floor(last ?? 0))
  return floor + 2 - (floor % 2)
}
