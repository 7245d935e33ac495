// Taking outbound.db over: a host that reads it in this moment is no reason to give up.
import type { Clock } from '../protocol/clock.ts'
import { classifyWrite, outboundError } from './sqlite/classify.ts'

/** A start that meets a lock on outbound.db tries again for about five seconds. */
const OPEN_TRIES = 50
const OPEN_PAUSE_MS = 100

export class OpenWithRetry {
  readonly #clock: Clock
  readonly #path: string
  readonly #isOver: () => boolean

  /** `isOver`: the start was cancelled, and no further try is made. */
  constructor(clock: Clock, path: string, isOver: () => boolean) {
    this.#clock = clock
    this.#path = path
    this.#isOver = isOver
  }

  /** @throws NanoclawError `outbound_unusable` and others */
  async with<T>(open: () => T): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return open()
      } catch (error) {
        if (classifyWrite(error) !== 'retry' || tries === OPEN_TRIES || this.#isOver())
          throw outboundError(this.#path, error)
        await new Promise<void>((resolve) => this.#clock.after(OPEN_PAUSE_MS, resolve))
      }
    }
  }
}
