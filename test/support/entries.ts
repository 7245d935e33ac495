// Entries for tests of what stands in lanes, without a queue around them.

import type { MessageSource } from '../../runtime/queue/message.ts'
import { type Entry, found, type MessageState } from '../../runtime/queue/message.ts'

/** Asked for nothing. */
const NO_SOURCE: MessageSource = {
  getMessages: () => new Map(),
  readFailed: () => undefined,
  isCurrent: () => true,
  reread: () => undefined,
  onFinished: () => undefined,
  onSuspended: () => undefined,
  onUnused: () => undefined,
  onClaimLost: () => undefined,
}

export function entryOf(id: string, facts: Omit<Entry, 'message'>, waits = false): Entry {
  const message = found(id, facts.order, NO_SOURCE)
  const entry = { message, ...facts }
  setWaits(entry, waits)
  return entry
}

/** Whether it waits for its retry. */
export function setWaits(entry: Entry, waits: boolean): void {
  const state: MessageState = waits ? { type: 'retrying', entry, untilMs: 1 } : { type: 'ready', entry }
  entry.message.state = state
}

export function waits({ message }: Entry): boolean {
  return message.state.type === 'retrying'
}
