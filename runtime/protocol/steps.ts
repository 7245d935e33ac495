// Steps: what a handler has done under a name and does not do again. A step that has ended is on disk before
// the handler goes on; a later run of the same message is given all of them and looks its results up by name.
// Order, position and number of steps mean nothing, so code may change between two runs.
import type { RecordedWait } from './waits.ts'

/** A step that has ended, as it is stored and as a run is given it. */
export interface Step {
  readonly name: string
  /** `failed`: the failure is final, and every later run meets it again. */
  readonly state: 'done' | 'failed'
  /** JSON text: the result (null: undefined), or of a failed step its ErrorInfo. */
  readonly value: string | null
}

/** A step on its way to the store. */
export interface FinishedStep extends Step {
  /** How long its body took, all tries together. */
  readonly durationMs: number
}

/** What is on record about the steps of one message. */
export interface Journal {
  /**
   * The message whose work this one goes on with: itself, or the failed one that was sent again. Step ids are
   * made of it.
   */
  readonly origin: string
  /** Of the function when the first of them came on record; null: none has. */
  readonly version: number | null
  readonly steps: readonly Step[]
  readonly waits: readonly RecordedWait[]
}

/** As long as a sentence: a name is a key of the table and stands in every listing. */
export const STEP_NAME_BYTES_MAX = 200
/** Of one result. It is held in memory by child and runtime, and is sent to every later run. */
export const STEP_BYTES_MAX = 1024 * 1024
/** Of one message. A loop over more than this is several messages. */
export const STEPS_MAX = 10_000
/** Results of one message together: all of them are sent with each of its runs. */
export const JOURNAL_BYTES_MAX = 16 * 1024 * 1024
