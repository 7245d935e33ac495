// Reading a file that somebody else writes: it may be locked for a moment, or not readable for as long as only its writer
// can change that. A read that could not be done stays and is done before every later one, since what it was to find comes
// before what they find: after a lock shortly, otherwise with the next read that anybody wants. What keeps the file from
// being read is said once, and once when it is gone.
import type { Clock, Timer } from './clock.ts'
import type { Events } from './protocol/events.ts'

export interface ReadingParts {
  readonly clock: Clock
  readonly events: Events
  /** The file, for people. */
  readonly path: string
  /** What an error means: again in a moment, or not readable for now, and why. Throws what is neither. */
  readonly classify: (
    error: unknown,
  ) => { readonly retry: true } | { readonly retry: false; readonly reason: string }
  /** What could not be read a moment ago perhaps can be now. */
  readonly onReadable: () => void
}

/** A read that met the host's lock is tried again after these pauses; the last one is repeated. */
const RETRY_MS = [1, 1, 2, 4, 8, 16]

export class Reading {
  readonly #parts: ReadingParts
  readonly #due = new Set<() => void>()
  #timer: Timer | undefined
  #busyInARow = 0
  #waitingFor: string | undefined
  #stopped = false

  constructor(parts: ReadingParts) {
    this.#parts = parts
  }

  /** What keeps the file from being read, if anything does. */
  get waitingFor(): string | undefined {
    return this.#waitingFor
  }

  /** Reads now or as soon as that is possible. A read that throws is called again, and must have changed nothing. */
  do(read: () => void): void {
    if (this.#stopped) return
    this.#due.add(read)
    if (!this.#timer) this.#readOn()
  }

  /** A read of somebody else's ended in this error; `onReadable` is called when it is worth another try. */
  failed(error: unknown): void {
    if (this.#stopped) return
    const { classify, events, path } = this.#parts
    const meaning = classify(error)
    if (meaning.retry) return this.#soon()
    if (this.#waitingFor === meaning.reason) return
    this.#waitingFor = meaning.reason
    events.emit('waiting', { path, reason: meaning.reason })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#due.clear()
  }

  #readOn(): void {
    for (const read of this.#due) {
      try {
        read()
      } catch (error) {
        return this.failed(error)
      }
      this.#due.delete(read)
      this.#done()
    }
  }

  #done(): void {
    this.#busyInARow = 0
    if (this.#waitingFor === undefined) return
    this.#waitingFor = undefined
    this.#parts.events.emit('readable', { path: this.#parts.path })
    this.#parts.onReadable()
  }

  #soon(): void {
    if (this.#timer) return
    const pauseMs = RETRY_MS[Math.min(this.#busyInARow++, RETRY_MS.length - 1)] ?? 1
    this.#timer = this.#parts.clock.after(pauseMs, () => {
      this.#timer = undefined
      this.#readOn()
      this.#parts.onReadable()
    })
  }
}
