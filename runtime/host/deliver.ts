// A delivery with its own timer: polls every few milliseconds, and at once when a send has ended, until it is
// stopped.

import { Outage } from './outage.ts'
import { Relay, type RelayParts } from './relay.ts'

export class Delivery {
  /** Resolves when stop() is complete; rejects only for a bug in this package or in `onEvent`. */
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

  /** False once every part of the delivery has ended. */
  get running(): boolean {
    return !this.#over
  }

  /** Starts no further sends, and waits until running ones have ended or timed out. */
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

  /** Waits until the next poll is due or a send has ended. */
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

  /** Polls again after all sends that have ended by now are counted. */
  #nudge(): void {
    if (this.#nudged) return
    this.#nudged = true
    this.#parts.clock.soon(() => {
      this.#nudged = false
      this.#wake()
    })
  }
}
