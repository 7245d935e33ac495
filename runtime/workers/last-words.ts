// What a process has said on its stderr before it ended: the evidence of how.

const TAIL_CHARS = 2_000
/** V8's last words; what it prints after them is longer than the tail that is kept. */
const HEAP_FULL = /^FATAL ERROR: .*(heap|memory)/i

export class LastWords {
  #tail = ''
  #heapFull = false

  add(line: string): void {
    if (HEAP_FULL.test(line)) this.#heapFull = true
    this.#tail = `${this.#tail}${line}\n`.slice(-TAIL_CHARS)
  }

  get heapFull(): boolean {
    return this.#heapFull
  }

  get tail(): string {
    return this.#tail
  }
}
