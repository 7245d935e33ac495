// Backoff for functions whose processes do not start: after a growing delay, one process is started.
import { type Backoff, backoffMs } from '../protocol/backoff.ts'
import type { Clock, Timer } from '../protocol/clock.ts'

interface Trouble {
  readonly failures: number
  /** Set while the function must not be started. */
  timer: Timer | undefined
}

/** Delays before a function whose process did not start is tried again. */
const START_RETRY: Backoff = { minMs: 200, maxMs: 30_000 }

export class StartBackoff {
  readonly #clock: Clock
  readonly #onOver: () => void
  /** By bundle. */
  readonly #troubles = new Map<string, Trouble>()

  /** `onOver`: a delay is over. */
  constructor(clock: Clock, onOver: () => void) {
    this.#clock = clock
    this.#onOver = onOver
  }

  /** How many processes of this bundle may be started now, if `wanted` are. */
  allows(bundle: string, wanted: number): number {
    const trouble = this.#troubles.get(bundle)
    if (!trouble) return wanted
    return trouble.timer ? 0 : Math.min(wanted, 1)
  }

  /** Records a failed start; returns the delay in milliseconds before the next one. */
  add(bundle: string): number {
    const before = this.#troubles.get(bundle)
    const failures = (before?.failures ?? 0) + 1
    const pauseMs = backoffMs(START_RETRY, failures)
    before?.timer?.cancel()
    const trouble: Trouble = { failures, timer: undefined }
    trouble.timer = this.#clock.after(pauseMs, () => {
      trouble.timer = undefined
      this.#onOver()
    })
    this.#troubles.set(bundle, trouble)
    return pauseMs
  }

  /** Records a successful start. */
  over(bundle: string): void {
    this.#troubles.get(bundle)?.timer?.cancel()
    this.#troubles.delete(bundle)
  }

  keepOnly(bundles: ReadonlySet<string>): void {
    for (const bundle of this.#troubles.keys()) if (!bundles.has(bundle)) this.over(bundle)
  }

  stop(): void {
    this.keepOnly(new Set())
  }
}
