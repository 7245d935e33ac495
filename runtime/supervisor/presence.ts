// Whether this process was there all the time. One that was suspended, or whose machine slept, has seen nothing meanwhile, and
// what it judges slept perhaps as well: silence counts only from when it came back.
import type { Clock, Timer } from '../protocol/clock.ts'

/** A reading of both clocks. */
export interface Instant {
  /** Wall time. */
  readonly atMs: number
  /** By the clock that is never set; it stands still while a machine sleeps, and runs on while a process is suspended. */
  readonly steadyMs: number
}

/** Whether between two looks, which are due within `awayMs`, the process was away or its wall clock was set. */
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

  /** Since when it has been there without a break. */
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
