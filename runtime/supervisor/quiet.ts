// How long nothing has happened in a folder, and what follows for messages that are due all the same: those that an instance
// has left alone for so long have no function. They are no reason to keep a process, and none to start another.
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

  /** Whether no look has met a change for so long, as far as there were looks. */
  for(ms: number): boolean {
    const nowMs = this.#clock.monotonic()
    if (this.#changes !== this.#look.changes) this.#sinceMs = nowMs
    this.#changes = this.#look.changes
    return nowMs - Math.max(this.#sinceMs, this.#presence.since().steadyMs) >= ms
  }

  /** An instance has just begun. */
  restart(): void {
    this.#sinceMs = this.#clock.monotonic()
  }

  /** What is due now wakes nobody before the host's file changes, or something else is due. */
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
