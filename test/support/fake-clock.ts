// Time that a test owns. Nothing moves by itself: `advance` lets time pass and runs what comes due on the
// way, in order; `jump` sets the wall clock alone, as a person or NTP does.
import type { Clock, Timer } from '../../runtime/protocol/clock.ts'

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
  /** The next one stands at the end. */
  readonly #pending: Pending[] = []

  constructor(wallMs = Date.UTC(2026, 10, 24, 12)) {
    this.#wallMs = wallMs
  }

  /** Whole milliseconds, as a real wall clock gives them. */
  now(): number {
    return Math.floor(this.#wallMs)
  }

  monotonic(): number {
    return this.#monotonicMs
  }

  after(delayMs: number, fn: () => void): Timer {
    const pending = { atMs: this.#monotonicMs + Math.max(delayMs, 0), n: this.#n++, fn }
    let at = this.#pending.length
    while (at > 0 && comesBefore(this.#pending[at - 1]!, pending)) at--
    this.#pending.splice(at, 0, pending)
    return { cancel: () => this.#remove(pending) }
  }

  soon(fn: () => void): Timer {
    return this.after(0, fn)
  }

  /** Timers that are set. */
  get timers(): number {
    return this.#pending.length
  }

  /** Lets time pass. */
  advance(ms: number): void {
    const endMs = this.#monotonicMs + ms
    for (let calls = 0; this.step(endMs - this.#monotonicMs); calls++)
      if (calls > CALLS_MAX) throw new Error(`more than ${CALLS_MAX} calls within ${ms} ms`)
  }

  /**
   * Lets time pass up to the next call, makes it, and stops there; without one within `ms`, lets that much
   * pass and says so.
   */
  step(ms: number): boolean {
    const next = this.#pending.at(-1)
    if (!next || next.atMs - this.#monotonicMs > ms) {
      this.sleep(ms)
      return false
    }
    this.sleep(next.atMs - this.#monotonicMs)
    this.#pending.pop()
    next.fn()
    return true
  }

  /** Time passes without a callback: the process was suspended, or its loop was blocked. */
  sleep(ms: number): void {
    if (ms <= 0) return
    this.#monotonicMs += ms
    this.#wallMs += ms
  }

  /** Sets the wall clock forward, or back when negative; no time passes. */
  jump(ms: number): void {
    this.#wallMs += ms
  }

  #remove(pending: Pending): void {
    const at = this.#pending.indexOf(pending)
    if (at >= 0) this.#pending.splice(at, 1)
  }
}

function comesBefore(a: Pending, b: Pending): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.n < b.n)
}
