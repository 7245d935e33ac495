// Pauses that grow: the one place that works out how long the next one lasts. Pure; who waits has the clock.

export interface Backoff {
  readonly minMs: number
  readonly maxMs: number
  /** From one pause to the next; without one, the pause doubles. */
  readonly factor?: number
}

/** The nth pause in a row, counted from 1: min, min·factor, min·factor², … up to max. Before the first one there is none. */
export function backoffMs({ minMs, maxMs, factor = 2 }: Backoff, nth: number): number {
  // Without this, 0 times a factor that has grown to Infinity would be no number.
  if (minMs === 0 || nth < 1) return 0
  return Math.min(minMs * factor ** (nth - 1), maxMs)
}

/** A random point in the upper half of a pause, so that what failed together does not come back together. 0 ≤ random < 1 */
export function jitterMs(pauseMs: number, random: number): number {
  return Math.round(pauseMs * (0.5 + random / 2))
}
