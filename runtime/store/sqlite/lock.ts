// One runtime per workspace. The lock is SQLite's exclusive lock on a database file of its own: the kernel
// frees it when its holder dies in whatever way, and keeps it for a holder that is only stopped. No pid is
// trusted, no file grows old. Never open a lock that is there with `fs`: closing a descriptor of it would
// drop the lock. A link in its place is refused: it could lead to inbound.db, and an exclusive transaction
// there would keep the host out. Its one table keeps which stop was orderly though outbound.db took no
// writes: what that runtime had claimed was not cut off by its death, and the next start must not count one.
import { closeSync, constants, lstatSync, openSync } from 'node:fs'
import { basename } from 'node:path'
import type Database from 'better-sqlite3'
import { NanoclawError } from '../../protocol/errors.ts'
import { sqliteCode } from './classify.ts'
import { openDatabase } from './driver.ts'
import { identityAt, isAt, openedBehindLink } from './open.ts'
import { denialOf } from './rights.ts'

/** One small page in memory, and no journal: an empty file is written to as soon as it is locked for that. */
const SETTINGS = ['page_size = 512', 'cache_size = 1', 'journal_mode = memory', 'locking_mode = exclusive']
/** A process that checks the lock has it for a moment; a runtime keeps it for longer than this. */
const LOOKED_AT_MS = 500
/** SQLite attaches no more to a connection (SQLITE_MAX_ATTACHED as better-sqlite3 is built). */
const LOCKS_OF_A_CONNECTION = 10

/**
 * The connections behind the locks of one process. A connection costs 80 KiB whatever it has open, so each
 * holds the locks of several folders, as attached databases in exclusive locking mode.
 */
export class LockConnections {
  readonly #open = new Map<Database.Database, number>()
  #named = 0

  /** Attaches a file under a name of its own. @throws SqliteError */
  attach(path: string): Attached {
    const db = this.#withRoom()
    const name = `lock${++this.#named}`
    try {
      db.prepare(`attach ? as ${name}`).run(path)
      this.#open.set(db, (this.#open.get(db) ?? 0) + 1)
      return { db, name, detach: () => this.#detach(db, name) }
    } catch (error) {
      this.#closeUnused(db)
      throw error
    }
  }

  #withRoom(): Database.Database {
    for (const [db, count] of this.#open) if (count < LOCKS_OF_A_CONNECTION) return db
    // Without the right to make a file: what is attached must be there.
    const db = openDatabase(':memory:', { timeout: LOOKED_AT_MS, fileMustExist: true })
    db.pragma('page_size = 512')
    this.#open.set(db, 0)
    return db
  }

  #detach(db: Database.Database, name: string): void {
    const count = this.#open.get(db)
    if (count === undefined) return
    db.exec(`detach ${name}`)
    this.#open.set(db, count - 1)
    this.#closeUnused(db)
  }

  #closeUnused(db: Database.Database): void {
    if (this.#open.get(db) !== 0) return
    this.#open.delete(db)
    db.close()
  }
}

interface Attached {
  readonly db: Database.Database
  readonly name: string
  /** Frees the lock. */
  detach(): void
}

export class Lock {
  #attached: Attached | undefined
  readonly #path: string
  readonly #file: ReturnType<typeof identityAt>

  private constructor(attached: Attached, path: string) {
    this.#attached = attached
    this.#path = path
    this.#file = identityAt(path)
  }

  /**
   * @param holder names the process that holds it, for the error; called only when one does
   * @param connections of this process, where it has several locks
   * @throws NanoclawError `locked` when another runtime serves this workspace, `outbound_unusable` when no
   *   lock can be made
   */
  static acquire(path: string, holder: () => string, connections = new LockConnections()): Lock {
    try {
      make(path)
      refuseLink(path)
      const attached = connections.attach(path)
      const { db, name } = attached
      try {
        refuseOther(db, path, name)
        for (const setting of SETTINGS) db.pragma(`${name}.${setting}`)
        // What was locked stays locked in this mode, so that the next file can be attached. Nothing is
        // written.
        db.exec('begin exclusive; rollback')
        refuseContent(db, path, name)
        return new Lock(attached, path)
      } catch (error) {
        if (db.inTransaction) db.exec('rollback')
        attached.detach()
        throw error
      }
    } catch (error) {
      if (error instanceof NanoclawError) throw error
      if (isBusy(error))
        throw new NanoclawError(
          'locked',
          `Another runtime serves this workspace: ${holder()}. Stop it, or use another --workspace.`,
          {
            cause: error,
          },
        )
      throw new NanoclawError('outbound_unusable', `Cannot lock ${path}: ${whyNot(path, error)}.`, {
        cause: error,
      })
    }
  }

  /** False: its file was deleted or moved, so that it keeps no other runtime out any more. */
  get isInPlace(): boolean {
    return isAt(this.#path, this.#file)
  }

  /**
   * The epoch of the last runtime that stopped in order and could not write that down in outbound.db; 0:
   * none.
   */
  get stoppedEpoch(): number {
    if (!this.#attached) return 0
    const { db, name } = this.#attached
    try {
      return (db.prepare(`select max(epoch) from ${name}.stopped`).pluck().get() as number | null) ?? 0
    } catch {
      return 0
    }
  }

  /** `stoppedEpoch`: of a runtime whose claims are left in outbound.db, on disk before the lock is free. */
  release(stoppedEpoch?: number): void {
    const attached = this.#attached
    this.#attached = undefined
    if (!attached) return
    try {
      if (stoppedEpoch !== undefined) note(attached, stoppedEpoch)
    } catch {
      // Then they count as deaths, as after a kill.
    } finally {
      attached.detach()
    }
  }
}

function note({ db, name }: Attached, stoppedEpoch: number): void {
  // The end of the transaction then frees the lock, and removes the journal.
  for (const setting of ['locking_mode = normal', 'journal_mode = delete', 'synchronous = full'])
    db.pragma(`${name}.${setting}`)
  db.transaction(() => {
    db.exec(`create table if not exists ${name}.stopped (epoch integer primary key)`)
    db.exec(`delete from ${name}.stopped`)
    db.prepare(`insert into ${name}.stopped (epoch) values (?)`).run(stoppedEpoch)
  })()
}

/** Whether a runtime is alive behind this lock (it may be stopped by a signal, but it lives). */
export function isLocked(path: string): boolean {
  try {
    refuseLink(path)
    const db = openDatabase(path, { timeout: 0, fileMustExist: true, readonly: true })
    try {
      refuseOther(db, path)
      db.prepare('select name from sqlite_schema').get()
      return false
    } finally {
      db.close()
    }
  } catch (error) {
    return isBusy(error)
  }
}

/** What stands at the lock's path is not the lock of a workspace. */
class NotOurs extends Error {}

/**
 * Made here, because SQLite would make what a link leads to. The descriptor is of a file that no lock can be
 * on yet.
 */
function make(path: string): void {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}

function refuseLink(path: string): void {
  const found = lstatSync(path)
  if (found.isSymbolicLink()) throw new NotOurs('it is a symbolic link')
  // To open a FIFO would hang the process. SQLite says itself what it cannot do with a folder.
  if (!found.isFile() && !found.isDirectory()) throw new NotOurs('it is no regular file')
  if (found.isFile() && found.nlink > 1) throw new NotOurs('it is a hard link to another file')
}

function refuseOther(db: Database.Database, path: string, name = 'main'): void {
  const opened = openedBehindLink(db, path, name)
  if (opened !== undefined) throw new NotOurs(`it leads to ${opened}`)
}

/** A lock has one table at most; any other holds data that is not ours. */
function refuseContent(db: Database.Database, path: string, name: string): void {
  if (db.prepare(`select name from ${name}.sqlite_schema where name <> 'stopped'`).get() !== undefined)
    throw new NotOurs(`${basename(path)} is a database with other tables`)
}

function isBusy(error: unknown): boolean {
  return sqliteCode(error)?.startsWith('SQLITE_BUSY') ?? false
}

function whyNot(path: string, error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  if (error instanceof NotOurs) return `${text}. Remove it`
  return (
    denialOf(path, 'write') ?? `${text}. Make its folder exist and writable for uid ${process.getuid?.()}`
  )
}
