// The stderr tail of a process: evidence of how it ended.
import { Tail } from './process-group.ts'

const TAIL_CHARS = 2_000
/**
 * V8's message when the heap has reached its limit; the text that follows it is longer than the kept tail. V8
 * ends with similar messages when a table would be too large, when the system has no memory for the heap, and
 * with `process out of memory` for memory outside the heap: `maxMemory` does not help there.
 */
const HEAP_FULL = /^FATAL ERROR: (?!invalid |Committing |CodeRange )\S.* - JavaScript heap out of memory$/

export class StderrTail {
  readonly #tail = new Tail(TAIL_CHARS)
  #heapFull = false

  add(line: string): void {
    if (HEAP_FULL.test(line)) this.#heapFull = true
    this.#tail.add(`${line}\n`)
  }

  get heapFull(): boolean {
    return this.#heapFull
  }

  get tail(): string {
    return this.#tail.text
  }
}
