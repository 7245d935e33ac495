// Writes the results of delivery attempts: results that arrive within one turn of the event loop share a
// transaction. A sent reply must not be sent again because a disk was full for a minute, so each write is
// retried until it succeeds.
import type { Clock } from '../protocol/clock.ts'
import { sqliteTime } from '../protocol/time.ts'
import type { Outage } from './outage.ts'
import { type DeliveryAttempt, recordAttempt } from './sqlite/delivery.ts'
import type { HostFile } from './sqlite/file.ts'

interface Note {
  readonly tried: DeliveryAttempt
  readonly written: (done: boolean) => void
  readonly failed: (bug: unknown) => void
}

export class DeliveryLog {
  readonly #file: HostFile
  readonly #clock: Clock
  readonly #outage: Outage
  readonly #pollMs: number
  readonly #stopping: AbortSignal
  #waiting: Note[] = []
  #writing = false

  constructor(file: HostFile, clock: Clock, outage: Outage, pollMs: number, stopping: AbortSignal) {
    this.#file = file
    this.#clock = clock
    this.#outage = outage
    this.#pollMs = pollMs
    this.#stopping = stopping
  }

  /** Resolves to true when the result is on disk; to false when the delivery was stopped before. */
  write(tried: DeliveryAttempt): Promise<boolean> {
    return new Promise((written, failed) => {
      this.#waiting.push({ tried, written, failed })
      if (this.#writing) return
      this.#writing = true
      this.#clock.soon(() => void this.#writeAll())
    })
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const notes = this.#waiting
      this.#waiting = []
      const record = () =>
        recordAttempt(
          this.#file,
          notes.map(({ tried }) => tried),
          sqliteTime(this.#clock.now()),
        )
      try {
        const done = await this.#outage.insist(record, this.#clock, this.#pollMs, this.#stopping)
        for (const { written } of notes) written(done)
      } catch (bug) {
        for (const { failed } of notes) failed(bug)
      }
    }
    this.#writing = false
  }
}
