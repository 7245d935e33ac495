// A run that is about to begin, or under way, and what its child is given for it.
import type { Dispatch } from '../protocol/ipc.ts'
import type { Journal } from '../protocol/steps.ts'
import type { Entry, MessageRow } from './message.ts'

/** A message that is claiming or running. */
export interface StartedRun {
  readonly n: number
  readonly entry: Entry
  readonly run: number
  readonly attempt: number
  readonly alone: boolean
  readonly row: MessageRow
  /** Some step of it has ended: from now on the run stays on record, so that the next one asks for it. */
  hasSteps: boolean
}

export function dispatchOf(
  { n, entry, attempt, row }: StartedRun,
  lanePrefix: string,
  scope: string,
  journal: Journal | undefined,
): Dispatch {
  const { isolated, key, spec } = entry
  return {
    n,
    lane: key === null ? '' : lanePrefix + key,
    attempt,
    alone: isolated,
    timeoutMs: spec.timeoutMs,
    message: row,
    scope,
    journal,
  }
}
