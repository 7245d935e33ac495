// One runtime per workspace. The lock is an exclusive transaction on a database file of its own: the kernel frees it when
// its holder dies in whatever way, and keeps it for a holder that is only stopped. No pid is trusted, no file grows old.
// Never touch that file with `fs`: closing a descriptor of it would drop the lock.
// Its one table says which stop was in order though outbound.db took no writes: what that runtime had claimed was not cut off
// by its death, and the next start must not count one.
import { existsSync } from 'node:fs'
import Database from 'better-sqlite3'
import { NanoclawError } from '../protocol/errors.ts'
import { sqliteCode } from './classify.ts'

/** Whoever looks whether it is held keeps a starter out for a moment; a holder keeps it for longer than this. */
const LOOKED_AT_MS = 500

export class Lock {
  readonly #db: Database.Database

  private constructor(db: Database.Database) {
    this.#db = db
  }

  /**
   * @param holder says who holds it, for the error; asked only when somebody does
   * @throws NanoclawError `locked` when another runtime serves this workspace, `outbound_unusable` when no lock can be made
   */
  static acquire(path: string, holder: () => string): Lock {
    try {
      const db = new Database(path, { timeout: LOOKED_AT_MS })
      try {
        db.pragma('synchronous = full')
        db.exec('begin exclusive')
        return new Lock(db)
      } catch (error) {
        db.close()
        throw error
      }
    } catch (error) {
      if (isBusy(error))
        throw new NanoclawError(
          'locked',
          `Another runtime serves this workspace: ${holder()}. Stop it, or use another --workspace.`,
          {
            cause: error,
          },
        )
      throw new NanoclawError(
        'outbound_unusable',
        `Cannot lock ${path}: ${error instanceof Error ? error.message : error}. Make its folder exist and writable for uid ${process.getuid?.()}.`,
        {
          cause: error,
        },
      )
    }
  }

  /** The epoch of the last runtime that stopped in order and could not write that down in outbound.db; 0: none. */
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
  if (!existsSync(path)) return false
  try {
    const db = new Database(path, { timeout: 0, fileMustExist: true, readonly: true })
    try {
      db.prepare('select name from sqlite_schema').get()
      return false
    } finally {
      db.close()
    }
  } catch (error) {
    return isBusy(error)
  }
}

function isBusy(error: unknown): boolean {
  return sqliteCode(error)?.startsWith('SQLITE_BUSY') ?? false
}
