// Node parses what comes through its channel before anybody here sees it, and what does not parse it throws where only a
// handler for the whole process could catch it. A user's function shares the far end's descriptor, so one write of bytes that
// are no JSON would end the runtime. Node keeps the channel's handle under a symbol of its own; its reader is wrapped here.
// Where a future Node calls it otherwise nothing is wrapped, and test/stories says so. Messages by which two processes of
// Node hand each other sockets are nonsense, too: none is ever sent here, and Node asserts that those it gets make sense.
import type { EventEmitter } from 'node:events'

interface Handle {
  onread?: (this: unknown, ...read: unknown[]) => unknown
}

/** Calls `onNonsense` for bytes on the channel that Node cannot read; what comes after them is not read either. */
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
