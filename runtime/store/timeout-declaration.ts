// Hosts call a claim stuck when it is older than a minute and no heartbeat has come since; a runtime that was
// frozen for a while (a suspended machine, a paused container) would be killed in the middle of a run that
// may rightly take ten. So the longest time that a run in progress may take is declared in outbound.db: with
// the batch that changes it, and no other.
import type { CommitBatch, CommitResult } from '../protocol/commit-batch.ts'
import type { Store } from './store.ts'

/** How long the newest hosts wait for a run whose time was not declared. */
const UNDECLARED_MS = 60_000

/** Commits as the store behind it does. */
export class TimeoutDeclaration implements Pick<Store, 'commit'> {
  readonly #store: Pick<Store, 'commit'>
  readonly #limitMsOf: (functionName: string) => number
  /** Message → how long its run may take; only of those that hosts would not wait for. */
  #running = new Map<string, number>()
  /** Undefined: a commit has failed, and may have been written. */
  #declared: number | null | undefined = null

  constructor(store: Pick<Store, 'commit'>, limitMsOf: (functionName: string) => number) {
    this.#store = store
    this.#limitMsOf = limitMsOf
  }

  commit(batch: CommitBatch): CommitResult | Promise<CommitResult> {
    const running = this.#after(batch)
    const longestRunMs = longestOf(running)
    const committed = (result: CommitResult) => {
      this.#declared = longestRunMs
      this.#running = running
      for (const id of result.refused) running.delete(id)
      return result
    }
    const written = longestRunMs === this.#declared ? batch : { ...batch, longestRunMs }
    this.#declared = undefined
    const result = this.#store.commit(written)
    return result instanceof Promise ? result.then(committed) : committed(result)
  }

  /**
   * What runs when this batch is on disk; the same map where nothing changes, so that a batch which fails
   * changes nothing.
   */
  #after({ results, claims }: CommitBatch): Map<string, number> {
    let after = this.#running
    const change = () => (after === this.#running ? (after = new Map(after)) : after)
    if (after.size > 0) for (const { id } of results) if (after.has(id)) change().delete(id)
    let [name, limitMs] = ['', 0]
    for (const { id, functionName } of claims) {
      if (functionName !== name) [name, limitMs] = [functionName, this.#limitMsOf(functionName)]
      if (limitMs > UNDECLARED_MS) change().set(id, limitMs)
    }
    return after
  }
}

function longestOf(running: ReadonlyMap<string, number>): number | null {
  let longestMs: number | null = null
  for (const limitMs of running.values()) longestMs = Math.max(longestMs ?? 0, limitMs)
  return longestMs
}
