// Guards the IPC channel against invalid bytes. Node parses channel data before user code of the parent sees
// it, and throws a parse error where only a process-wide handler could catch it. A function shares the
// descriptor of the channel, so one write of bytes that are not JSON would end the runtime. Node keeps the
// channel's handle under a symbol of its own; its reader is wrapped here. If a future Node renames the
// symbol, nothing is wrapped, and a test in test/stories fails. Node's internal messages for passing sockets
// count as invalid, too: this project never sends them, and Node asserts that they are well-formed.
import type { EventEmitter } from 'node:events'

interface Handle {
  onread?: (this: unknown, ...read: unknown[]) => unknown
}

/** Calls `onNonsense` for bytes on the channel that Node cannot parse; later bytes are not read either. */
export function guardChannel(child: EventEmitter, onNonsense: () => void): void {
  child.removeAllListeners('internalMessage').on('internalMessage', onNonsense)
  const symbol = Object.getOwnPropertySymbols(child).find(
    ({ description }) => description === 'kChannelHandle',
  )
  const handle = symbol && (Reflect.get(child, symbol) as Handle | null)
  const read = handle?.onread
  if (!handle || !read) return
  let over = false
  handle.onread = function (...given) {
    if (over) return undefined
    try {
      return Reflect.apply(read, this, given)
    } catch {
      over = true
      return onNonsense()
    }
  }
}
