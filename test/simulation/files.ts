// The two files of a folder, and as many folders as a world may have: made once for a process and emptied for
// each run, since making them, and statements for them, costs more than a whole run of few steps. inbound.db
// is a real one, in WAL mode in every third world, as some hosts have it, and in another third with a table
// whose numbers need not be unique; outbound.db is in memory, and stays when the runtime that uses it dies.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { HOST_TABLES } from '../../runtime/protocol/schema.ts'
import { MemoryFile } from '../support/memory-store.ts'
import { type Faults, UNANSWERED } from './faults.ts'

/**
 * outbound.db: the handle for the runtime, whose writing statements come by the faults, and the way past them
 * for all others.
 */
export interface Outbound {
  readonly db: Database.Database
  readonly prepare: (sql: string) => Database.Statement
}

/** A table that does not say that numbers are unique, as some host might make it. */
const LOOSE = 'loose'

/** Of all folders of a world. */
export class Files {
  readonly folders: readonly FolderFiles[]
  readonly #root: string

  constructor() {
    this.#root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'nanoclaw-simulation-'))
    this.folders = ['first', 'second'].map((name) => new FolderFiles(join(this.#root, name)))
  }

  close(): void {
    for (const folder of this.folders) folder.close()
    rmSync(this.#root, { recursive: true, force: true })
  }
}

export class FolderFiles {
  readonly outbound: Outbound
  /** What a store in memory keeps. */
  memory = new MemoryFile()
  readonly #inbounds: readonly Database.Database[]
  #inbound: Database.Database
  #faults: Faults | undefined
  /** What the commit has returned whose answer is to be lost. */
  #answer: { value?: unknown } | undefined

  constructor(folder: string) {
    mkdirSync(folder)
    this.#inbounds = ['memory', 'wal', LOOSE].map((kind) => inboundIn(join(folder, kind), kind))
    this.#inbound = this.#inbounds[0]!
    const db = new Database(':memory:')
    const unwatched = db.prepare.bind(db) as Outbound['prepare']
    this.outbound = { db, prepare: once(unwatched) }
    db.prepare = once((sql) => this.#watched(unwatched(sql))) as typeof db.prepare
    this.#watchTransactions(db)
  }

  get inbound(): Database.Database {
    return this.#inbound
  }

  /** Its rows may share a number. */
  get isLoose(): boolean {
    return this.#inbound === this.#inbounds[2]
  }

  /** A run begins in this world, and these are the faults of this folder. */
  empty(world: number, faults: Faults): void {
    this.#faults = faults
    this.memory = new MemoryFile()
    this.#inbound = this.#inbounds[world % this.#inbounds.length]!
    empty(this.#inbound)
    empty(this.outbound.db)
  }

  close(): void {
    for (const db of [...this.#inbounds, this.outbound.db]) db.close()
  }

  /** This commit takes effect and throws; returns what it would have answered. */
  unanswered(commit: () => unknown): unknown {
    const answer: { value?: unknown } = (this.#answer = {})
    try {
      commit()
    } catch (error) {
      if (error !== UNANSWERED) throw error
    } finally {
      this.#answer = undefined
    }
    return answer.value
  }

  #watchTransactions(db: Database.Database): void {
    const real = db.transaction.bind(db)
    const watched = (work: () => unknown) => {
      const transaction = real(work)
      const immediate = () => {
        const value = transaction.immediate()
        if (!this.#answer) return value
        this.#answer.value = value
        throw UNANSWERED
      }
      return Object.assign(() => transaction(), { immediate })
    }
    db.transaction = watched as unknown as typeof db.transaction
  }

  #watched(statement: Database.Statement): Database.Statement {
    if (statement.reader) return statement
    const run = statement.run.bind(statement)
    statement.run = (...values: unknown[]) => {
      this.#faults?.write()
      return run(...values)
    }
    return statement
  }
}

function inboundIn(folder: string, kind: string): Database.Database {
  mkdirSync(folder)
  const db = new Database(join(folder, 'inbound.db'))
  db.pragma(`journal_mode = ${kind === LOOSE ? 'memory' : kind}`)
  db.pragma('synchronous = off')
  db.exec(kind === LOOSE ? HOST_TABLES.replace('seq integer unique', 'seq integer') : HOST_TABLES)
  return db
}

function empty(db: Database.Database): void {
  if (db.inTransaction) db.exec('rollback')
  const names = db.prepare("select name from sqlite_schema where type = 'table'").pluck().all() as string[]
  db.exec(names.map((name) => `delete from ${name};`).join(''))
}

function once(prepare: Outbound['prepare']): Outbound['prepare'] {
  const made = new Map<string, Database.Statement>()
  return (sql) => {
    let statement = made.get(sql)
    if (!statement) made.set(sql, (statement = prepare(sql)))
    return statement
  }
}
