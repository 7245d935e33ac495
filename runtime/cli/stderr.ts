// stderr as a place for the log that never makes us wait. Node writes to a pipe or a socket without blocking; but any child
// that inherits it (the bundler's own helper does) makes it blocking again, for us too, since both share one description of
// it. So it is said anew before every line, which costs less than the line.
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
      // A terminal is left as it is: others write to it, too, and would lose what does not fit.
      if (!stderr.isTTY) handle?.setBlocking?.(false)
      return stderr.write(text)
    },
    on: (event, listener) => stderr.on(event, listener),
  }
}
