// The store port: what the runtime keeps of its messages, and the one way to write it. store/sqlite/ fills it
// with outbound.db; test/contracts/store.test.ts is what every store must pass.
//
// One runtime at a time owns a store. Taking it over (`recover`) raises the epoch, and from then on every
// write of the runtime before it throws `fenced`. Times are milliseconds since 1970 by the wall clock, ids
// are the ids of messages.
//
// `commit` may answer at once or with a promise. The dispatcher awaits only a promise, so that a store on
// this machine costs no round of the event loop. Reads answer at once.
import type {
  Checkpoint,
  CommitBatch,
  CommitResult,
  History,
  WaitingPlace,
} from '../protocol/commit-batch.ts'
import type { WaitQueries } from '../protocol/waits.ts'

export interface Store {
  /**
   * Takes the store over: raises the epoch, and ends the runs that an earlier runtime left. Such a run is not
   * an attempt of the handler. A message that ran alone in its worker each time is rejected as failed after
   * `crashLimit` such runs. A runtime of the epoch `stoppedEpoch` stopped in order and could not write here:
   * its runs count as cancelled, not as deaths. May be repeated after a crash at any point.
   */
  recover(nowMs: number, crashLimit: number, stoppedEpoch?: number): Recovery

  /**
   * Writes one batch, whole or not at all: steps first, then results, answers, rejections, claims, the
   * checkpoint. A step is written where its run is known to be under way, also when the host has taken the
   * claim away: its work has been done. A message has one result and one claim in a batch at most. One commit
   * is under way at a time.
   *
   * After an error nothing was written, or all of it: a disk can fail behind the commit point, a connection
   * before the answer. No run of that batch begins. The next batch has its steps, results and answers again,
   * perhaps with more, and what is still to be claimed. Where the first one was written, the next commit
   * repeats for them what the answer would have been, and takes those of its claims back that are not made
   * anew.
   * @throws NanoclawError `fenced` when another runtime has taken the store over; nothing was written.
   */
  commit(batch: CommitBatch): CommitResult | Promise<CommitResult>

  /** What is on record about these messages; those without any record are left out. */
  history(ids: readonly string[]): ReadonlyMap<string, History>

  /**
   * Those of these messages that have no end on record, in the same order, and no more than `limit` of them;
   * but not those whose handlers wait for something that has not come by `nowMs`.
   */
  unfinished(ids: readonly string[], limit: number, nowMs: number): readonly string[]

  readonly waits: WaitQueries

  /**
   * Messages that wait for their next attempt, by the time of it, behind a place in that order. From a
   * message's end as `retry` until its next claim it is one of them, and from that claim until the next
   * checkpoint one of its `unfinished`.
   */
  waiting(after: WaitingPlace | undefined, limit: number): readonly WaitingPlace[]

  readonly retention: RetentionQueries

  /** Nothing is written from now on. May be called twice. */
  close(): void
}

export interface Recovery {
  readonly epoch: number
  /** The same at every start, and in no other store. */
  readonly scope: string
  readonly checkpoint: Checkpoint
  /** Runs that the runtime before this one did not live to end. */
  readonly interrupted: number
  /** Messages that are failed now: each of their runs took the runtime with it. */
  readonly quarantined: readonly string[]
}

/**
 * What a store keeps of finished messages, and how it is forgotten. Who asks to forget knows what the host
 * has recorded.
 */
export interface RetentionQueries {
  /**
   * Finished messages behind a place, in the order of their claims. A place is a number that only the store
   * understands; 0 is the first.
   */
  endedAfter(place: number, limit: number): readonly EndedMessage[]
  /** The replies to these messages, each with the id of its message. */
  repliesTo(ids: readonly string[]): readonly (readonly [reply: string, message: string])[]
  /**
   * Removes acks, runs and replies together; but not the reply with the highest number, above which the next
   * one is numbered.
   * @throws NanoclawError `fenced`
   */
  forget(ids: readonly string[], replies: readonly string[]): void
}

export interface EndedMessage {
  readonly place: number
  readonly id: string
  /** ISO 8601. */
  readonly endedAt: string
}
