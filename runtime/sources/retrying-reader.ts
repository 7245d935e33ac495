// Reading a file that another process writes: it may be locked for a moment, or not readable for as long as
// only its writer can change that. A read that could not be done stays and is done before every later one,
// since what it was to find comes before what they find: after a lock shortly, otherwise with the next read
// that a caller starts. An event reports the obstacle once, and its end once. Where a
// mount carries no locks, a read may meet a half-written file; such trouble is over in moments, so an event
// reports it only when it stays, and a counter counts it when it does not.
import { type Backoff, backoffMs } from '../protocol/backoff.ts'
import type { Clock, Timer } from '../protocol/clock.ts'
import type { Events } from '../protocol/events.ts'

export interface RetryingReaderParts {
  readonly clock: Clock
  readonly events: Events
  /** The file, for people. */
  readonly path: string
  /** What an error means: again in a moment, or not readable for now, and why. Throws what is neither. */
  readonly classify: (error: unknown) => Lock | ({ readonly retry: false } & Trouble)
  /** What could not be read a moment ago perhaps can be now. */
  readonly onReadable: () => void
}

interface Lock {
  readonly retry: true
  /** The file that is locked, if not the one that is read. */
  readonly path?: string
}

interface Trouble {
  readonly reason: string
  /** It may be over in a moment. */
  readonly flickers?: boolean
  /** The file that it is about, if not the one that is read. */
  readonly path?: string
}

/** Trouble that lasts longer stays. */
const FLICKER_MS = 100
/** A lock that lasts longer is no commit's. */
const LOCK_TOLD_MS = 1_000
/** So often by chance is unlikely. */
const FLICKERS_TOLD = 10
/** A read that met the host's lock is tried again after these pauses. */
const RETRY: Backoff = { minMs: 1, maxMs: 16 }

export class RetryingReader {
  readonly #parts: RetryingReaderParts
  /** What those find that are `first` comes before what the others find. */
  readonly #first = new Set<() => void>()
  readonly #due = new Set<() => void>()
  #timer: Timer | undefined
  #busyInARow = 0
  #waiting: { readonly path: string; readonly reason: string } | undefined
  #flicker: { readonly sinceMs: number; readonly reason: string } | undefined
  #flickers = 0
  #lockedSinceMs: number | undefined
  #stopped = false

  constructor(parts: RetryingReaderParts) {
    this.#parts = parts
  }

  /** What keeps the file from being read, if anything does. */
  get waitingFor(): string | undefined {
    return this.#waiting?.reason
  }

  /**
   * Reads as soon as that is possible. A read that throws is called again, and must have changed nothing.
   * `first`: before those that are due already; it finds again what was found before theirs.
   * `now`: though a pause is on, since something has happened to the file, and perhaps the lock is gone.
   */
  do(read: () => void, when: 'in-turn' | 'first' | 'now' = 'in-turn'): void {
    if (this.#stopped) return
    const reads = when === 'first' ? this.#first : this.#due
    reads.add(read)
    if (!this.#timer || when === 'now') this.#readOn()
  }

  /** A read by another part ended in this error; `onReadable` is called when it is worth another try. */
  failed(error: unknown): void {
    if (this.#stopped) return
    const meaning = this.#parts.classify(error)
    const { path = this.#parts.path } = meaning
    if (meaning.retry) {
      if (this.#staysLocked()) this.#wait(path, 'another process keeps it locked')
      return this.#soon()
    }
    if (this.#mayPass(meaning)) return this.#soon()
    this.#flicker = undefined
    this.#wait(path, meaning.reason)
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#first.clear()
    this.#due.clear()
  }

  #readOn(): void {
    for (const reads of [this.#first, this.#due])
      for (const read of reads) {
        try {
          read()
        } catch (error) {
          return this.failed(error)
        }
        reads.delete(read)
        this.#done()
      }
  }

  #done(): void {
    this.#busyInARow = 0
    this.#lockedSinceMs = undefined
    if (this.#flicker) this.#passed(this.#flicker.reason)
    if (!this.#waiting) return
    const { path } = this.#waiting
    this.#waiting = undefined
    this.#parts.events.emit('readable', { path })
    this.#parts.onReadable()
  }

  #wait(path: string, reason: string): void {
    if (this.#waiting?.reason === reason && this.#waiting.path === path) return
    this.#waiting = { path, reason }
    this.#parts.events.emit('waiting', { path, reason })
  }

  #staysLocked(): boolean {
    const nowMs = this.#parts.clock.monotonic()
    this.#lockedSinceMs ??= nowMs
    return nowMs - this.#lockedSinceMs >= LOCK_TOLD_MS
  }

  /** Not said yet, and perhaps never to be. */
  #mayPass({ flickers, reason }: Trouble): boolean {
    if (!flickers || this.#waiting) return false
    const nowMs = this.#parts.clock.monotonic()
    this.#flicker ??= { sinceMs: nowMs, reason }
    return nowMs - this.#flicker.sinceMs < FLICKER_MS
  }

  #passed(reason: string): void {
    this.#flicker = undefined
    if (++this.#flickers !== FLICKERS_TOLD) return
    const { events, path } = this.#parts
    events.emit('read-unstable', { path, times: this.#flickers, reason })
  }

  #soon(): void {
    const { clock, onReadable } = this.#parts
    if (this.#timer) return
    this.#timer = clock.after(backoffMs(RETRY, ++this.#busyInARow), () => {
      this.#timer = undefined
      this.#readOn()
      onReadable()
    })
  }
}
