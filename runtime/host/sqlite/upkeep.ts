// What a host does with messages that have ended: run one again, and forget the old ones.
import type { HostFile } from './file.ts'
import { copyMessage, type Enqueued, LAST_SEQ, nextEvenSeq } from './inbox.ts'

export interface EndedMessage {
  readonly cursor: number
  readonly id: string
  readonly seriesId: string
  readonly timestamp: string
  /** Another message of its series is still to be done. */
  readonly seriesLives: boolean
}

/**
 * A copy of a message under a new id, to be run at once: in the same series, without a recurrence, which the series itself
 * goes on with, and not only by a runtime that starts.
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
 * Ended messages behind a cursor, except those that something still depends on: a series goes on from its last message,
 * and the highest number must stay, or the next message would get one that the runtime has already read past.
 */
export function endedAfter(file: HostFile, cursor: number, limit: number): EndedMessage[] {
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
      .all(cursor, limit) as (Omit<EndedMessage, 'seriesLives'> & { seriesLives: 0 | 1 })[]
    return rows.map((row) => ({ ...row, seriesLives: row.seriesLives === 1 }))
  })
}

/** Only what is still as it was read; returns how many messages are gone. */
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

/** What stands in `delivered` behind a cursor. */
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
