// What the next commit writes beside its claims: gathered while the one before is under way, or waits for a
// disk.
import type { AnswerResult, Rejection, StepResult } from '../protocol/commit-batch.ts'
import type { Message } from './message.ts'
import type { DecidedRun } from './run-result.ts'

/** A message that fails without a run, until that is on disk; rows without a proper id have no message. */
interface Rejected {
  readonly rejection: Rejection
  readonly message: Message | undefined
}

/** A message that answers a question, until that is on disk. */
interface Answering {
  readonly answer: AnswerResult
  readonly message: Message
}

/** A step that waits for the next commit. */
interface Kept {
  readonly result: StepResult
  readonly kept: () => void
}

/** What the next commit writes beside its claims. */
export interface Gathered {
  readonly steps: Kept[]
  readonly results: DecidedRun[]
  readonly rejected: Rejected[]
  readonly answers: Answering[]
  /** Ids of messages with runs on record that the host has ended. */
  readonly withdrawn: string[]
}

export function gather(): Gathered {
  return { steps: [], results: [], rejected: [], answers: [], withdrawn: [] }
}

/** What could not be written stands before what has come meanwhile. */
export function joined(first: Gathered, then: Gathered): Gathered {
  return {
    steps: [...first.steps, ...then.steps],
    results: [...first.results, ...then.results],
    rejected: [...first.rejected, ...then.rejected],
    answers: [...first.answers, ...then.answers],
    withdrawn: [...first.withdrawn, ...then.withdrawn],
  }
}
