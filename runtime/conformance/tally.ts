// Counts rows for one check: rows examined, violations, and the first few violations as examples.
import { type CheckName, type Finding, fail, pass, skip } from './checks.ts'

const EXAMPLES_MAX = 3

export class Tally {
  readonly #check: CheckName
  readonly #examples: string[] = []
  #count = 0
  #broken = 0

  constructor(check: CheckName) {
    this.#check = check
  }

  /** @param broken what is wrong with the row, in a few words; undefined: nothing */
  add(broken: string | undefined): void {
    this.#count++
    if (broken !== undefined) this.breaks(broken)
  }

  /** For a violation that concerns several rows. */
  breaks(example: string): void {
    this.#broken++
    if (this.#examples.length < EXAMPLES_MAX) this.#examples.push(example)
  }

  finding(): Finding {
    if (this.#count === 0) return skip(this.#check, 'no rows')
    if (this.#broken === 0) return pass(this.#check, `${this.#count}`)
    const more = this.#broken > this.#examples.length ? ', …' : ''
    return fail(this.#check, `${this.#broken} of ${this.#count}: ${this.#examples.join(', ')}${more}`)
  }
}
