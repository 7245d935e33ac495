// stderr as a log stream that never blocks. Node writes to a pipe or a socket without blocking; but any child
// that inherits it (the bundler's helper does) makes it blocking again for both, since they share one file
// description. So non-blocking mode is set again before every line, which costs less than the line.
import type { LogStream } from '../observe/sink.ts'

interface Handle {
  setBlocking?(on: boolean): void
}

export function retryingStderr(): LogStream {
  const { stderr } = process
  const { _handle: handle } = stderr as typeof stderr & { readonly _handle?: Handle }
  return {
    get writableLength() {
      return stderr.writableLength
    },
    write(text) {
      // A terminal keeps its mode: other processes write to it, too, and would lose data that does not fit.
      if (!stderr.isTTY) handle?.setBlocking?.(false)
      return stderr.write(text)
    },
    on: (event, listener) => stderr.on(event, listener),
  }
}
