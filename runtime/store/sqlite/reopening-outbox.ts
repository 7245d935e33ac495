// The outbox of a runtime's life. A disk that failed leaves a handle whose memory of the file may be wrong,
// so the handle is closed at once; the next use opens the file afresh, which plays back the journal, and
// looks through it before anything is written. The file must be the one that was taken over, and still ours
// by its epoch. Nothing is ever repaired here.

import Database from 'better-sqlite3'
import type { CommitBatch, CommitResult, History, WaitingPlace } from '../../protocol/commit-batch.ts'
import type { WaitQueries } from '../../protocol/waits.ts'
import type { Recovery, RetentionQueries, Store } from '../store.ts'
import { classifyWrite, isDoubtful, OutboundUnreadable } from './classify.ts'
import { fileAt, identityAt, isAt, openWritable, type WritableDb } from './open.ts'
import { type OutboundMessage, Outbox } from './outbox.ts'

type Reach = ConstructorParameters<typeof Outbox>[2]

/** A bigger file would stop the event loop for long; there SQLite finds damage when it comes to it. */
const CHECKED_BYTES_MAX = 64 * 1024 * 1024

export class ReopeningOutbox implements Store {
  readonly #path: string
  readonly #journal: 'delete' | 'wal'
  readonly #reach: Reach
  readonly #file: ReturnType<typeof identityAt>
  /** Undefined: closed until it is used. */
  #outbox: Outbox | undefined
  /** Of the one that was closed last. */
  #past: Outbox['past']
  /** The disk has failed under it. */
  #doubted = false
  #closed = false
  readonly waits: WaitQueries = {
    holding: (afterId, limit) => this.#read(({ waits }) => waits.holding(afterId, limit)),
    due: (after, nowMs, limit) => this.#read(({ waits }) => waits.due(after, nowMs, limit)),
    ready: (afterId, limit) => this.#read(({ waits }) => waits.ready(afterId, limit)),
    nextAtMs: (afterMs) => this.#read(({ waits }) => waits.nextAtMs(afterMs)),
    questions: (ids) => this.#read(({ waits }) => waits.questions(ids)),
    openAt: (addresses) => this.#read(({ waits }) => waits.openAt(addresses)),
    asksText: () => this.#read(({ waits }) => waits.asksText()),
  }
  readonly retention: RetentionQueries = {
    endedAfter: (place, limit) => this.#use(({ retention }) => retention.endedAfter(place, limit)),
    repliesTo: (ids) => this.#use(({ retention }) => retention.repliesTo(ids)),
    forget: (ids, replies) => this.#use(({ retention }) => retention.forget(ids, replies)),
  }

  /** @throws NanoclawError `outbound_unusable`, SqliteError (see classifyWrite) */
  constructor(path: string, journal: 'delete' | 'wal', reach?: Reach) {
    this.#path = path
    this.#journal = journal
    this.#reach = reach
    this.#outbox = new Outbox(path, journal, reach)
    this.#past = this.#outbox.past
    this.#file = identityAt(path)
  }

  recover(nowMs: number, crashLimit: number, stoppedEpoch = 0): Recovery {
    return this.#use((outbox) => outbox.recover(nowMs, crashLimit, stoppedEpoch))
  }

  commit(batch: CommitBatch, messages?: readonly OutboundMessage[]): CommitResult {
    this.checkPlace()
    return this.#use((outbox) => outbox.commit(batch, messages))
  }

  /**
   * SQLite looks for itself at each commit with a rollback journal. In WAL mode it does not: what is
   * committed to a deleted file is lost without an error. A runtime without work commits nothing, and has to
   * look now and then.
   * @throws SqliteError SQLITE_READONLY_DBMOVED when another file stands at its path, or none
   */
  checkPlace(): void {
    if (!isAt(this.#path, this.#file)) throw moved(this.#path)
  }

  /**
   * Closes the file until it is used: an open one costs 320 KiB. Not in WAL mode: SQLite then removes the
   * files without which no host on a read-only mount can read it.
   */
  rest(): void {
    if (this.#journal === 'delete') this.#leave()
  }

  /** @throws OutboundUnreadable when it is locked or the disk does not give it out; SqliteError on a bug */
  history(ids: readonly string[]): ReadonlyMap<string, History> {
    return this.#read((outbox) => outbox.history(ids))
  }

  /** @throws as history */
  unfinished(ids: readonly string[], limit: number, nowMs: number): readonly string[] {
    return this.#read((outbox) => outbox.unfinished(ids, limit, nowMs))
  }

  /** See Outbox. */
  unacknowledged(ids: readonly string[]): readonly string[] {
    return this.#use((outbox) => outbox.unacknowledged(ids))
  }

  /** See Outbox. */
  seqOf(id: string): number | undefined {
    return this.#use((outbox) => outbox.seqOf(id))
  }

  /** @throws as history */
  waiting(after: WaitingPlace | undefined, limit: number): readonly WaitingPlace[] {
    return this.#read((outbox) => outbox.waiting(after, limit))
  }

  /**
   * What the last commit left half done is undone first: only the runtime may do that, and until then no
   * process can read the file.
   */
  close(): void {
    try {
      if (this.#doubted) this.#outbox ??= this.#openAgain()
    } catch {
      // The next start tries again.
    }
    this.#closed = true
    this.#leave()
  }

  #leave(): void {
    if (!this.#outbox) return
    this.#past = this.#outbox.past
    this.#outbox.close()
    this.#outbox = undefined
  }

  #read<T>(read: (outbox: Outbox) => T): T {
    try {
      return this.#use(read)
    } catch (error) {
      if (classifyWrite(error) === 'bug') throw error
      throw new OutboundUnreadable(this.#path, error)
    }
  }

  #use<T>(work: (outbox: Outbox) => T): T {
    try {
      this.#outbox ??= this.#openAgain().follow(this.#past)
      this.#doubted = false
      return work(this.#outbox)
    } catch (error) {
      if (isDoubtful(error)) {
        this.#doubted = true
        this.#leave()
      }
      throw error
    }
  }

  #openAgain(): Outbox {
    const file = fileAt(this.#path)
    if (this.#closed || file?.ino !== this.#file?.ino || file?.dev !== this.#file?.dev)
      throw moved(this.#path)
    const db = openWritable(this.#path, this.#journal, { mustExist: true })
    try {
      if (!isAt(this.#path, file)) throw moved(this.#path)
      if (this.#doubted && file && file.size <= CHECKED_BYTES_MAX) check(db)
      return new Outbox(db, this.#journal, this.#reach)
    } catch (error) {
      db.close()
      throw error
    }
  }
}

function moved(path: string): Error {
  return new Database.SqliteError(`another file stands at ${path}, or none`, 'SQLITE_READONLY_DBMOVED')
}

function check(db: WritableDb): void {
  const found = db.pragma('quick_check(1)', { simple: true })
  if (found !== 'ok') throw new Database.SqliteError(`quick_check: ${found}`, 'SQLITE_CORRUPT')
}
