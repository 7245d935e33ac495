// The two files as a process reads them that is neither host nor runtime. What a killed writer has left
// cannot be read before its journal is played back. Only the owner of the file may do that, so it is done
// on a copy of file and journal.
import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'

export type Db = Database.Database

export interface Seen {
  readonly db: Db
  /** Its writer was killed in mid-transaction. */
  readonly hot: boolean
}

const BUSY_MS = 5_000

/** @param scratch a folder for the private copy */
export function see(path: string, scratch: string): Seen {
  const db = new Database(path, { readonly: true, timeout: BUSY_MS })
  try {
    db.prepare('select 1 from sqlite_schema').get()
    return { db, hot: false }
  } catch (error) {
    db.close()
    if (!(error instanceof Database.SqliteError && error.code === 'SQLITE_READONLY_ROLLBACK')) throw error
    const copy = join(scratch, 'private.db')
    for (const ending of ['', '-journal']) copyFileSync(path + ending, copy + ending)
    const healed = new Database(copy)
    healed.prepare('select 1 from sqlite_schema').get()
    return { db: healed, hot: true }
  }
}

/** A copy by SQLite's backup, to be looked at for as long as it takes. */
export async function backedUp({ db }: Seen, copy: string): Promise<Db> {
  rmSync(copy, { force: true })
  await db.backup(copy)
  return new Database(copy, { readonly: true })
}
