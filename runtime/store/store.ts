// The store port: what the runtime keeps, and the one way to write it. store/sqlite/ fills it with outbound.db. A store may
// answer a commit at once or with a promise; the dispatcher awaits only a promise, so a store on this machine costs no turn
// of the event loop, and one on another machine needs no second design.
import type { CommitBatch, CommitResult, History } from '../protocol/commit-batch.ts'

export interface Store {
  /**
   * Writes one batch, whole or not at all. One commit is under way at a time.
   * @throws NanoclawError `fenced` when another runtime has taken the store over; any other error means that nothing was written
   */
  commit(batch: CommitBatch): CommitResult | Promise<CommitResult>
  /** What is on record about these messages; those without any record are left out. */
  history(ids: readonly string[]): ReadonlyMap<string, History>
}
