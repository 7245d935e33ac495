// Growing delays: the one place that computes them. Pure; the caller has the clock.

export interface Backoff {
  readonly minMs: number
  readonly maxMs: number
  /** Factor between two delays; default 2. */
  readonly factor?: number
}

/** The nth delay, counted from 1: min, min·factor, min·factor², … up to max. 0 before the first one. */
export function backoffMs({ minMs, maxMs, factor = 2 }: Backoff, nth: number): number {
  // Without this, 0 times a factor that has grown to Infinity would be NaN.
  if (minMs === 0 || nth < 1) return 0
  return Math.min(minMs * factor ** (nth - 1), maxMs)
}

/**
 * A random point in the upper half of a delay, so that simultaneous failures do not retry simultaneously. 0 ≤
 * random < 1
 */
export function jitterMs(pauseMs: number, random: number): number {
  return Math.round(pauseMs * (0.5 + random / 2))
}
