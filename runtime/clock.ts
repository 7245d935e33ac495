// Time as a parameter. Every part that waits or asks the time gets a Clock; only this file touches the real one,
// so a test or a simulation can own time completely.

/** A pending call; `cancel()` may be called any number of times, also after it ran. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall time, milliseconds since 1970 UTC. May jump in either direction. */
  now(): number
  /** Milliseconds since an arbitrary start; never goes back. For durations. */
  monotonic(): number
  /** Calls `fn` once after `delayMs`, or earlier: a wait of more than a minute is cut, so the caller looks again. */
  after(delayMs: number, fn: () => void): Timer
  /** Calls `fn` as soon as the events that are already waiting have been handled. */
  soon(fn: () => void): Timer
}

/** Node's timers overflow at 2^31 ms and sleep through a suspended machine; waking each minute heals both. */
export const LONGEST_WAIT_MS = 60_000

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, fn) {
    const timer = setTimeout(fn, Math.min(Math.max(delayMs, 0), LONGEST_WAIT_MS))
    return { cancel: () => clearTimeout(timer) }
  },
  soon(fn) {
    const immediate = setImmediate(fn)
    return { cancel: () => clearImmediate(immediate) }
  },
}
