// The host's connection to inbound.db: opened for writing, upgraded to the newest schema, closed after each
// operation. Closing invalidates the other side's cached pages on mounts between machines; `keepOpen` saves
// it where both sides share one kernel. Opening for writing also rolls back the journal of a killed host.
import { existsSync, statSync } from 'node:fs'
import { NanoclawError } from '../../protocol/errors.ts'
import { GROWN_TABLES, HOST_TABLES, WIRE_TABLES } from '../../protocol/schema.ts'
import { explain } from '../../store/sqlite/classify.ts'
import { openWritable, type WritableDb } from '../../store/sqlite/open.ts'
import { HOST_OWN_TABLES, SCHEMA_OBJECTS } from './tables.ts'

/**
 * The host's calls are synchronous, so they block while waiting for a lock; another host holds it for one
 * commit.
 */
const HOST_BUSY_MS = 5_000

/**
 * A transaction that outgrows the cache locks readers out until it ends; this size holds some 100,000 rows;
 * SQLite allocates it as needed.
 */
const CACHE_KIB = 64 * 1024

export class HostFile {
  readonly path: string
  #keepOpen: boolean
  #kept: WritableDb | undefined

  /** Creates a missing file, and adds what an older one lacks. */
  constructor(path: string, keepOpen: boolean) {
    this.path = path
    this.#keepOpen = keepOpen
    this.#run(true, (db) => {
      if (!isNewest(db)) db.transaction(() => modernise(db)).immediate()
    })
  }

  /**
   * Several statements, each its own transaction. Also for reading: this side may always roll back a journal.
   */
  use<T>(work: (db: WritableDb) => T): T {
    return this.#run(false, work)
  }

  /** One transaction; no other host writes in between. */
  transact<T>(work: (db: WritableDb) => T): T {
    return this.#run(false, (db) => db.transaction(() => work(db)).immediate())
  }

  /** One handle for all operations within: each opening reads the schema again. */
  during<T>(work: () => T): T {
    if (this.#keepOpen) return work()
    this.#keepOpen = true
    try {
      return work()
    } finally {
      this.close()
    }
  }

  /** Keeps no handle open from here on; later writes (the result of a running send) still work. */
  close(): void {
    this.#keepOpen = false
    this.#kept?.close()
    this.#kept = undefined
  }

  #run<T>(mayCreate: boolean, work: (db: WritableDb) => T): T {
    if (!mayCreate && !existsSync(this.path))
      throw new NanoclawError(
        'inbound_unusable',
        `${this.path} does not exist any more; call openHost again to create a new one`,
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
 * Creates a missing outbound.db with the tables of the protocol: nanoclaw's own hosts do, and some runners
 * expect it. An existing file belongs to the runtime and is not opened for writing; an empty one is an
 * interrupted creation.
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
  for (const { table, name, definition, backfill } of missingColumns(db)) {
    db.exec(`alter table ${table} add column ${name} ${definition}`)
    if (backfill !== undefined) db.exec(`update ${table} set ${name} = ${backfill}`)
  }
  db.exec(HOST_TABLES)
  db.exec(HOST_OWN_TABLES)
}

/** A missing table is created whole, not column by column. */
function missingColumns(db: WritableDb) {
  return Object.entries(GROWN_TABLES).flatMap(([table, columns]) => {
    const present = new Set(db.prepare('select name from pragma_table_info(?)').pluck().all(table))
    const later = Object.entries(columns).filter(([name, { isLater }]) => isLater && !present.has(name))
    return present.size === 0 ? [] : later.map(([name, column]) => ({ table, name, ...column }))
  })
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
