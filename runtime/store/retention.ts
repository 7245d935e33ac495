// Forgetting: what outbound.db keeps of a message goes when the host has recorded all of it (the message's
// end in its own column or by removing its row, each reply in `delivered`) and `retention` has passed since.
// Never by age alone: an ack that the host has not read would run its message again, a reply that it has not
// delivered would be lost.
import type { Clock, Timer } from '../protocol/clock.ts'
import { isoTime } from '../protocol/time.ts'
import type { RetentionQueries } from './store.ts'

export interface RetentionParts {
  readonly clock: Clock
  /** Infinity: nothing is forgotten. */
  readonly retentionMs: number
  readonly past: RetentionQueries
  readonly host: {
    /** Those of these messages that are not ended by the host's own account. */
    notEnded(ids: readonly string[]): ReadonlySet<string>
    /** Those of these replies that the host has recorded as delivered. */
    delivered(ids: readonly string[]): ReadonlySet<string>
  }
  /** Asked before a longer pause than between two pages with work: how long it is to be. */
  readonly pauseMs?: (pauseMs: number) => number
  /** Whether an error is a lock of another process, which is gone in a moment. */
  readonly isLock: (error: unknown) => boolean
  /**
   * An error that is not about a file. The dispatcher and the source report faults of the files; retention
   * only tries again later.
   */
  readonly onBug: (error: unknown) => void
}

/** Acks looked at in one go: a few milliseconds. */
const PAGE = 500
/**
 * After a page of which something was forgotten: fast enough for 10,000 messages a second, and four fifths of
 * the time is others'.
 */
const BUSY_PAUSE_MS = 50
/**
 * After a page of which nothing was: the files are as the host left them, and looking costs nothing to speak
 * of.
 */
const IDLE_PAUSE_MS = 5_000
/** Everything that is old enough has been looked at, or a file cannot be used. */
export const LAP_PAUSE_MS = 60_000
/** After a lock: a host that commits 125 times a second holds one in every second try. */
const LOCK_PAUSE_MS = 20
/**
 * A try may have waited for the lock itself, and stopped the event loop meanwhile: four fifths of the time
 * are for others.
 */
const LOCK_PAUSE_SHARE = 4

/**
 * A page of ended messages. What has been read of it is kept while a lock is in the way: each of these facts
 * stays true.
 */
interface Found {
  readonly last: number
  readonly old: readonly string[]
  kept?: ReadonlySet<string>
  replies?: readonly (readonly [reply: string, message: string])[]
  delivered?: ReadonlySet<string>
}

export class Retention {
  readonly #parts: RetentionParts
  #after = 0
  #found: Found | undefined
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
    const { clock, isLock, onBug } = this.#parts
    this.#timer = clock.after(pauseMs, () => {
      const startMs = clock.monotonic()
      try {
        const pauseMs = this.#page()
        this.#again(pauseMs > BUSY_PAUSE_MS ? (this.#parts.pauseMs?.(pauseMs) ?? pauseMs) : pauseMs)
      } catch (error) {
        if (!isOfAFile(error)) return onBug(error)
        if (isLock(error))
          return this.#again(Math.max(LOCK_PAUSE_MS, LOCK_PAUSE_SHARE * (clock.monotonic() - startMs)))
        this.#done()
        this.#again(LAP_PAUSE_MS)
      }
    })
  }

  /** Returns how long to wait before the next one. */
  #page(): number {
    const { past, host } = this.#parts
    this.#found ??= this.#next()
    if (!this.#found) {
      this.#after = 0
      return LAP_PAUSE_MS
    }
    const { old } = this.#found
    const kept = (this.#found.kept ??= host.notEnded(old))
    const ended = old.filter((id) => !kept.has(id))
    const replies = (this.#found.replies ??= past.repliesTo(ended))
    const delivered = (this.#found.delivered ??= host.delivered(replies.map(([reply]) => reply)))
    const waiting = new Set(replies.flatMap(([reply, message]) => (delivered.has(reply) ? [] : message)))
    const over = ended.filter((id) => !waiting.has(id))
    const answers = replies.flatMap(([reply, message]) => (waiting.has(message) ? [] : reply))
    if (over.length > 0) past.forget(over, answers)
    this.#done()
    return over.length > 0 ? BUSY_PAUSE_MS : IDLE_PAUSE_MS
  }

  #next(): Found | undefined {
    const { clock, retentionMs, past } = this.#parts
    const before = isoTime(clock.now() - retentionMs)
    const old = past.endedAfter(this.#after, PAGE).filter(({ endedAt }) => endedAt < before)
    const last = old.at(-1)
    return last && { last: last.place, old: old.map(({ id }) => id) }
  }

  #done(): void {
    this.#after = this.#found?.last ?? this.#after
    this.#found = undefined
  }
}

function isOfAFile(error: unknown): boolean {
  return error instanceof Error && 'code' in error
}
