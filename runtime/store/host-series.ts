// Tasks and recurrences in messages_in. A series is known by its series_id, or by the id of any of its messages; its live
// message is the one that is pending or paused. A message that is changed takes a new number, so that a runtime that has
// already read past the old one meets it again.
import type { HostFile } from './host-file.ts'
import { nextEvenSeq } from './host-inbox.ts'
import type { WritableDb } from './open.ts'

export interface EndedOccurrence {
  readonly id: string
  readonly seriesId: string
  readonly recurrence: string
  readonly processAfter: string | null
  readonly timestamp: string
}

export interface Successor {
  readonly id: string
  readonly processAfter: string
  readonly timestamp: string
}

export interface TaskRow {
  readonly seriesId: string
  readonly id: string
  readonly kind: string
  readonly status: string
  readonly processAfter: string | null
  readonly recurrence: string | null
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
  readonly content: string
}

/** What an update sets; a field that is left out stays. */
export interface TaskChange {
  readonly content?: string
  readonly processAfter?: string | null
  readonly recurrence?: string | null
}

const IN_SERIES = '(id = @series or series_id = @series)'
const LIVE = `(status = 'pending' or status = 'paused')`

/** Messages that have ended and whose series goes on, except those marked as stopped. */
export function endedOccurrences(file: HostFile, stoppedPrefix: string): EndedOccurrence[] {
  return file.use(
    (db) =>
      db
        .prepare(
          `select id, coalesce(series_id, id) as "seriesId", recurrence, process_after as "processAfter", timestamp
           from messages_in indexed by nanoclaw_recurring
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
        `insert into messages_in (id, seq, kind, timestamp, process_after, recurrence, series_id, trigger, platform_id,
           channel_type, thread_id, content, source_session_id, on_wake)
         select @id, @seq, kind, @timestamp, @processAfter, @recurrence, @seriesId, trigger, platform_id,
           channel_type, thread_id, content, source_session_id, on_wake
         from messages_in where id = @endedId`,
      )
      .run({
        ...successor,
        seq: nextEvenSeq(db),
        recurrence: ended.recurrence,
        seriesId: ended.seriesId,
        endedId: ended.id,
      })
    return changes > 0
  })
}

/** Keeps the expression, marked, for people to see. */
export function markStopped(file: HostFile, ended: EndedOccurrence, marked: string): boolean {
  return file.transact((db) => setRecurrence(db, ended, marked))
}

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

/** Ends the live messages and the series; also one whose last message has just ended and has no successor yet. */
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
 * Changes the live messages of a series. One that has begun keeps its time: it was meant for then, and what follows it is
 * counted from there. A stopped series that gets a new recurrence is counted from `now`.
 */
export function updateSeries(
  file: HostFile,
  series: string,
  change: TaskChange,
  begun: ReadonlySet<string>,
  now: string,
): number {
  return file.transact((db) => {
    const live = db
      .prepare(`select id from messages_in where ${IN_SERIES} and ${LIVE} order by seq`)
      .pluck()
      .all({ series })
    for (const id of live as string[])
      if (begun.has(id)) setColumns(db, id, { content: change.content, recurrence: change.recurrence })
      else setColumns(db, id, { ...change, seq: nextEvenSeq(db) })
    if (change.recurrence === undefined) return live.length
    const stopped = db
      .prepare(`select id from messages_in where ${IN_SERIES} and not ${LIVE} and recurrence is not null`)
      .pluck()
      .all({ series })
    for (const id of stopped as string[]) setColumns(db, id, { ...change, processAfter: now })
    return live.length + stopped.length
  })
}

/** Live messages that are tasks or repeat, and series that wait for their next occurrence; in the order of writing. */
export function listTasks(file: HostFile): TaskRow[] {
  const columns = `rowid, coalesce(series_id, id) as "seriesId", id, kind, status, process_after as "processAfter", recurrence,
    platform_id as "platformId", channel_type as "channelType", thread_id as "threadId", content`
  return file.use((db) =>
    db
      .prepare(
        `select ${columns} from messages_in where ${LIVE} and kind = 'task'
         union
         select ${columns} from messages_in indexed by nanoclaw_recurring where recurrence is not null
         order by rowid`,
      )
      .all()
      .map((row) => {
        const { rowid: _, ...task } = row as TaskRow & { rowid: number }
        return task
      }),
  )
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
