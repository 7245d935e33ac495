// Ids for messages without one of their own: unique, and rising with time, so that an index of a million of
// them grows at its end. The layout is that of UUID version 7: 48 bits of milliseconds, 12 bits of counter,
// then randomness.
import { randomUUID } from 'node:crypto'
import type { Clock } from '../protocol/clock.ts'

const COUNTER_MAX = 0xfff

export class IdSource {
  readonly #clock: Clock
  #ms = 0
  #counter = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * `msg-019a…`: later calls sort after earlier ones, also within one millisecond and when the clock goes
   * back.
   */
  next(): string {
    const nowMs = this.#clock.now()
    if (nowMs > this.#ms) {
      this.#ms = nowMs
      this.#counter = 0
    } else if (this.#counter === COUNTER_MAX) {
      this.#ms += 1
      this.#counter = 0
    } else {
      this.#counter += 1
    }
    const time = this.#ms.toString(16).padStart(12, '0')
    const counter = this.#counter.toString(16).padStart(3, '0')
    return `msg-${time.slice(0, 8)}-${time.slice(8)}-7${counter}-${randomUUID().slice(19)}`
  }
}
