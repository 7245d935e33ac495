// One runtime per workspace. The lock is an exclusive transaction on a database file of its own: the kernel
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
import { fileAt, isAt, openedBehindLink } from './open.ts'
import { denialOf } from './rights.ts'

/**
 * Whoever looks whether it is held keeps a starter out for a moment; a holder keeps it for longer than this.
 */
const LOOKED_AT_MS = 500

export class Lock {
  readonly #db: Database.Database
  readonly #path: string
  readonly #file: ReturnType<typeof fileAt>

  private constructor(db: Database.Database, path: string) {
    this.#db = db
    this.#path = path
    this.#file = fileAt(path)
  }

  /**
   * @param holder says who holds it, for the error; asked only when somebody does
   * @throws NanoclawError `locked` when another runtime serves this workspace, `outbound_unusable` when no
   *   lock can be made
   */
  static acquire(path: string, holder: () => string): Lock {
    try {
      make(path)
      refuseLink(path)
      const db = openDatabase(path, { timeout: LOOKED_AT_MS, fileMustExist: true })
      try {
        refuseOther(db, path)
        db.pragma('synchronous = full')
        db.exec('begin exclusive')
        refuseContent(db, path)
        return new Lock(db, path)
      } catch (error) {
        db.close()
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
    try {
      return (this.#db.prepare('select max(epoch) from stopped').pluck().get() as number | null) ?? 0
    } catch {
      return 0
    }
  }

  /** `stoppedEpoch`: of a runtime whose claims are left in outbound.db, on disk before the lock is free. */
  release(stoppedEpoch?: number): void {
    if (!this.#db.open) return
    try {
      if (stoppedEpoch !== undefined) this.#note(stoppedEpoch)
    } catch {
      // Then they count as deaths, as after a kill.
    } finally {
      this.#db.close()
    }
  }

  #note(epoch: number): void {
    this.#db.exec('create table if not exists stopped (epoch integer primary key)')
    this.#db.exec('delete from stopped')
    this.#db.prepare('insert into stopped (epoch) values (?)').run(epoch)
    this.#db.exec('commit')
  }
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

function refuseOther(db: Database.Database, path: string): void {
  const opened = openedBehindLink(db, path)
  if (opened !== undefined) throw new NotOurs(`it leads to ${opened}`)
}

/** A lock has one table at most; any other holds data that is not ours. */
function refuseContent(db: Database.Database, path: string): void {
  if (db.prepare("select name from sqlite_schema where name <> 'stopped'").get() !== undefined)
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
