// Reading a file that somebody else writes: it may be locked for a moment, or not readable for as long as only its writer
// can change that. A read that met a lock is done again shortly; what cannot be read is said once, and once when it can.
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
  readonly onReadable: () => void
  /** A read was given up: what it was to find must be found in another way. */
  readonly onUnreadable: () => void
}

/** A read that met the host's lock is tried again after these pauses; the last one is repeated. */
const RETRY_MS = [1, 1, 2, 4, 8, 16]

export class Reading {
  readonly #parts: ReadingParts
  readonly #again = new Set<() => void>()
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

  /** `again` is called when a lock was in the way; it is to come back here. */
  try(read: () => void, again: () => void): void {
    if (this.#stopped) return
    try {
      read()
      this.#done()
    } catch (error) {
      this.failed(error, again)
    }
  }

  /** Somebody's read ended in this error. */
  failed(error: unknown, again: () => void): void {
    if (this.#stopped) return
    const { classify, events, path, onUnreadable } = this.#parts
    const meaning = classify(error)
    if (meaning.retry) return this.#soon(again)
    onUnreadable()
    if (this.#waitingFor === meaning.reason) return
    this.#waitingFor = meaning.reason
    events.emit('waiting', { path, reason: meaning.reason })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  #done(): void {
    this.#busyInARow = 0
    if (this.#waitingFor === undefined) return
    this.#waitingFor = undefined
    this.#parts.events.emit('readable', { path: this.#parts.path })
    this.#parts.onReadable()
  }

  /** One timer for whatever has to be read again, however many have met the lock. */
  #soon(again: () => void): void {
    this.#again.add(again)
    if (this.#timer) return
    const pauseMs = RETRY_MS[Math.min(this.#busyInARow++, RETRY_MS.length - 1)] ?? 1
    this.#timer = this.#parts.clock.after(pauseMs, () => {
      this.#timer = undefined
      const calls = [...this.#again]
      this.#again.clear()
      for (const call of calls) call()
    })
  }
}
