// What one turn writes, and what is on record about a message: the words between the executor, which decides,
// and the store, which keeps. A turn goes to disk whole or not at all.
import type { Said } from './outcome.ts'
import type { FinishedStep, Journal } from './steps.ts'
import type { NewWait } from './waits.ts'

/** A run that is about to begin. */
export interface Claim {
  readonly id: string
  /** Counts every run of this message, from 1. */
  readonly run: number
  /** Counts those charged to the handler, this one included. */
  readonly attempt: number
  readonly functionName: string
  /** Process id. */
  readonly worker: number
  /** Nothing else runs in that process at the time, so its death is this message's doing. */
  readonly alone: boolean
}

/** How a run ended, and what follows for its message. */
export interface RunResult {
  readonly id: string
  readonly run: number
  readonly next:
    | ({ readonly type: 'completed' } & Said)
    /** Not charged. Waits that are new, and what was said before them. */
    | ({
        readonly type: 'waiting'
        readonly waits: readonly NewWait[]
        readonly version: number
        /** Nothing of its ordering key runs until it has gone on. */
        readonly holds: boolean
      } & Said)
    | { readonly type: 'failed' }
    | { readonly type: 'retry'; readonly nextAtMs: number }
    /** Not charged; `keep`: the run stays on record. */
    | { readonly type: 'released'; readonly keep: boolean }
  readonly outcome: string
  readonly reason: string | null
  /** ErrorInfo as JSON text. */
  readonly error: string | null
  readonly durationMs: number
}

/** A step of a run that goes on, or whose result is in the same batch. */
export interface StepResult extends FinishedStep {
  readonly id: string
  readonly run: number
  /** Of the function. */
  readonly version: number
}

/** A message that is the answer to a question of ours, and ends as completed with this. */
export interface AnswerResult {
  readonly id: string
  readonly questionId: string
  /** JSON text of an Answer; null: a value that the question does not offer, which leaves it open. */
  readonly value: string | null
  /**
   * Where the question is not open any more: `late` ends the message as completed all the same; `unused`
   * writes nothing, since it is a message in its own right.
   */
  readonly otherwise: 'late' | 'unused'
}

/** A message that ends without a run. */
export interface Rejection {
  /** As people read it. */
  readonly id: string
  /**
   * As the file has it, when that is no text that could be bound as such: null for no id at all, so that no
   * ack can name it.
   */
  readonly rawId?: RawId | null
  readonly reason: string
  readonly detail: string
  /** Default failed. completed: nothing is wrong with it, and nothing is to be done. */
  readonly ack?: 'failed' | 'completed'
}

/** An id that is not well-formed text: bytes that are no UTF-8, or a blob. */
export interface RawId {
  readonly bytes: Uint8Array
  readonly isText: boolean
}

/** Every message with a seq up to `seq` is done, or one of `unfinished`. */
export interface Checkpoint {
  readonly seq: number
  /**
   * Of the row that has that seq: in a file that has another one there, the checkpoint says nothing. null:
   * not known.
   */
  readonly id: string | null
  readonly unfinished: readonly string[]
}

export interface CommitBatch {
  readonly nowMs: number
  readonly steps: readonly StepResult[]
  readonly results: readonly RunResult[]
  readonly claims: readonly Claim[]
  /** Messages that answer a question. */
  readonly answers: readonly AnswerResult[]
  readonly rejections: readonly Rejection[]
  /** Messages with runs on record that the host has ended: their waits are closed. */
  readonly withdrawn: readonly string[]
  /** The highest seq of inbound.db, as far as known: replies are numbered above it. */
  readonly inboundSeq: number
  readonly checkpoint: Checkpoint | null
  /**
   * The longest time that a run may take from now on, for hosts to know; null: none takes long; left out: as
   * before.
   */
  readonly longestRunMs?: number | null
}

/** Nothing to write; a caller replaces what it has, and the time. */
export const EMPTY_BATCH: CommitBatch = {
  nowMs: 0,
  steps: [],
  results: [],
  answers: [],
  claims: [],
  rejections: [],
  withdrawn: [],
  inboundSeq: 0,
  checkpoint: null,
}

export interface CommitResult {
  /**
   * Claims that were not made: the message has an ack already, or runs on record that the claim did not know
   * of.
   */
  readonly refused: ReadonlySet<string>
  /** Endings that wrote nothing: the claim was no longer ours. */
  readonly lost: ReadonlySet<string>
  /** Of claims that are not the first of their work: what is on record about steps, where anything is. */
  readonly journals: ReadonlyMap<string, Journal>
  /** Of results that wait: when each wakes. */
  readonly waiting: ReadonlyMap<string, number>
  /** Messages that wait, and that an answer has woken. */
  readonly answered: readonly string[]
  /** Answers that wrote nothing, since their question was not open any more. */
  readonly unused: ReadonlySet<string>
}

/** What is on record about a message. */
export interface History {
  readonly done: boolean
  readonly runs: number
  readonly attempts: number
  /** When a run first ended as `retry_after`, which charges nothing; null: none has. */
  readonly turnedAwaySinceMs: number | null
  /** Runs that ended with the death of a process in which nothing else ran. */
  readonly crashes: number
  /** Some run was cut short by the death of the runtime. */
  readonly interrupted: boolean
  readonly nextAtMs: number | null
  /** Its handler waits, at most until then; null: it does not. */
  readonly wakeAtMs: number | null
  /** One of the waits has ended. */
  readonly woken: boolean
  /**
   * The function that has done steps or waits of it, so that no other one may go on with it; null: none has.
   */
  readonly begunBy: string | null
  /**
   * How long it was to wait when nextAtMs was written; null: not known. A clock that was set back must not
   * make it longer.
   */
  readonly waitMs: number | null
}

export interface WaitingPlace {
  readonly nextAtMs: number
  readonly id: string
}
