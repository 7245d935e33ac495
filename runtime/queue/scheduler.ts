// What may run now: pure, and decided here alone. From what the lanes want and what the pool has, it plans
// batches for workers that are there and starts of those that are missing. The dispatcher follows the plan
// step by step: a start may end an idle worker to make room, so it comes before the batches of functions
// whose turn is later, and after those of its own.
import type { FunctionSpec } from '../protocol/function.ts'

/** What one function wants. */
export interface Demand {
  readonly spec: FunctionSpec
  /** Messages that stand in its lanes. */
  readonly waiting: number
  /** Lanes from which something may be taken: as many workers can be busy for it at once. */
  readonly lanes: number
  /** Messages that may travel together. */
  readonly batchMax: number
  /** Only one run of it is known, and that was short. */
  readonly mayBeQuick: boolean
  /** The message whose turn it is runs with nothing beside it. */
  readonly isolated: boolean
}

/** One worker, as the pool reports it. */
export interface WorkerCapacity {
  readonly pid: number
  readonly functionName: string
  readonly bundle: string
  /**
   * `idle`: it takes a batch and has none. `busy`: it has one, or is reserved for one. `ending`: it takes
   * nothing, and has nothing.
   */
  readonly state: 'loading' | 'idle' | 'busy' | 'ending'
  /** A second batch may wait in it behind the first. */
  readonly takesMore: boolean
}

export interface Capacity {
  readonly workers: readonly WorkerCapacity[]
  /** Workers that may be busy. */
  readonly concurrency: number
  /** … of one function that waits for nothing outside its process: more than cores would only take turns. */
  readonly quickMax: number
}

export type PlanStep =
  /** Messages of one function for one worker. */
  | {
      readonly type: 'batch'
      readonly spec: FunctionSpec
      readonly pid: number
      readonly messagesMax: number
    }
  /**
   * Workers that are missing, as far as the limits of what may be busy allow them; the pool has limits for
   * starts besides.
   */
  | { readonly type: 'start'; readonly spec: FunctionSpec; readonly count: number }

/**
 * A handler of which so many fit into a batch takes less than a third of a millisecond: no call to another
 * service is so short.
 */
const QUICK_BATCH = 16

/** `servedLast`: the function that had the last batch. */
export function plan(demand: readonly Demand[], servedLast: string, capacity: Capacity): PlanStep[] {
  const steps: PlanStep[] = []
  let busy = capacity.workers.filter(({ state }) => state === 'busy').length
  for (const each of inTurns(demand, servedLast)) {
    const { spec, waiting, batchMax } = each
    const wanted = Math.min(Math.ceil(waiting / batchMax), each.lanes)
    const mine = capacity.workers.filter(({ bundle }) => bundle === spec.bundle)
    const idle = mine.filter(({ state }) => state === 'idle')
    const allowed = Math.min(
      wanted,
      capacity.concurrency - busy,
      busyMax(each, capacity) - busyOf(spec, capacity),
    )
    const first = idle.slice(0, Math.max(0, allowed))
    // A second batch in a worker is for a function that has all of them to itself, and hides the commit
    // between the two.
    const behind = demand.length === 1 && batchMax > 1 && !each.isolated
    const second = behind ? mine.filter(({ takesMore }) => takesMore).slice(0, wanted - first.length) : []
    const workers = [...first, ...second]
    const messagesMax = Math.min(batchMax, Math.ceil(waiting / Math.max(workers.length, 1)))
    for (const { pid } of workers) steps.push({ type: 'batch', spec, pid, messagesMax })
    const missing = allowed - idle.length - mine.filter(({ state }) => state === 'loading').length
    if (missing > 0) steps.push({ type: 'start', spec, count: missing })
    busy += first.length
  }
  return steps
}

/**
 * The function that was served last waits for the others, so that a long backlog of one keeps none of them
 * out.
 */
function inTurns(demand: readonly Demand[], servedLast: string): readonly Demand[] {
  const next = demand.findIndex(({ spec }) => spec.name === servedLast) + 1
  return [...demand.slice(next), ...demand.slice(0, next)]
}

function busyMax({ spec, batchMax, mayBeQuick }: Demand, { quickMax }: Capacity): number {
  return batchMax >= QUICK_BATCH || mayBeQuick ? Math.min(spec.concurrency, quickMax) : spec.concurrency
}

/** Workers of an earlier bundle of the function count, too. */
function busyOf({ name }: FunctionSpec, { workers }: Capacity): number {
  return workers.filter(({ state, functionName }) => state === 'busy' && functionName === name).length
}
