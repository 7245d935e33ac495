// Tasks in messages_in: paused, resumed, changed or ended by the host. A series is known by its series_id, or
// by the id of any of its messages; its live messages are pending or paused. A changed message takes a new
// number, so that a runtime whose scan has passed the old number reads it again.

import type { WritableDb } from '../../store/sqlite/open.ts'
import type { HostFile } from './file.ts'
import { nextEvenSeq, noteZone } from './inbox.ts'

export interface TaskRow {
  readonly seriesId: string
  readonly id: string
  readonly kind: string
  readonly status: string
  readonly processAfter: string | null
  readonly recurrence: string | null
  readonly timeZone: string | null
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
  readonly content: string
}

/** The fields of an update; a missing field stays unchanged. */
export interface TaskChange {
  readonly content?: string
  readonly processAfter?: string | null
  readonly recurrence?: string | null
  /** The zone of a recurrence that names none; null: it names its own, or the message does not repeat. */
  readonly timeZone?: string | null
}

const IN_SERIES = '(id = @series or series_id = @series)'
const LIVE = `(status = 'pending' or status = 'paused')`

/** pending → paused; returns how many messages that were. */
export function pauseSeries(file: HostFile, series: string): number {
  return file.transact(
    (db) =>
      db
        .prepare(`update messages_in set status = 'paused' where ${IN_SERIES} and status = 'pending'`)
        .run({ series }).changes,
  )
}

/** paused → pending, each with a new number. */
export function resumeSeries(file: HostFile, series: string): number {
  return file.transact((db) => {
    const paused = db.prepare(
      `select id from messages_in where ${IN_SERIES} and status = 'paused' order by seq`,
    )
    const ids = paused.pluck().all({ series }) as string[]
    const resume = db.prepare(`update messages_in set status = 'pending', seq = ? where id = ?`)
    for (const id of ids) resume.run(nextEvenSeq(db), id)
    return ids.length
  })
}

/**
 * Ends the live messages and the series, also a series whose last message has just ended and has no successor
 * yet.
 */
export function cancelSeries(file: HostFile, series: string): number {
  return file.transact((db) => {
    const ended = db
      .prepare(
        `update messages_in set recurrence = null where ${IN_SERIES} and recurrence is not null and not ${LIVE}`,
      )
      .run({ series })
    const live = db
      .prepare(
        `update messages_in set status = 'completed', recurrence = null where ${IN_SERIES} and ${LIVE}`,
      )
      .run({ series })
    return ended.changes + live.changes
  })
}

/** Ids of the live messages of a series. */
export function liveIds(file: HostFile, series: string): string[] {
  return file.use(
    (db) =>
      db
        .prepare(`select id from messages_in where ${IN_SERIES} and ${LIVE}`)
        .pluck()
        .all({ series }) as string[],
  )
}

/**
 * Changes the live messages of a series; returns how many. A message that has begun keeps its scheduled time:
 * the next occurrence is computed from it. A stopped series with a new recurrence starts from `now`.
 */
export function updateSeries(
  file: HostFile,
  series: string,
  change: TaskChange,
  begun: ReadonlySet<string>,
  now: string,
): number {
  const { recurrence, timeZone, ...rest } = change
  return file.transact((db) => {
    const rows = db
      .prepare(
        `select id, coalesce(series_id, id) as "seriesId", recurrence, ${LIVE} as live from messages_in
         where ${IN_SERIES} and (${LIVE} or recurrence is not null) order by seq`,
      )
      .all({ series }) as { id: string; seriesId: string; recurrence: string | null; live: 0 | 1 }[]
    const live = rows.filter((row) => row.live === 1)
    // Exactly one message keeps the recurrence: the one that has it, or else the last. With two, the series
    // would double.
    const bearer = rows.find((row) => row.recurrence !== null) ?? live.at(-1)
    for (const row of live) {
      const values = row === bearer ? { ...rest, recurrence } : rest
      if (begun.has(row.id)) setColumns(db, row.id, { ...values, processAfter: undefined })
      else setColumns(db, row.id, { ...values, seq: nextEvenSeq(db) })
    }
    if (bearer && timeZone !== undefined) noteZone(db, bearer.seriesId, timeZone)
    if (bearer === undefined || bearer.live === 1 || recurrence === undefined) return live.length
    setColumns(db, bearer.id, { ...rest, recurrence, processAfter: now })
    return live.length + 1
  })
}

/**
 * Live messages that are tasks or repeat, and series that wait for their next occurrence; in the order of
 * writing.
 */
export function listTasks(file: HostFile): TaskRow[] {
  const columns = `rowid, coalesce(series_id, id) as "seriesId", id, kind, status, process_after as "processAfter", recurrence,
    (select s.time_zone from nanoclaw_series s where s.series_id = coalesce(m.series_id, m.id)) as "timeZone",
    platform_id as "platformId", channel_type as "channelType", thread_id as "threadId", content`
  return file.use((db) =>
    db
      .prepare(
        `select ${columns} from messages_in m where ${LIVE} and kind = 'task'
         union
         select ${columns} from messages_in m indexed by nanoclaw_recurring where recurrence is not null
         order by rowid`,
      )
      .all()
      .map((row) => {
        const { rowid: _, ...task } = row as TaskRow & { rowid: number }
        return task
      }),
  )
}

const COLUMNS = {
  content: 'content',
  processAfter: 'process_after',
  recurrence: 'recurrence',
  seq: 'seq',
} as const

function setColumns(db: WritableDb, id: string, values: { [name in keyof typeof COLUMNS]?: unknown }): void {
  const names = (Object.keys(COLUMNS) as (keyof typeof COLUMNS)[]).filter(
    (name) => values[name] !== undefined,
  )
  if (names.length === 0) return
  const set = names.map((name) => `${COLUMNS[name]} = @${name}`).join(', ')
  db.prepare(`update messages_in set ${set} where id = @id`).run({ ...values, id })
}
