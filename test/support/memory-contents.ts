// What the store in memory keeps: everything that outlives a runtime.
import type {
  AnswerResult,
  Checkpoint,
  Claim,
  CommitResult,
  RunResult,
} from '../../runtime/protocol/commit-batch.ts'
import type { Journal, Step } from '../../runtime/protocol/steps.ts'
import type { RecordedWait } from '../../runtime/protocol/waits.ts'

export interface StoredRun {
  readonly run: number
  readonly alone: boolean
  readonly endedAtMs: number
  readonly outcome: string
  readonly reason: string | null
  readonly nextAtMs: number | null
}

export interface StoredReply {
  readonly id: string
  readonly seq: number
  readonly inReplyTo: string
  readonly content: string
}

/** The last commit of a runtime: what it answers, or would have answered. */
export interface Committed {
  readonly number: number
  readonly results: readonly RunResult[]
  readonly answers: readonly AnswerResult[]
  readonly claims: readonly Claim[]
  readonly answer: CommitResult
}

/** What outlives a runtime. */
export interface Contents {
  epoch: number
  checkpoint: Checkpoint
  readonly acks: Map<string, { readonly status: string; readonly changed: string }>
  readonly running: Map<string, Claim>
  readonly runs: Map<string, StoredRun[]>
  readonly journals: Map<string, StoredJournal>
  /** Messages between two runs: when each wakes, and whether an answer has woken it. */
  readonly waiting: Map<string, { readonly wakeAtMs: number; ready: boolean; readonly holds: boolean }>
  readonly answeredWhileRunning: Set<string>
  replies: StoredReply[]
  committed: Committed
}

export const NOTHING: Committed = {
  number: 0,
  results: [],
  answers: [],
  claims: [],
  answer: {
    lost: new Set(),
    refused: new Set(),
    journals: new Map(),
    waiting: new Map(),
    answered: [],
    unused: new Set(),
  },
}

export interface StoredWait extends RecordedWait {
  readonly wakeAtMs: number
  readonly questionId: string | undefined
  readonly values: readonly string[] | null
  readonly address: string | null
  readonly afterSeq: number
}

export interface StoredJournal extends Journal {
  readonly functionName: string | null
  readonly steps: Step[]
  readonly waits: StoredWait[]
}

export function addRun(of: Contents, id: string, run: StoredRun): void {
  of.runs.set(id, [...(of.runs.get(id) ?? []), run])
}
