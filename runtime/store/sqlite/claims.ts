// What this runtime has claimed and not ended, as the rows of nanoclaw_batch say it: a batch is what one
// commit gave to one process. The file needs it after a crash only; while the runtime lives, this is the
// memory of it, and it changes after a commit, never before.
import type { Claim, RunResult } from '../../protocol/commit-batch.ts'

export interface HeldClaim {
  readonly claim: Claim
  readonly startedAtMs: number
  readonly batch: Batch
  /** A question of the message has been answered since, so that it does not wait long. */
  isAnswered: boolean
}

interface Batch {
  readonly batch: number
  /** How many of its runs have not ended. */
  left: number
}

/** A row of nanoclaw_batch to be. */
export interface NewBatch {
  readonly batch: number
  readonly functionName: string
  readonly worker: number
  readonly alone: boolean
  readonly startedAtMs: number
  readonly claims: readonly Claim[]
  readonly runs: readonly (readonly [id: string, run: number, attempt: number])[]
}

export class Claims {
  readonly #held = new Map<string, HeldClaim>()
  #batches = 0

  get(id: string): HeldClaim | undefined {
    return this.#held.get(id)
  }

  /** The claim of this run; undefined: it is over already. */
  of({ id, run }: Pick<RunResult, 'id' | 'run'>): HeldClaim | undefined {
    const held = this.#held.get(id)
    return held?.claim.run === run ? held : undefined
  }

  /** Claims in a row that go to the same process make a batch. */
  plan(claims: readonly Claim[], refused: ReadonlySet<string>, startedAtMs: number): NewBatch[] {
    const batches: (NewBatch & { claims: Claim[]; runs: [string, number, number][] })[] = []
    for (const claim of claims) {
      if (refused.has(claim.id)) continue
      const { id, run, attempt, functionName, worker, alone } = claim
      let last = batches.at(-1)
      if (last?.worker !== worker || last.functionName !== functionName || last.alone !== alone) {
        const batch = this.#batches + batches.length + 1
        last = { batch, functionName, worker, alone, startedAtMs, claims: [], runs: [] }
        batches.push(last)
      }
      last.claims.push(claim)
      last.runs.push([id, run, attempt])
    }
    return batches
  }

  /** `held`: the claims of these results. */
  ended(results: readonly RunResult[], held: readonly (HeldClaim | undefined)[]): void {
    results.forEach(({ id }, n) => {
      const claim = held[n]
      if (!claim) return
      claim.batch.left--
      this.#held.delete(id)
    })
  }

  /** Questions of these have been answered. */
  answered(ids: readonly string[]): void {
    for (const id of ids) {
      const held = this.#held.get(id)
      if (held) held.isAnswered = true
    }
  }

  begun(batches: readonly NewBatch[]): void {
    for (const { batch, startedAtMs, claims } of batches) {
      const of = { batch, left: claims.length }
      for (const claim of claims)
        this.#held.set(claim.id, { claim, startedAtMs, batch: of, isAnswered: false })
      this.#batches = batch
    }
  }

  /** Their numbers are taken, and they will not run. */
  passed(batches: readonly NewBatch[]): void {
    this.#batches = batches.at(-1)?.batch ?? this.#batches
  }

  clear(): void {
    this.#held.clear()
  }
}

/**
 * What becomes of the batches of these: all of them over, or some messages struck out that were released
 * without a trace.
 */
export function after(
  results: readonly RunResult[],
  held: readonly (HeldClaim | undefined)[],
): { over: number[]; struck: Map<number, string[]> } {
  const left = new Map<Batch, number>()
  const released = new Map<Batch, string[]>()
  results.forEach(({ id, next }, n) => {
    const batch = held[n]?.batch
    if (!batch) return
    left.set(batch, (left.get(batch) ?? batch.left) - 1)
    if (next.type !== 'released' || next.keep) return
    const ids = released.get(batch)
    if (ids) ids.push(id)
    else released.set(batch, [id])
  })
  const over = [...left].flatMap(([{ batch }, n]) => (n === 0 ? batch : []))
  const goingOn = [...released].filter(([batch]) => left.get(batch) !== 0)
  return { over, struck: new Map(goingOn.map(([{ batch }, ids]) => [batch, ids])) }
}
