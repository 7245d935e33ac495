// The port of the dispatcher on the workers: what may be planned for them, a slot for a batch, starts of
// those that are missing. workers/pool.ts fills it.
import type { FunctionSpec } from '../protocol/function.ts'
import type { Dispatch } from '../protocol/ipc.ts'
import type { Receiver } from '../protocol/outcome.ts'
import type { Capacity } from './scheduler.ts'

export interface Workers {
  /** Of every worker, what may be planned for it. */
  capacity(): Capacity
  /** A worker of the plan, which stays free until it is reserved; undefined: it is not free any more. */
  slot(pid: number): Slot | undefined
  /** Starts up to so many workers for this function, which have room later. */
  start(spec: FunctionSpec, count: number): void
}

/** A worker that takes a batch now. */
export interface Slot {
  readonly pid: number
  /** Nothing is running in it. */
  readonly idle: boolean
  /**
   * Keeps it for a batch whose claims are not on disk yet: no other batch gets it until `run` or `release`.
   */
  reserve(): void
  run(batch: readonly Dispatch[], receiver: Receiver): void
  /**
   * Nothing of the batch runs after all. `isNews` false: only this turn knew that it was reserved, and its
   * source asks for the next.
   */
  release(isNews?: boolean): void
}
