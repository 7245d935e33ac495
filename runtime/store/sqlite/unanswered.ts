// Commits that reported an error. SQLite can report one behind the commit point, when nothing takes the
// commit back any more; whether a batch is on disk is then for the file to say, before anything else is
// written. If it is, the batch counts as answered in part: how its runs ended stands, and the next commit
// repeats that answer for them; its claims are taken back by the next commit, which claims anew what is still
// to run.
import type { RunResult } from '../../protocol/commit-batch.ts'
import type { HeldClaim, NewBatch } from './claims.ts'

/** What a commit has written, or not. */
export interface Written {
  /** Of its batch. */
  readonly results: readonly RunResult[]
  /** Those that no commit before had written, and the claim of each. */
  readonly fresh: readonly RunResult[]
  readonly held: readonly (HeldClaim | undefined)[]
  readonly lost: ReadonlySet<string>
  readonly begun: readonly NewBatch[]
}

interface End {
  readonly run: number
  readonly lost: boolean
}

const NO_ENDS: ReadonlyMap<string, End> = new Map()

export class Unanswered {
  #last: Written | undefined
  #ends = NO_ENDS
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
    this.#ends = new Map(last.results.map(({ id, run }) => [id, { run, lost: last.lost.has(id) }]))
    this.#begun = last.begun
    return last
  }

  /** How this run ended by a commit that was not answered; undefined: none has written it. */
  endOf({ id, run }: RunResult): End | undefined {
    const end = this.#ends.get(id)
    return end?.run === run ? end : undefined
  }

  /** Claims of such a commit: none of their runs has begun. */
  get begun(): readonly NewBatch[] {
    return this.#begun
  }

  /** A commit was answered, or the store was taken over: nothing of that is open any more. */
  clear(): void {
    this.#last = undefined
    this.#ends = NO_ENDS
    this.#begun = []
  }
}
