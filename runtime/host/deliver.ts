// A delivery that drives itself: looks every few milliseconds, and at once when something has come back, until it is stopped.

import { Outage } from './outage.ts'
import { Relay, type RelayParts } from './relay.ts'

export class Delivery {
  /** Ends when stop() has done its work; fails only with a bug of ours or of `onEvent`. */
  readonly done: Promise<void>
  readonly #parts: RelayParts
  readonly #courier: Relay
  readonly #outage: Outage
  readonly #stopping = new AbortController()
  #nudged = false
  #wake = () => {}
  #bug: unknown
  #over = false

  constructor(parts: RelayParts) {
    this.#parts = parts
    this.#outage = new Outage((error) => parts.onEvent({ type: 'blocked', error }))
    this.#courier = new Relay(parts, {
      outage: this.#outage,
      stopping: this.#stopping.signal,
      free: () => Number.POSITIVE_INFINITY,
      began: () => {},
      ended: () => {},
      again: () => this.#nudge(),
      failed: (bug) => this.#giveUp(bug),
    })
    this.done = this.#run()
  }

  /** False once everything of it has ended. */
  get running(): boolean {
    return !this.#over
  }

  /** Sends nothing more, and waits until what adapters have in their hands has come back or run out of time. */
  stop(): Promise<void> {
    this.#stopping.abort()
    this.#wake()
    return this.done
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        this.#outage.guard(() => this.#courier.look())
      } catch (error) {
        this.#giveUp(error)
      }
      await this.#rest()
    }
    await this.#courier.drained()
    this.#over = true
    if (this.#bug !== undefined) throw this.#bug
  }

  #giveUp(bug: unknown): void {
    this.#bug ??= bug
    this.#stopping.abort()
    this.#wake()
  }

  /** Until the next look is due, or something has changed. */
  #rest(): Promise<void> {
    if (this.#stopping.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = this.#parts.clock.after(this.#parts.pollMs, resolve)
      this.#wake = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  /** Look again as soon as everything that has come back by now has been counted. */
  #nudge(): void {
    if (this.#nudged) return
    this.#nudged = true
    this.#parts.clock.soon(() => {
      this.#nudged = false
      this.#wake()
    })
  }
}
