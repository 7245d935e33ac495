// Reads again, slowly, what the scan has passed: a row that the host changed there, or that this runtime had
// to forget for lack of memory, is found within one round. A round begins after something in the file has
// changed.

import type { Cursor } from '../protocol/cursor.ts'
import { PassedOver } from '../queue/passed-over.ts'
import type { Origin } from './admission.ts'
import { isBefore } from './cursor.ts'
import type { PageReader } from './pages.ts'

export interface RescanParts {
  readonly pages: PageReader
  readonly pageRows: number
  /** Before every row. */
  readonly start: Cursor
}

export class Rescan {
  readonly #parts: RescanParts
  readonly #passedOver = new PassedOver()
  #isUnderWay = false
  #again = true
  #isFirst = true
  #cursor: Cursor
  #upTo: Cursor
  /** Something that is due by now can only be found here: it does not wait for the poll. */
  isUrgent = false

  constructor(parts: RescanParts) {
    this.#parts = parts
    this.#cursor = parts.start
    this.#upTo = parts.start
  }

  /** Nothing is left to be read. */
  get isDone(): boolean {
    return !this.#isUnderWay && !this.#again
  }

  /** Something that it found had no room. */
  get passedSomethingOver(): boolean {
    return this.#passedOver.functions.size > 0
  }

  /** One more round after this one. */
  again(): void {
    this.#again = true
  }

  fromStart(): void {
    this.#isUnderWay = false
    this.#again = true
  }

  /** One page of what lies before `scanned`. True: there is more to be read in this round. */
  read(scanned: Cursor): boolean {
    if (!this.#isUnderWay && !this.#begin(scanned)) return false
    const { pages, pageRows } = this.#parts
    const atStart = this.#isFirst
    const over = { passedOver: this.#passedOver, by: 'beyond' } as const
    const origin: Origin = { recorded: true, atStart: () => atStart, over }
    const { cursor, end } = pages.admit(this.#cursor, origin, pageRows, this.#upTo)
    this.#cursor = cursor
    if (!end && isBefore(cursor, this.#upTo)) return true
    this.#isUnderWay = false
    this.#isFirst = false
    this.isUrgent = false
    if (this.passedSomethingOver) this.#again = true
    return false
  }

  #begin(scanned: Cursor): boolean {
    if (!this.#again) return false
    this.#passedOver.clear()
    this.#again = false
    this.#isUnderWay = true
    this.#cursor = this.#parts.start
    this.#upTo = scanned
    return true
  }
}
