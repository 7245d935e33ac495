// Commits that reported an error. SQLite can report one behind the commit point, when nothing takes the
// commit back any more; whether a batch is on disk is then for the file to say, before anything else is
// written. If it is, the batch counts as answered in part: how its runs ended stands, and the next commit
// repeats that answer for them; its claims are taken back by the next commit, which claims anew what is still
// to run.
import type { AnswerResult, CommitResult, RunResult } from '../../protocol/commit-batch.ts'
import type { HeldClaim, NewBatch } from './claims.ts'

/** What a commit has written, or not. */
export interface Written {
  /** Of its batch. */
  readonly results: readonly RunResult[]
  /** Those that no commit before had written, and the claim of each. */
  readonly fresh: readonly RunResult[]
  readonly held: readonly (HeldClaim | undefined)[]
  readonly answers: readonly AnswerResult[]
  readonly begun: readonly NewBatch[]
  readonly answer: CommitResult
}

interface End {
  readonly run: number
  readonly lost: boolean
  /** Of one that waits. */
  readonly wakeAtMs: number | undefined
}

/** Messages that have answered questions, and what came of it. */
interface Answers extends Pick<CommitResult, 'answered' | 'unused'> {
  readonly ids: ReadonlySet<string>
}

const NO_ENDS: ReadonlyMap<string, End> = new Map()
const NO_ANSWERS: Answers = { ids: new Set(), answered: [], unused: new Set() }

export class Unanswered {
  #last: Written | undefined
  #ends = NO_ENDS
  #answers = NO_ANSWERS
  #begun: readonly NewBatch[] = []

  /** The commit of this has failed, in its last step. */
  failed(written: Written): void {
    this.#last = written
  }

  /** Returns what is on disk although its commit has failed, where that was not known. */
  settle(isOnDisk: (written: Written) => boolean): Written | undefined {
    const last = this.#last
    this.#last = undefined
    if (!last || !isOnDisk(last)) return undefined
    const { lost, waiting, answered, unused } = last.answer
    this.#ends = new Map(
      last.results.map(({ id, run }) => [id, { run, lost: lost.has(id), wakeAtMs: waiting.get(id) }]),
    )
    this.#answers = { ids: new Set(last.answers.map(({ id }) => id)), answered, unused }
    this.#begun = last.begun
    return last
  }

  /** How this run ended by a commit that was not answered; undefined: none has written it. */
  endOf({ id, run }: RunResult): End | undefined {
    const end = this.#ends.get(id)
    return end?.run === run ? end : undefined
  }

  /** Of messages that answered in such a commit. */
  get answers(): Answers {
    return this.#answers
  }

  /** Claims of such a commit: none of their runs has begun. */
  get begun(): readonly NewBatch[] {
    return this.#begun
  }

  /** A commit was answered, or the store was taken over: nothing of that is open any more. */
  clear(): void {
    this.#last = undefined
    this.#ends = NO_ENDS
    this.#answers = NO_ANSWERS
    this.#begun = []
  }
}
