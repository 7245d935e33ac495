// The output of log lines: a stream whose reader may be slow or absent. The runtime never waits for it.
// Unread lines are buffered up to a limit; further lines are dropped and counted, and the next line reports
// how many.

/** A stream like process.stderr; for pipes and sockets it must not block. */
export interface LogStream {
  readonly writableLength: number
  write(text: string): boolean
  on(event: 'drain', listener: () => void): unknown
}

/** Some thousands of lines: enough for a reader that is busy for a moment. */
const UNREAD_BYTES_MAX = 1024 * 1024

export class Sink {
  readonly #to: LogStream
  #dropped = 0

  /** `onDropped`: the number of lines missing before the next one. */
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
