// A commit that failed is tried again: soon when it met a lock, later when the disk takes no writes, after a
// growing pause in both cases. Until then nothing is lost: results are held, and nothing new is claimed. Most
// locks last for a moment, so a lock is reported only when it stays; a disk that takes no writes at once.
// Each is reported once, and once when it is over.
import { type Backoff, backoffMs } from '../protocol/backoff.ts'
import type { Clock, Timer } from '../protocol/clock.ts'
import type { Events } from '../protocol/events.ts'
import { ReportOnce } from '../protocol/report-once.ts'

/**
 * retry  another process has a lock
 * hold   the disk takes no writes for now
 * doubt  the disk failed in a write, or returned what was never written: it is tried a few times more
 */
export type Passing = 'retry' | 'hold' | 'doubt'

export interface CommitRetryParts {
  readonly clock: Clock
  readonly events: Events
  /** An error, for people. */
  readonly explain: (error: unknown) => string
  readonly again: () => void
}

const PAUSES: Readonly<Record<Passing, Backoff>> = {
  retry: { minMs: 10, maxMs: 1_000 },
  hold: { minMs: 100, maxMs: 5_000 },
  doubt: { minMs: 100, maxMs: 5_000 },
}
/**
 * Between two tries while the runtime stops: a reader that reads again and again leaves gaps, and one of them
 * is enough.
 */
const HURRY_MAX_MS = 20
/** A lock that lasts longer is no reader's. */
const LOCK_TOLD_MS = 1_000
/** With the pauses, about half a minute of a disk that does not do its work. */
export const DOUBTS_MAX = 10

export class CommitRetry {
  readonly #parts: CommitRetryParts
  #timer: Timer | undefined
  #failures = 0
  #doubts = 0
  #sinceMs = 0
  readonly #outage = new ReportOnce()
  #hurry = false

  constructor(parts: CommitRetryParts) {
    this.#parts = parts
  }

  get on(): boolean {
    return this.#timer !== undefined
  }

  /**
   * False: this has failed too often, and no more is to be hoped for. `held`: runs that have ended and are
   * not on disk.
   */
  begin(meaning: Passing, error: unknown, held: number): boolean {
    const { clock, again } = this.#parts
    const nowMs = clock.monotonic()
    if (this.#failures === 0) this.#sinceMs = nowMs
    if (meaning === 'doubt' && ++this.#doubts > DOUBTS_MAX) return false
    const pauses = PAUSES[meaning]
    const maxMs = this.#hurry && meaning !== 'doubt' ? HURRY_MAX_MS : pauses.maxMs
    const retryMs = backoffMs({ ...pauses, maxMs }, ++this.#failures)
    if (meaning !== 'retry' || nowMs - this.#sinceMs >= LOCK_TOLD_MS) this.#tell(error, held, retryMs)
    this.#timer = clock.after(retryMs, () => {
      this.#timer = undefined
      again()
    })
    return true
  }

  /** The runtime stops: what has ended is tried again often, and now, since there is little time left. */
  hurry(): void {
    this.#hurry = true
    if (!this.#timer) return
    this.#timer.cancel()
    this.#timer = undefined
    this.#parts.again()
  }

  /** The disk has taken a commit. */
  healed(held: number): void {
    if (this.#outage.over()) this.#parts.events.emit('commit-recovered', { results: held })
    this.#failures = 0
    this.#doubts = 0
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #tell(error: unknown, held: number, retryMs: number): void {
    if (!this.#outage.isNews('outage')) return
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    const { events, explain } = this.#parts
    events.emit('commit-failed', { code, message: explain(error), results: held, retryMs })
  }
}
