// Opening database files. A reader gets a handle that has no way to write. Two rules that SQLite's locking
// forces on all code in this process: never open, read or copy a database file with `fs` while a handle is
// open on it (closing any descriptor drops the process's POSIX locks), and never keep a reader's cursor open.
import { lstatSync, realpathSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type Database from 'better-sqlite3'
import { NanoclawError } from '../../protocol/errors.ts'
import { openDatabase } from './driver.ts'

export type WritableDb = Database.Database

export interface ReadStatement {
  get(...values: unknown[]): unknown
  all(...values: unknown[]): unknown[]
}

/**
 * What a reader may do. Rows come as arrays, in the order of the named columns: measured three times faster
 * than objects.
 */
export interface ReadonlyDb {
  prepare(sql: string): ReadStatement
  /** Of each row its only column: half of the work of rows that hold one. */
  prepareColumn(sql: string): ReadStatement
  /** All reads in it see the file in one state, and take its lock once. */
  snapshot<T>(read: () => T): T
  close(): void
}

/**
 * better-sqlite3 stops the whole event loop while it waits for a lock, so the wait is short and the caller
 * tries again. Zero would be too short: against a host that commits back to back, nine of ten reads then
 * fail.
 */
export const READ_BUSY_MS = 25
/** Readers of outbound.db hold their lock for about a millisecond; a commit may wait for them a little. */
export const WRITE_BUSY_MS = 100

/**
 * Opens an existing database for reading only.
 * @throws NanoclawError `not_readable_yet` when nothing is there yet, or something that is no regular file (a
 *   FIFO would
 * hang the process); SqliteError otherwise, see classifyRead.
 */
export function openReadonly(path: string, busyMs: number = READ_BUSY_MS): ReadonlyDb {
  const here = lstatOf(path)
  if (!here) throw new NanoclawError('not_readable_yet', `${path} does not exist yet`)
  if (!fileAt(path)?.isFile())
    throw new NanoclawError(
      'not_readable_yet',
      `${path} is not a regular file; expected an SQLite database there`,
    )
  const db = openDatabase(path, { readonly: true, fileMustExist: true, timeout: busyMs })
  const [begin, end] = [db.prepare('begin'), db.prepare('commit')]
  return {
    prepare: (sql) => {
      const statement = db.prepare(sql)
      return statement.reader ? statement.raw() : statement
    },
    prepareColumn: (sql) => db.prepare(sql).pluck(),
    snapshot(read) {
      begin.run()
      try {
        return read()
      } finally {
        if (db.inTransaction) end.run()
      }
    },
    close: () => db.close(),
  }
}

/**
 * Opens (and makes, when missing) a database for writing; the first open plays back a dead writer's journal.
 * `synchronous` is always FULL and said so: in WAL mode better-sqlite3 would otherwise not sync at all on
 * commit.
 */
export function openWritable(
  path: string,
  journal: 'delete' | 'wal',
  { busyMs = WRITE_BUSY_MS, mustExist = false } = {},
): WritableDb {
  const file = lstatOf(path)
  if (file && !file.isFile())
    throw new NanoclawError(
      'outbound_unusable',
      `${path} is not a regular file; expected an SQLite database or nothing there. Move it away.`,
    )
  const db = openDatabase(path, { timeout: busyMs, fileMustExist: mustExist })
  try {
    const opened = openedBehindLink(db, path)
    if (opened !== undefined)
      throw new NanoclawError(
        'outbound_unusable',
        `${path} has just become a link to ${opened}; expected an SQLite database or nothing there. Move it away.`,
      )
    if (db.pragma('journal_mode', { simple: true }) !== journal) db.pragma(`journal_mode = ${journal}`)
    db.pragma('synchronous = full')
  } catch (error) {
    db.close()
    throw error
  }
  return db
}

/**
 * Where a link at the path has led, if there was one when it was opened. SQLite resolves links first and then
 * opens what it found without following any, so the name that it keeps tells: no look before the open can be
 * deceived in between.
 */
export function openedBehindLink(db: Database.Database, path: string, schema = 'main'): string | undefined {
  const opened = db.pragma('database_list') as { readonly name: string; readonly file: string }[]
  const file = opened.find(({ name }) => name === schema)?.file ?? ''
  return file === join(realpathSync(dirname(path)), basename(path)) ? undefined : file
}

/** What stands at the end of a path, links followed; undefined when nothing does, or it may not be read. */
export function fileAt(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

/** Which file stands at a path: less to keep than all that is known of it. */
export function identityAt(path: string): Pick<Stats, 'ino' | 'dev'> | undefined {
  const file = fileAt(path)
  return file && { ino: file.ino, dev: file.dev }
}

/**
 * Whether this very file stands at a path; yes as well while the path cannot be looked at (a mount that fails
 * for a moment).
 */
export function isAt(path: string, known: Pick<Stats, 'ino' | 'dev'> | undefined): boolean {
  let file: Stats | undefined
  try {
    file = statSync(path, { throwIfNoEntry: false })
  } catch {
    return true
  }
  return file?.ino === known?.ino && file?.dev === known?.dev
}

function lstatOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new NanoclawError('not_readable_yet', `${path} cannot be looked at: ${why}`, { cause: error })
  }
}

export function hasTable(db: ReadonlyDb, name: string): boolean {
  return db.prepare(`select 1 from sqlite_schema where type = 'table' and name = ?`).get(name) !== undefined
}

/** Empty when there is no such table. */
export function columnsOf(db: ReadonlyDb, table: string): ReadonlySet<string> {
  const rows = db.prepare('select name from pragma_table_info(?)').all(table) as [string][]
  return new Set(rows.map(([name]) => name))
}

/**
 * Most statements of a file are never needed; making all of them costs ten times as much as opening the file
 * does.
 */
export function onFirstUse(prepare: ReadonlyDb['prepare'], sql: string): ReadStatement {
  let made: ReadStatement | undefined
  const statement = () => (made ??= prepare(sql))
  return {
    get: (...values) => statement().get(...values),
    all: (...values) => statement().all(...values),
  }
}
