// What hosts are told of runs that may take long. By themselves hosts call a claim stuck when it is older than a minute and
// no heartbeat has come since; a runtime that was frozen for a while (a suspended machine, a paused container) would be killed
// in the middle of a run that may rightly take ten. How long a run may take is what its function says as `timeout`.
// It is written in the transaction of the claims and ends that change it, and no other turn writes anything.
import type { Writer } from '../dispatcher.ts'
import type { CommitBatch, CommitResult } from '../protocol/commit-batch.ts'

/** How long the newest hosts wait when they are told nothing. */
const HOST_PATIENCE_MS = 60_000

export class TimeoutDeclaration implements Writer {
  readonly #writer: Writer
  readonly #limitMsOf: (functionName: string) => number
  /** Message → how long its run may take; only of those that hosts would not wait for. */
  #running = new Map<string, number>()
  #told: number | null = null

  constructor(writer: Writer, limitMsOf: (functionName: string) => number) {
    this.#writer = writer
    this.#limitMsOf = limitMsOf
  }

  commit(turn: CommitBatch): CommitResult {
    const running = this.#after(turn)
    const longestRunMs = longestOf(running)
    const committed = this.#writer.commit(longestRunMs === this.#told ? turn : { ...turn, longestRunMs })
    this.#told = longestRunMs
    this.#running = running
    for (const id of committed.refused) running.delete(id)
    return committed
  }

  /** What runs when this turn is on disk; the same map where nothing changes, so that a turn which fails changes nothing. */
  #after({ endings, claims }: CommitBatch): Map<string, number> {
    let after = this.#running
    const change = () => (after === this.#running ? (after = new Map(after)) : after)
    if (after.size > 0) for (const { id } of endings) if (after.has(id)) change().delete(id)
    let [name, limitMs] = ['', 0]
    for (const { id, functionName } of claims) {
      if (functionName !== name) [name, limitMs] = [functionName, this.#limitMsOf(functionName)]
      if (limitMs > HOST_PATIENCE_MS) change().set(id, limitMs)
    }
    return after
  }
}

function longestOf(running: ReadonlyMap<string, number>): number | null {
  let longestMs: number | null = null
  for (const limitMs of running.values()) longestMs = Math.max(longestMs ?? 0, limitMs)
  return longestMs
}
