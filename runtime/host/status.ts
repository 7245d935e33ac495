// The state of one message, decided from both files.
import { endOf } from '../protocol/ack.ts'
import type { StoredMessage } from './sqlite/inbox.ts'
import type { AckRow } from './sqlite/outbox.ts'

/**
 * pending     waiting, for its time or for its turn; also when it runs again after a failure
 * processing  the runtime has claimed it
 * completed, failed   it has ended
 * paused      held back by the host
 */
export type HostMessageState = 'pending' | 'processing' | 'completed' | 'failed' | 'paused'

export interface MessageStatus {
  readonly id: string
  readonly seq: number | null
  readonly kind: string
  /** By both files: an ack that sync() has not copied yet counts. */
  readonly state: HostMessageState
  /** When the state was written by the runtime, as text; null when the host's own column decides. */
  readonly changedAt: string | null
  readonly processAfter: string | null
  readonly tries: number
}

/** The host's own decision (paused, ended) wins; the runtime's ack counts for pending messages only. */
export function messageStatus(
  { id, seq, kind, status, tries, processAfter }: StoredMessage,
  said: AckRow | undefined,
): MessageStatus {
  return {
    id,
    seq,
    kind,
    state: said ? (endOf(said.status) ?? 'processing') : stateOf(status),
    changedAt: said?.changedAt ?? null,
    processAfter,
    tries,
  }
}

function stateOf(status: string): HostMessageState {
  switch (status) {
    case 'completed':
    case 'failed':
    case 'paused':
      return status
    default:
      return 'pending'
  }
}
