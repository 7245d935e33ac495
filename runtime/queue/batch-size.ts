// How many messages travel to a child together. A batch hides the cost of a commit and of a hand-over, but
// what stands at its end waits for all before it; so it grows only as far as the handler has shown itself to
// be quick.

/**
 * A batch keeps its child busy for about this long: longer hides no more cost and only delays what is behind
 * it.
 */
const BATCH_MS = 5
/** Beyond this a commit gains little, and the death of a process would send more messages round again. */
const BATCH_MAX = 256
/** Weight of the newest run in the average. */
const LEARNING = 1 / 4
/** The first run of a function compiles it. One that took less than this may be of a quick function. */
const FIRST_QUICK_MS = 10

interface Learned {
  averageMs: number
  isFirst: boolean
}

export class BatchSize {
  readonly #learned = new Map<string, Learned>()

  /** A function that has not run yet gets one message at a time. */
  max(functionName: string): number {
    const averageMs = this.#learned.get(functionName)?.averageMs
    if (averageMs === undefined) return 1
    return Math.max(1, Math.min(BATCH_MAX, Math.floor(BATCH_MS / Math.max(averageMs, 0.001))))
  }

  /** The child measures, and the handler shares its process: what is no duration teaches nothing. */
  learn(functionName: string, durationMs: number): void {
    if (!Number.isFinite(durationMs) || durationMs < 0) return
    const learned = this.#learned.get(functionName)
    if (!learned) this.#learned.set(functionName, { averageMs: durationMs, isFirst: true })
    else if (learned.isFirst) this.#learned.set(functionName, { averageMs: durationMs, isFirst: false })
    else learned.averageMs += (durationMs - learned.averageMs) * LEARNING
  }

  /** Only its first run is known, and it was short: the next one shows whether it is quick. */
  mayBeQuick(functionName: string): boolean {
    const learned = this.#learned.get(functionName)
    return learned?.isFirst === true && learned.averageMs < FIRST_QUICK_MS
  }
}
