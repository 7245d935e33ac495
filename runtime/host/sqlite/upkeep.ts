// Maintenance of ended messages: run one again (redrive), and delete old ones (prune).
import type { HostFile } from './file.ts'
import { copyMessage, type Enqueued, LAST_SEQ, nextEvenSeq } from './inbox.ts'

export interface EndedRow {
  readonly cursor: number
  readonly id: string
  readonly seriesId: string
  readonly timestamp: string
  /** Another message of its series has not ended. */
  readonly seriesLives: boolean
}

/**
 * A copy of a message under a new id, to be run at once: in the same series, without its recurrence, which
 * stays with the series, and without `on_wake`.
 */
export function insertRedrive(
  file: HostFile,
  id: string,
  newId: string,
  timestamp: string,
): Enqueued | undefined {
  return file.transact((db) => {
    const copy = { id: newId, seq: nextEvenSeq(db), duplicate: false }
    const { changes } = db
      .prepare(
        copyMessage({
          id: '@id',
          seq: '@seq',
          timestamp: '@timestamp',
          process_after: 'null',
          recurrence: 'null',
          series_id: 'coalesce(series_id, id)',
          on_wake: '0',
        }),
      )
      .run({ id: copy.id, seq: copy.seq, timestamp, from: id })
    return changes > 0 ? copy : undefined
  })
}

/**
 * Ended messages behind a cursor, except those that are still needed: a series continues from its last
 * message, and the highest number must stay, or the next message would get a number that the runtime's scan
 * has passed.
 */
export function endedAfter(file: HostFile, cursor: number, limit: number): EndedRow[] {
  return file.use((db) => {
    const rows = db
      .prepare(
        `select m.rowid as cursor, m.id, coalesce(m.series_id, m.id) as "seriesId", m.timestamp,
           exists (
             select 1 from messages_in l
             where l.series_id = coalesce(m.series_id, m.id) and l.id <> m.id and l.status in ('pending', 'paused')
           ) as "seriesLives"
         from messages_in m
         where m.rowid > ? and m.status in ('completed', 'failed') and m.recurrence is null
           and m.seq is not ${LAST_SEQ}
         order by m.rowid limit ?`,
      )
      .all(cursor, limit) as (Omit<EndedRow, 'seriesLives'> & { seriesLives: 0 | 1 })[]
    return rows.map((row) => ({ ...row, seriesLives: row.seriesLives === 1 }))
  })
}

/** Deletes rows that are still as they were read; returns how many messages were deleted. */
export function deleteEnded(file: HostFile, ids: readonly string[]): number {
  return file.transact((db) => {
    const remove = db.prepare(
      `delete from messages_in where id = ? and status in ('completed', 'failed') and recurrence is null`,
    )
    const gone = ids.reduce((count, id) => count + remove.run(id).changes, 0)
    db.exec(
      `delete from nanoclaw_series where not exists (
         select 1 from messages_in m where m.series_id = nanoclaw_series.series_id or m.id = nanoclaw_series.series_id)`,
    )
    return gone
  })
}

export interface OldDelivery {
  readonly cursor: number
  readonly id: string
  readonly at: string
}

/** Rows of `delivered` after a cursor. */
export function deliveredAfter(file: HostFile, cursor: number, limit: number): OldDelivery[] {
  return file.use(
    (db) =>
      db
        .prepare(
          `select rowid as cursor, message_out_id as id, delivered_at as at from delivered
           where rowid > ? order by rowid limit ?`,
        )
        .all(cursor, limit) as OldDelivery[],
  )
}

export function deleteDelivered(file: HostFile, ids: readonly string[]): number {
  return file.transact((db) => {
    const remove = db.prepare('delete from delivered where message_out_id = ?')
    return ids.reduce((gone, id) => gone + remove.run(id).changes, 0)
  })
}
