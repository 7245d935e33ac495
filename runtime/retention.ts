// Forgetting: what outbound.db keeps of a message goes when the host has recorded all of it (the message's end in its own
// column or by removing its row, each reply in `delivered`) and `retention` has passed since. Never by age alone: an ack
// that the host has not read would run its message again, a reply that it has not delivered would be lost.
import type { Clock, Timer } from './clock.ts'
import { isoTime } from './protocol/time.ts'

export interface Ended {
  readonly rowid: number
  readonly id: string
  readonly endedAt: string
}

export interface Past {
  endedAfter(rowid: number, limit: number): readonly Ended[]
  repliesTo(ids: readonly string[]): readonly (readonly [reply: string, message: string])[]
  forget(ids: readonly string[], replies: readonly string[]): void
}

export interface RetentionParts {
  readonly clock: Clock
  /** Infinity: nothing is forgotten. */
  readonly retentionMs: number
  readonly past: <T>(work: (past: Past) => T) => T
  readonly host: {
    /** Those of these messages that are not ended by the host's own account. */
    notEnded(ids: readonly string[]): ReadonlySet<string>
    /** Those of these replies that the host has recorded as delivered. */
    delivered(ids: readonly string[]): ReadonlySet<string>
  }
  /** An error of no file. What the files do is told by those who cannot wait for them; here it is only tried again later. */
  readonly onBug: (error: unknown) => void
}

/** Acks looked at in one go: a few milliseconds. */
const PAGE = 500
/** After a page of which something was forgotten: fast enough for 10,000 messages a second, and four fifths of the time is others'. */
const BUSY_PAUSE_MS = 50
/** After a page of which nothing was: the files are as the host left them, and looking costs nothing to speak of. */
const IDLE_PAUSE_MS = 5_000
/** Everything that is old enough has been looked at. */
const LAP_PAUSE_MS = 60_000

export class Retention {
  readonly #parts: RetentionParts
  #after = 0
  #timer: Timer | undefined
  #stopped = false

  constructor(parts: RetentionParts) {
    this.#parts = parts
  }

  start(): void {
    if (Number.isFinite(this.#parts.retentionMs)) this.#again(IDLE_PAUSE_MS)
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  #again(pauseMs: number): void {
    if (this.#stopped) return
    this.#timer = this.#parts.clock.after(pauseMs, () => {
      try {
        this.#again(this.#page())
      } catch (error) {
        if (!isOfAFile(error)) return this.#parts.onBug(error)
        this.#again(LAP_PAUSE_MS)
      }
    })
  }

  /** Returns how long to wait before the next one. */
  #page(): number {
    const { clock, retentionMs, past, host } = this.#parts
    const before = isoTime(clock.now() - retentionMs)
    const page = past((of) => of.endedAfter(this.#after, PAGE))
    const old = page.filter(({ endedAt }) => endedAt < before)
    const last = old.at(-1)
    if (!last) {
      this.#after = 0
      return LAP_PAUSE_MS
    }
    this.#after = last.rowid
    const kept = host.notEnded(old.map(({ id }) => id))
    const ended = old.flatMap(({ id }) => (kept.has(id) ? [] : id))
    const replies = past((of) => of.repliesTo(ended))
    const delivered = host.delivered(replies.map(([reply]) => reply))
    const waiting = new Set(replies.flatMap(([reply, message]) => (delivered.has(reply) ? [] : message)))
    const over = ended.filter((id) => !waiting.has(id))
    if (over.length === 0) return IDLE_PAUSE_MS
    const answers = replies.flatMap(([reply, message]) => (waiting.has(message) ? [] : reply))
    past((of) => of.forget(over, answers))
    return BUSY_PAUSE_MS
  }
}

function isOfAFile(error: unknown): boolean {
  return error instanceof Error && 'code' in error
}
