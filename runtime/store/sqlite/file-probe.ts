// One read of a database file, for a process other than the runtime. A file that cannot be read is a
// state with a reason, not an error: missing, waiting for its writer to play back a journal, damaged. Close
// it when you have looked.
import { NanoclawError } from '../../protocol/errors.ts'
import { classifyRead, explain } from './classify.ts'
import { openReadonly, type ReadonlyDb } from './open.ts'

export interface FileState {
  readonly path: string
  readonly readable: boolean
  /** Why it is not. */
  readonly reason: string | null
}

/** Nothing else runs in a process that only reads, so it may wait for a commit of the other side to pass. */
const BUSY_MS = 2_000

export class FileProbe {
  readonly #path: string
  #db: ReadonlyDb | null = null
  #reason: string | null = null
  /** Nothing is there yet, which for outbound.db means: no message has an ack. */
  readonly missing: boolean

  constructor(path: string) {
    this.#path = path
    let missing = false
    try {
      this.#db = openReadonly(path, BUSY_MS)
      this.#db.prepare('select name from sqlite_schema limit 1').get()
    } catch (error) {
      missing = error instanceof NanoclawError && /does not exist/.test(error.message)
      this.#fail(error)
    }
    this.missing = missing
  }

  /** Null when the file is not readable; `state` then has the reason. */
  read<T>(work: (db: ReadonlyDb) => T): T | null {
    if (!this.#db) return null
    try {
      return work(this.#db)
    } catch (error) {
      this.#fail(error)
      return null
    }
  }

  get state(): FileState {
    return { path: this.#path, readable: this.#reason === null, reason: this.#reason }
  }

  close(): void {
    this.#db?.close()
    this.#db = null
  }

  #fail(error: unknown): void {
    this.close()
    if (error instanceof NanoclawError) this.#reason = error.message
    else if (classifyRead(error) === 'bug') throw error
    else this.#reason = explain(error, { path: this.#path, use: 'read' })
  }
}
