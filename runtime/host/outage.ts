// An outage of a file: locked, disk full, folder not mounted. The caller keeps retrying, and the outage is
// reported once.
import type { Clock } from '../protocol/clock.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { ReportOnce } from '../protocol/report-once.ts'
import { pause } from './replies.ts'

export class Outage {
  readonly #report: (error: string) => void
  readonly #outage = new ReportOnce()

  constructor(report: (error: string) => void) {
    this.#report = report
  }

  /** The result, or undefined while a file cannot be used; any other error is a bug and is rethrown. */
  guard<T>(work: () => T): T | undefined {
    try {
      const result = work()
      this.#outage.over()
      return result
    } catch (error) {
      if (!(error instanceof NanoclawError)) throw error
      if (this.#outage.isNews('outage')) this.#report(error.message)
      return undefined
    }
  }

  /** Retries until it succeeds; false when the signal aborts first. Runs at least once. */
  async insist(work: () => void, clock: Clock, pollMs: number, signal: AbortSignal): Promise<boolean> {
    const worked = () => {
      work()
      return true
    }
    while (!this.guard(worked)) {
      if (signal.aborted) return false
      await pause(clock, pollMs, signal)
    }
    return true
  }
}
