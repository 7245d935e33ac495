// A commit that failed is tried again: in a moment when it met a lock, after a growing pause when the disk takes no writes.
// Until then nothing is lost: what has ended is held, and nothing new is claimed.
import type { Clock, Timer } from './clock.ts'
import { errorText } from './protocol/errors.ts'
import type { Events } from './protocol/events.ts'

export interface CommitPauseParts {
  readonly clock: Clock
  readonly events: Events
  readonly again: () => void
}

/** A commit that met a lock is tried again after this; one that met a full disk waits longer each time. */
const BUSY_MS = 10
const HOLD_MIN_MS = 100
const HOLD_MAX_MS = 5_000

export class CommitPause {
  readonly #parts: CommitPauseParts
  #timer: Timer | undefined
  #holds = 0

  constructor(parts: CommitPauseParts) {
    this.#parts = parts
  }

  get on(): boolean {
    return this.#timer !== undefined
  }

  /** `held`: runs that have ended and are not on disk. */
  begin(meaning: 'retry' | 'hold', error: unknown, held: number): void {
    const { clock, events, again } = this.#parts
    const retryMs = meaning === 'retry' ? BUSY_MS : Math.min(HOLD_MIN_MS * 2 ** this.#holds, HOLD_MAX_MS)
    if (meaning === 'hold' && this.#holds++ === 0) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
      events.emit('commit-failed', { code, message: errorText(error), held, retryMs })
    }
    this.#timer = clock.after(retryMs, () => {
      this.#timer = undefined
      again()
    })
  }

  /** The disk has taken a commit. */
  healed(held: number): void {
    if (this.#holds > 0) this.#parts.events.emit('commit-healed', { held })
    this.#holds = 0
  }

  stop(): void {
    this.#timer?.cancel()
  }
}
