// How long a folder has been unchanged. Due messages that an instance has left unclaimed for that long have
// no function: they neither keep a process running nor start another.
import type { Clock } from '../protocol/clock.ts'
import type { Presence } from './presence.ts'
import type { WorkProbe } from './work.ts'

export class Quiet {
  readonly #look: WorkProbe
  readonly #clock: Clock
  readonly #presence: Presence
  #changes = 0
  #sinceMs: number
  #passedOver: { readonly inbound: string; readonly untilMs: number } | undefined

  constructor(look: WorkProbe, clock: Clock, presence: Presence) {
    this.#look = look
    this.#clock = clock
    this.#presence = presence
    this.#sinceMs = clock.monotonic()
  }

  /** Whether no poll has found a change for this long. */
  for(ms: number): boolean {
    const nowMs = this.#clock.monotonic()
    if (this.#changes !== this.#look.changes) this.#sinceMs = nowMs
    this.#changes = this.#look.changes
    return nowMs - Math.max(this.#sinceMs, this.#presence.since().steadyMs) >= ms
  }

  /** Call when an instance starts. */
  restart(): void {
    this.#sinceMs = this.#clock.monotonic()
  }

  /**
   * The messages that are due now start no runtime until the host's file changes or another message is due.
   */
  passOver(): void {
    this.#passedOver = { inbound: this.#look.inbound, untilMs: this.#look.nextDueMs() }
  }

  isPassedOver(): boolean {
    const passed = this.#passedOver
    if (passed && passed.inbound === this.#look.inbound && this.#clock.now() < passed.untilMs) return true
    this.#passedOver = undefined
    return false
  }

  forget(): void {
    this.#passedOver = undefined
  }
}
