// Splits bytes into lines with limits: an overlong line is cut, lines above the rate limit are counted and
// dropped.

const LINE_CHARS_MAX = 8_192
/** Lines per second; further ones are dropped, and one line reports that. */
const LINES_PER_SECOND_MAX = 1_000

export class LineReader {
  readonly #onLine: (line: string) => void
  readonly #nowMs: () => number
  #rest = ''
  #skipping = false
  #secondMs = 0
  #lines = 0

  constructor(onLine: (line: string) => void, nowMs: () => number = () => performance.now()) {
    this.#onLine = onLine
    this.#nowMs = nowMs
  }

  write(text: string): void {
    let from = 0
    for (let end = text.indexOf('\n', from); end !== -1; end = text.indexOf('\n', from)) {
      this.#append(text.slice(from, Math.min(end, from + LINE_CHARS_MAX + 1)))
      if (this.#skipping) this.#skipping = false
      else this.#emit()
      from = end + 1
      if (this.#flooded()) return
    }
    this.#append(text.slice(from, from + LINE_CHARS_MAX + 1))
  }

  /** The end of the stream; an unfinished line counts as a line. */
  end(): void {
    if (this.#rest !== '') this.#emit()
  }

  /** An overlong line is emitted at the limit; the rest of it is skipped. */
  #append(text: string): void {
    if (this.#skipping) return
    this.#rest += text
    if (this.#rest.length <= LINE_CHARS_MAX) return
    this.#rest = `${this.#rest.slice(0, LINE_CHARS_MAX)}…`
    this.#emit()
    this.#skipping = true
  }

  #emit(): void {
    const line = this.#rest.endsWith('\r') ? this.#rest.slice(0, -1) : this.#rest
    this.#rest = ''
    const nowMs = this.#nowMs()
    if (nowMs - this.#secondMs >= 1000) {
      this.#secondMs = nowMs
      this.#lines = 0
    }
    this.#lines++
    if (this.#lines < LINES_PER_SECOND_MAX) this.#onLine(line)
    else if (this.#lines === LINES_PER_SECOND_MAX)
      this.#onLine(
        `… more than ${LINES_PER_SECOND_MAX} lines in a second; the rest of this second is dropped`,
      )
  }

  #flooded(): boolean {
    return this.#lines >= LINES_PER_SECOND_MAX && this.#nowMs() - this.#secondMs < 1000
  }
}
