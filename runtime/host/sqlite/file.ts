// The host's hold on inbound.db: opened for writing, brought to the newest shape, closed again after each operation.
// Closing is what makes the other side's cached pages invalid on mounts between machines; `keepOpen` saves it where
// both sides share one kernel. Opening for writing also plays back the journal that a killed host left behind.
import { existsSync, statSync } from 'node:fs'
import { NanoclawError } from '../../protocol/errors.ts'
import { HOST_TABLES, WIRE_TABLES } from '../../protocol/schema.ts'
import { explain } from '../../store/sqlite/classify.ts'
import { openWritable, type WritableDb } from '../../store/sqlite/open.ts'
import { HOST_OWN_TABLES, SCHEMA_OBJECTS } from './tables.ts'

/** The host's calls are synchronous, so they wait for a lock where they are; another host holds it for one commit. */
const HOST_BUSY_MS = 5_000

/** A transaction that outgrows the cache locks readers out until it ends; this holds some 100,000 rows, and is taken only as needed. */
const CACHE_KIB = 64 * 1024

/** Columns that hosts learned to write over time, with what an older row means. */
const LATER_COLUMNS = [
  { table: 'messages_in', name: 'series_id', definition: 'text', backfill: 'id' },
  { table: 'messages_in', name: 'trigger', definition: 'integer not null default 1' },
  { table: 'messages_in', name: 'source_session_id', definition: 'text' },
  { table: 'messages_in', name: 'on_wake', definition: 'integer not null default 0' },
  { table: 'delivered', name: 'platform_message_id', definition: 'text' },
  { table: 'delivered', name: 'status', definition: "text not null default 'delivered'" },
] as const

export class HostFile {
  readonly path: string
  #keepOpen: boolean
  #kept: WritableDb | undefined

  /** Creates the file when it is missing, and adds what an older one lacks. */
  constructor(path: string, keepOpen: boolean) {
    this.path = path
    this.#keepOpen = keepOpen
    this.#run(true, (db) => {
      if (!isNewest(db)) db.transaction(() => modernise(db)).immediate()
    })
  }

  /** Several statements, each its own transaction. For reading, too: this side may always play a journal back. */
  use<T>(work: (db: WritableDb) => T): T {
    return this.#run(false, work)
  }

  /** All of it or nothing; no other host writes in between. */
  transact<T>(work: (db: WritableDb) => T): T {
    return this.#run(false, (db) => db.transaction(() => work(db)).immediate())
  }

  /** One handle for everything that is done within: each opening reads the schema anew. */
  during<T>(work: () => T): T {
    if (this.#keepOpen) return work()
    this.#keepOpen = true
    try {
      return work()
    } finally {
      this.close()
    }
  }

  /** Nothing is kept open from here on; what still has to be written (a reply that was just sent) still can be. */
  close(): void {
    this.#keepOpen = false
    this.#kept?.close()
    this.#kept = undefined
  }

  #run<T>(mayCreate: boolean, work: (db: WritableDb) => T): T {
    if (!mayCreate && !existsSync(this.path))
      throw new NanoclawError(
        'inbound_unusable',
        `${this.path} is gone; open the host again to make a new one`,
      )
    try {
      const db = this.#kept ?? open(this.path)
      if (this.#keepOpen) this.#kept = db
      try {
        return work(db)
      } finally {
        if (!this.#keepOpen) db.close()
      }
    } catch (error) {
      throw inboundError(this.path, error)
    }
  }
}

/**
 * Makes outbound.db with the tables that both sides know, if there is none: upstream's hosts do, and some runners expect
 * it. A file that is there belongs to the runtime and is not opened for writing; an empty one is a creation cut short.
 */
export function createOutbound(path: string): void {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0) return
  const db = openWritable(path, 'delete', { busyMs: HOST_BUSY_MS })
  try {
    db.transaction(() => db.exec(WIRE_TABLES)).immediate()
  } finally {
    db.close()
  }
}

function open(path: string): WritableDb {
  const db = openWritable(path, 'delete', { busyMs: HOST_BUSY_MS })
  db.pragma(`cache_size = -${CACHE_KIB}`)
  return db
}

function isNewest(db: WritableDb): boolean {
  const names = new Set(db.prepare('select name from sqlite_master').pluck().all())
  return SCHEMA_OBJECTS.every((name) => names.has(name)) && missingColumns(db).length === 0
}

function modernise(db: WritableDb): void {
  for (const { table, name, definition, ...rest } of missingColumns(db)) {
    db.exec(`alter table ${table} add column ${name} ${definition}`)
    if ('backfill' in rest) db.exec(`update ${table} set ${name} = ${rest.backfill}`)
  }
  db.exec(HOST_TABLES)
  db.exec(HOST_OWN_TABLES)
}

function missingColumns(db: WritableDb): (typeof LATER_COLUMNS)[number][] {
  const present = new Map<string, Set<unknown>>()
  for (const table of new Set(LATER_COLUMNS.map((column) => column.table)))
    present.set(table, new Set(db.prepare('select name from pragma_table_info(?)').pluck().all(table)))
  // A table that is not there at all is made whole, not column by column.
  return LATER_COLUMNS.filter(
    ({ table, name }) => present.get(table)!.size > 0 && !present.get(table)!.has(name),
  )
}

function inboundError(path: string, error: unknown): Error {
  if (error instanceof NanoclawError && error.code !== 'outbound_unusable') return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (error instanceof Error && !code) return error
  const why = code.startsWith('SQLITE_BUSY')
    ? `another process has held its lock for more than ${HOST_BUSY_MS / 1000} s; look for a program that keeps a transaction open`
    : explain(error, { path, use: 'write' })
  return new NanoclawError('inbound_unusable', `cannot write ${path}: ${why}`, { cause: error })
}
