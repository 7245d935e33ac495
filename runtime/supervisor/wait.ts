// When a folder may have its next instance after a failure: growing delays, or not before its configuration
// changes.
import { backoffMs, jitterMs } from '../protocol/backoff.ts'
import type { Clock, Timer } from '../protocol/clock.ts'
import type { Limits } from './liveness.ts'
import type { FolderState } from './state.ts'

export interface WaitParts {
  readonly clock: Clock
  readonly limits: Limits
  /** A fingerprint of the configuration. */
  readonly configuration: () => string
  /** The wait is over. */
  readonly visitSoon: () => void
}

export class Wait {
  readonly #parts: WaitParts
  #failures = 0
  /** By the monotonic clock. */
  #untilMs = 0
  /** The rejected configuration. */
  #refused: string | undefined
  #timer: Timer | undefined

  constructor(parts: WaitParts) {
    this.#parts = parts
  }

  get failures(): number {
    return this.#failures
  }

  get isOver(): boolean {
    if (this.#refused !== undefined) return this.#parts.configuration() !== this.#refused
    return this.#parts.clock.monotonic() >= this.#untilMs
  }

  /** After a success, or by retry(). */
  forget(): void {
    this.#failures = 0
    this.#untilMs = 0
    this.#refused = undefined
  }

  /** Until the configuration of this start changes. */
  refuse(reason: string, configuration: string): FolderState {
    this.#refused = configuration
    return { state: 'refused', reason }
  }

  pause(reason: string, failures: number, delayMs: number): FolderState {
    return { state: 'backing-off', reason, failures, untilMs: this.#for(failures, delayMs) }
  }

  failed(reason: string): FolderState {
    return this.pause(reason, this.#failures + 1, this.#nextMs())
  }

  /** The hook `prepare` failed. */
  unprepared(reason: string): FolderState {
    return { state: 'refused', reason, untilMs: this.#for(this.#failures + 1, this.#nextMs()) }
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #nextMs(): number {
    const { pauseMinMs, pauseMaxMs } = this.#parts.limits
    return jitterMs(backoffMs({ minMs: pauseMinMs, maxMs: pauseMaxMs }, this.#failures + 1), Math.random())
  }

  #for(failures: number, delayMs: number): number {
    const { clock, visitSoon } = this.#parts
    this.#failures = failures
    this.#refused = undefined
    this.#untilMs = clock.monotonic() + delayMs
    this.#timer?.cancel()
    this.#timer = clock.after(delayMs, visitSoon)
    return clock.now() + delayMs
  }
}
