// Waiting for something to become true, with a deadline.
import type { Clock } from '../protocol/clock.ts'

export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve)
  })
}

/** Polls every few milliseconds; false when the deadline passed first. */
export async function until(clock: Clock, deadlineMs: number, holds: () => boolean): Promise<boolean> {
  const endMs = clock.monotonic() + deadlineMs
  while (!holds()) {
    if (clock.monotonic() >= endMs) return false
    await sleep(clock, LOOK_MS)
  }
  return true
}

const LOOK_MS = 20
