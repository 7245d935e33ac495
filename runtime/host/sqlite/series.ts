// How a series goes on in messages_in. Its recurrence stands in one message at a time: when that one has ended, its successor
// takes the recurrence over, in the same transaction, so that there are never two of them and never none.

import type { WritableDb } from '../../store/sqlite/open.ts'
import type { HostFile } from './file.ts'
import { copyMessage, nextEvenSeq } from './inbox.ts'

export interface EndedOccurrence {
  readonly id: string
  readonly seriesId: string
  readonly recurrence: string
  /** null: none is noted. */
  readonly timeZone: string | null
  readonly processAfter: string | null
  readonly timestamp: string
}

export interface Successor {
  readonly id: string
  readonly processAfter: string
  readonly timestamp: string
}

/** Messages that have ended and whose series goes on, except those marked as stopped. */
export function endedOccurrences(file: HostFile, stoppedPrefix: string): EndedOccurrence[] {
  return file.use(
    (db) =>
      db
        .prepare(
          `select id, coalesce(series_id, id) as "seriesId", recurrence, process_after as "processAfter", timestamp,
             (select s.time_zone from nanoclaw_series s where s.series_id = coalesce(m.series_id, m.id)) as "timeZone"
           from messages_in m indexed by nanoclaw_recurring
           where recurrence is not null and status in ('completed', 'failed') and substr(recurrence, 1, ?) <> ?
           order by rowid`,
        )
        .all(stoppedPrefix.length, stoppedPrefix) as EndedOccurrence[],
  )
}

/** The next occurrence inserted and the old one's recurrence cleared, or neither; false when another host was first. */
export function insertSuccessor(file: HostFile, ended: EndedOccurrence, successor: Successor): boolean {
  return file.transact((db) => {
    if (!setRecurrence(db, ended, null)) return false
    const { changes } = db
      .prepare(
        copyMessage({
          id: '@id',
          seq: '@seq',
          timestamp: '@timestamp',
          process_after: '@processAfter',
          recurrence: '@recurrence',
          series_id: '@seriesId',
        }),
      )
      .run({
        ...successor,
        seq: nextEvenSeq(db),
        recurrence: ended.recurrence,
        seriesId: ended.seriesId,
        from: ended.id,
      })
    return changes > 0
  })
}

/** Keeps the expression, marked, for people to see. */
export function markStopped(file: HostFile, ended: EndedOccurrence, marked: string): boolean {
  return file.transact((db) => setRecurrence(db, ended, marked))
}

function setRecurrence(db: WritableDb, { id, recurrence }: EndedOccurrence, value: string | null): boolean {
  return (
    db
      .prepare(
        `update messages_in set recurrence = ? where id = ? and recurrence = ? and status in ('completed', 'failed')`,
      )
      .run(value, id, recurrence).changes > 0
  )
}
