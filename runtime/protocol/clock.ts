// Time as a parameter. Every part that waits or reads the time gets a Clock; only this file uses the real
// one, so a test or a simulation controls time completely.

/** A pending call; `cancel()` may be called any number of times, also after it ran. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall time, milliseconds since 1970 UTC. May jump in either direction. */
  now(): number
  /** Milliseconds since an arbitrary start; never goes back. For durations. */
  monotonic(): number
  /** Calls `fn` once after `delayMs`, however long that is. */
  after(delayMs: number, fn: () => void): Timer
  /** Calls `fn` once the events that are already queued have been handled. */
  soon(fn: () => void): Timer
}

/**
 * Node's timers overflow at 2^31 ms; a longer wait consists of several. Waits for a wall time also check at
 * this interval.
 */
export const LONGEST_WAIT_MS = 60_000

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, fn) {
    const endMs = performance.now() + delayMs
    let timer: NodeJS.Timeout | undefined
    const wait = () => {
      const leftMs = Math.max(endMs - performance.now(), 0)
      timer = leftMs > LONGEST_WAIT_MS ? setTimeout(wait, LONGEST_WAIT_MS) : setTimeout(fn, leftMs)
    }
    wait()
    return { cancel: () => clearTimeout(timer) }
  },
  soon(fn) {
    const immediate = setImmediate(fn)
    return { cancel: () => clearImmediate(immediate) }
  },
}

/**
 * A clock whose callbacks never throw into the event loop: `caught` gets the error. `soon`: replaces the
 * clock's own.
 */
export function guarded(clock: Clock, caught: (error: unknown) => void, soon?: Clock['soon']): Clock {
  const guard = (fn: () => void) => () => {
    try {
      fn()
    } catch (error) {
      caught(error)
    }
  }
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (delayMs, fn) => clock.after(delayMs, guard(fn)),
    soon: (fn) => (soon ? soon(guard(fn)) : clock.soon(guard(fn))),
  }
}

/**
 * Calls that may come up to `stepMs` late, and come together: a thousand folders that each look at their
 * files every few seconds would otherwise wake the process hundreds of times a second.
 */
export function coarse(clock: Clock, stepMs: number): Clock {
  const steps = new Map<number, Set<() => void>>()
  let armed: { readonly step: number; readonly timer: Timer } | undefined
  const arm = () => {
    const step = Math.min(...steps.keys())
    if (armed?.step === step) return
    armed?.timer.cancel()
    armed = undefined
    if (steps.size === 0) return
    const timer = clock.after(step * stepMs - clock.monotonic(), () => {
      const calls = steps.get(step) ?? []
      steps.delete(step)
      armed = undefined
      for (const call of calls) call()
      arm()
    })
    armed = { step, timer }
  }
  return {
    ...clock,
    after(delayMs, fn) {
      const step = Math.ceil((clock.monotonic() + delayMs) / stepMs)
      const call = () => fn()
      const calls = steps.get(step) ?? new Set()
      steps.set(step, calls.add(call))
      arm()
      return {
        cancel: () => {
          if (calls.delete(call) && calls.size === 0 && steps.delete(step)) arm()
        },
      }
    },
  }
}

const nothing = new Int32Array(new SharedArrayBuffer(4))

/**
 * Blocks this thread for a fraction of a millisecond, which no timer can do, and leaves the processor to
 * other processes.
 */
export function sleepSync(ms: number): void {
  Atomics.wait(nothing, 0, 0, ms)
}

/** Delays use the monotonic clock. */
export function steady(clock: Clock): Clock {
  return {
    now: () => clock.monotonic(),
    monotonic: () => clock.monotonic(),
    after: (delayMs, fn) => clock.after(delayMs, fn),
    soon: (fn) => clock.soon(fn),
  }
}
