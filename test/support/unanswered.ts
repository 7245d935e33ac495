// A commit that takes effect and reports an error all the same: a disk that fails behind the commit point, a
// connection that breaks before the answer.
import Database from 'better-sqlite3'
import { vi } from 'vitest'

/** What SQLite says when it fails to remove a journal; it may have gone all the same. */
const FAILED = ['disk I/O error', 'SQLITE_IOERR_DELETE'] as const

/** The next transaction of this process commits, and throws an error of the disk. */
export function loseAnswer(): void {
  const real = Database.prototype.transaction
  const spy = vi.spyOn(Database.prototype, 'transaction')
  spy.mockImplementationOnce(function (this: Database.Database, work) {
    const transaction = real.call(this, work)
    const commit = (...values: unknown[]) => {
      transaction.immediate(...values)
      spy.mockRestore()
      throw new Database.SqliteError(...FAILED)
    }
    return Object.assign(commit, { ...transaction, immediate: commit }) as unknown as typeof transaction
  })
}
