// Time that a test owns. Nothing moves by itself: `advance` lets time pass and runs what comes due on the way, in order;
// `jump` sets the wall clock alone, as a person or NTP does. Waits are cut as the real clock cuts them.
import { type Clock, LONGEST_WAIT_MS, type Timer } from '../../runtime/clock.ts'

interface Pending {
  readonly atMs: number
  readonly n: number
  readonly fn: () => void
}

/** Calls that one `advance` may make: more is a loop that never waits. */
const CALLS_MAX = 100_000

export class FakeClock implements Clock {
  #wallMs: number
  #monotonicMs = 0
  #n = 0
  readonly #pending = new Set<Pending>()

  constructor(wallMs = Date.UTC(2026, 10, 24, 12)) {
    this.#wallMs = wallMs
  }

  now(): number {
    return this.#wallMs
  }

  monotonic(): number {
    return this.#monotonicMs
  }

  after(delayMs: number, fn: () => void): Timer {
    const waitMs = Math.min(Math.max(delayMs, 0), LONGEST_WAIT_MS)
    const pending = { atMs: this.#monotonicMs + waitMs, n: this.#n++, fn }
    this.#pending.add(pending)
    return { cancel: () => this.#pending.delete(pending) }
  }

  soon(fn: () => void): Timer {
    return this.after(0, fn)
  }

  /** Timers that are set. */
  get timers(): number {
    return this.#pending.size
  }

  /** Lets time pass. */
  advance(ms: number): void {
    const endMs = this.#monotonicMs + ms
    for (let calls = 0; ; calls++) {
      if (calls > CALLS_MAX) throw new Error(`more than ${CALLS_MAX} calls within ${ms} ms`)
      const next = this.#first()
      if (!next || next.atMs > endMs) break
      this.#pass(next.atMs - this.#monotonicMs)
      this.#pending.delete(next)
      next.fn()
    }
    this.#pass(endMs - this.#monotonicMs)
  }

  /** Sets the wall clock forward, or back when negative; no time passes. */
  jump(ms: number): void {
    this.#wallMs += ms
  }

  #pass(ms: number): void {
    this.#monotonicMs += ms
    this.#wallMs += ms
  }

  #first(): Pending | undefined {
    let first: Pending | undefined
    for (const each of this.#pending)
      if (!first || each.atMs < first.atMs || (each.atMs === first.atMs && each.n < first.n)) first = each
    return first
  }
}
