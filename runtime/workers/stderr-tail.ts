// What a process has said on its stderr before it ended: the evidence of how.
import { Tail } from './process-group.ts'

const TAIL_CHARS = 2_000
/**
 * V8's last words when the heap has reached its limit; what it prints after them is longer than the tail that is kept. It ends
 * in the same words where a table would be too large, or the system gives no memory for the heap, and in `process out of
 * memory` for what lies outside of it: `maxMemory` helps with none of these.
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
