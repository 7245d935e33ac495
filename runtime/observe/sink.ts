// Where log lines go: a stream that somebody may read slowly, or not at all. Nothing waits for it. What is not read is kept
// up to a limit; lines beyond it are dropped and counted, and the first line after that says how many.

/** A stream like process.stderr; for pipes and sockets it must not block. */
export interface LogStream {
  readonly writableLength: number
  write(text: string): boolean
  on(event: 'drain', listener: () => void): unknown
}

/** Some thousands of lines: a reader that was only busy for a moment misses nothing. */
const UNREAD_BYTES_MAX = 1024 * 1024

export class Sink {
  readonly #to: LogStream
  #dropped = 0

  /** `onDropped`: so many lines are missing before the next one. */
  constructor(to: LogStream, onDropped: (lines: number) => void) {
    this.#to = to
    to.on('drain', () => {
      const lines = this.#dropped
      this.#dropped = 0
      if (lines > 0) onDropped(lines)
    })
  }

  write(line: string): void {
    if (this.#to.writableLength > UNREAD_BYTES_MAX) this.#dropped++
    else this.#to.write(line)
  }
}
