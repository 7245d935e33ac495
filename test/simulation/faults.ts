// What goes wrong around the runtime, and when. Everything that the runtime does to the world is an effect
// and comes by here first: a database that is locked, unreadable or full says so, and at the planned effect
// the runtime is killed.
import Database from 'better-sqlite3'
import type { Clock } from '../../runtime/protocol/clock.ts'

/** kill -9: unwinds whatever was going on; none of it may come to anything. */
export class Crash extends Error {
  override readonly name = 'Crash'
}

// Made once: an error that is new each time costs more than what it is thrown into.
const HOT_JOURNAL = new Database.SqliteError(
  'attempt to write a readonly database',
  'SQLITE_READONLY_ROLLBACK',
)
const LOCKED = new Database.SqliteError('database is locked', 'SQLITE_BUSY')
const FAILING = new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_WRITE')
/** The batch is on disk. */
export const UNANSWERED = new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_DELETE')
const FULL = new Database.SqliteError('database or disk is full', 'SQLITE_FULL')

type Unreadable = 'journal' | 'gone'
/** A page of inbound.db: each row twice, or the last row first. */
export type Odd = 'repeats' | 'turns-round'

export class Faults {
  readonly #clock: Clock
  #effectsLeft = Number.POSITIVE_INFINITY
  #crashBefore: string | undefined
  #readsLeft = 0
  #busyReads = 0
  #busyCommits = 0
  #failingCommits = 0
  #unansweredCommits = 0
  #slowMs: number[] = []
  #odd: { readonly how: Odd; times: number } | undefined
  #fullUntilMs = Number.NEGATIVE_INFINITY
  #fullFrom = 0
  #statements = 0
  /** Puts another file in place of the one that is away, until the runtime has missed that one. */
  #swap: (() => void) | undefined
  #unreadable: { readonly how: Unreadable; readonly untilMs: number } | undefined
  /** How often each fault has struck. */
  readonly struck: Record<string, number> = {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `before`: counts only effects of this name. */
  crashIn(effects: number, before?: string): void {
    this.#effectsLeft = effects
    this.#crashBefore = before
  }

  /** So many reads still succeed, and then so many fail. */
  busyReads(after: number, times: number): void {
    this.#readsLeft = after
    this.#busyReads = times
  }

  busyCommits(times: number): void {
    this.#busyCommits = times
  }

  /** The disk fails in so many commits: after a few of them the runtime gives up. */
  failingCommits(times: number): void {
    this.#failingCommits = times
  }

  /** So many commits take effect and report an error of the disk. */
  unansweredCommits(times: number): void {
    this.#unansweredCommits = times
  }

  /** Whether the commit that takes effect now is one of them. */
  losesAnswer(): boolean {
    if (this.#unansweredCommits === 0) return false
    this.#unansweredCommits--
    this.#strike('unanswered commit')
    return true
  }

  /** Of the next commit of a store that answers late. */
  slowCommit(writeMs: number, answerMs: number): void {
    this.#slowMs = [writeMs, answerMs]
  }

  /** How long the next step of such a commit takes, if it takes long. */
  get slowMs(): number | undefined {
    return this.#slowMs.shift()
  }

  /** So many pages are not as they should be. */
  oddPages(how: Odd, times: number): void {
    this.#odd = { how, times }
  }

  full(ms: number, fromStatement: number): void {
    this.#fullUntilMs = this.#clock.monotonic() + ms
    this.#fullFrom = fromStatement
  }

  unreadable(how: Unreadable, ms: number): void {
    if (this.isSwapUnseen) return
    this.#unreadable = { how, untilMs: this.#clock.monotonic() + ms }
  }

  /**
   * Another file comes after a while, and not before a runtime has looked for this one in vain: it has the
   * same inode here, so a handle on this one would read the rows of the other one.
   */
  swap(ms: number, put: () => void): void {
    this.unreadable('gone', ms)
    this.#swap = put
  }

  get isSwapUnseen(): boolean {
    return this.#swap !== undefined
  }

  /** The runtime has looked for inbound.db in vain. */
  missed(): void {
    const put = this.#swap
    this.#swap = undefined
    put?.()
  }

  /** Whether inbound.db is away. */
  get gone(): boolean {
    return this.#troubled?.how === 'gone'
  }

  /** From now on, nothing goes wrong. */
  end(): void {
    this.#effectsLeft = Number.POSITIVE_INFINITY
    this.#busyReads = 0
    this.#busyCommits = 0
    this.#failingCommits = 0
    this.#unansweredCommits = 0
    this.#slowMs = []
    this.#odd = undefined
    this.#fullUntilMs = Number.NEGATIVE_INFINITY
    this.#unreadable = undefined
    this.missed()
  }

  /** Something is about to be done to the world. */
  effect(what: string): void {
    if (this.#crashBefore !== undefined && this.#crashBefore !== what) return
    if (this.#effectsLeft-- > 0) return
    this.#effectsLeft = Number.POSITIVE_INFINITY
    this.#strike(`crash before ${what}`)
    throw new Crash(what)
  }

  /** inbound.db is about to be read. */
  read(what: string): void {
    this.effect(what)
    if (this.#troubled?.how === 'journal') {
      this.#strike('hot journal')
      throw HOT_JOURNAL
    }
    if (this.#busyReads === 0 || this.#readsLeft-- > 0) return
    this.#busyReads--
    this.#strike('busy read')
    throw LOCKED
  }

  /** A transaction on outbound.db is about to begin. */
  begin(): void {
    this.effect('a transaction')
    this.#statements = 0
    if (this.#failingCommits > 0) {
      this.#failingCommits--
      this.#strike('failing commit')
      throw FAILING
    }
    if (this.#busyCommits === 0) return
    this.#busyCommits--
    this.#strike('busy commit')
    throw LOCKED
  }

  /** A statement that writes to outbound.db is about to run. */
  write(): void {
    this.effect('a statement')
    if (this.#clock.monotonic() >= this.#fullUntilMs || this.#statements++ < this.#fullFrom) return
    this.#strike('full disk')
    throw FULL
  }

  /** What a source that is not as careful as a file makes of a page. */
  odd<T extends { readonly rows: readonly unknown[] }>(page: T): T {
    if (!this.#odd || this.#odd.times === 0 || page.rows.length === 0) return page
    this.#odd.times--
    this.#strike(`page that ${this.#odd.how}`)
    const { rows } = page
    return { ...page, rows: this.#odd.how === 'repeats' ? [...rows, ...rows] : [...rows].reverse() }
  }

  /** It is one of these, and may end the service of the folder. */
  isPlanned(error: unknown): boolean {
    return error === FAILING || error === UNANSWERED
  }

  get #troubled() {
    const isOver = this.#unreadable && this.#clock.monotonic() >= this.#unreadable.untilMs
    if (isOver && !this.isSwapUnseen) this.#unreadable = undefined
    return this.#unreadable
  }

  #strike(what: string): void {
    this.struck[what] = (this.struck[what] ?? 0) + 1
  }
}
