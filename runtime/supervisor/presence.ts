// Detects suspensions of this process. A process that was suspended, or whose machine slept, missed signs of
// life, and its instances perhaps slept as well: silence counts only from its return.
import type { Clock, Timer } from '../protocol/clock.ts'

/** A reading of both clocks. */
export interface Instant {
  /** Wall time. */
  readonly atMs: number
  /** Monotonic time; it stops while a machine sleeps, and continues while a process is suspended. */
  readonly steadyMs: number
}

/**
 * Whether the process was suspended, or its wall clock was set, between two readings that are due within
 * `awayMs`.
 */
export function wasAway(before: Instant, now: Instant, awayMs: number): boolean {
  const passedMs = now.steadyMs - before.steadyMs
  const jumpMs = now.atMs - before.atMs - passedMs
  return passedMs > awayMs || Math.abs(jumpMs) > awayMs
}

export class Presence {
  readonly #clock: Clock
  readonly #awayMs: number
  #seen: Instant
  #since: Instant
  #timer: Timer | undefined

  constructor(clock: Clock, awayMs: number) {
    this.#clock = clock
    this.#awayMs = awayMs
    this.#seen = this.#since = this.#read()
    this.#arm()
  }

  /** Since when the process has run without a suspension. */
  since(): Instant {
    const now = this.#read()
    if (wasAway(this.#seen, now, this.#awayMs)) this.#since = now
    this.#seen = now
    return this.#since
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #arm(): void {
    this.#timer = this.#clock.after(this.#awayMs / 2, () => {
      this.since()
      this.#arm()
    })
  }

  #read(): Instant {
    return { atMs: this.#clock.now(), steadyMs: this.#clock.monotonic() }
  }
}
