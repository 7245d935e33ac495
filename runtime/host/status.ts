// The state of one message, decided from both files.
import { endOf } from '../protocol/ack.ts'
import type { StoredMessage } from './sqlite/inbox.ts'
import type { AckRow } from './sqlite/outbox.ts'

/**
 * waiting     its handler waits, for a time or an answer (ctx.sleep, ctx.ask)
 * pending     waiting, for its time or for its turn; also when it runs again after a failure
 * processing  the runtime has claimed it
 * completed, failed   it has ended
 * paused      held back by the host
 */
export type HostMessageState = 'waiting' | 'pending' | 'processing' | 'completed' | 'failed' | 'paused'

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
  /** Of a message that is `waiting`: what for. */
  readonly waitsFor?: readonly WaitingFor[]
}

export interface WaitingFor {
  /** As the handler calls it. */
  readonly name: string
  readonly kind: 'sleep' | 'ask'
  /** By which `answer` knows a question; null: of a sleep. */
  readonly questionId: string | null
  /** When the wait ends by itself, milliseconds since 1970. */
  readonly untilMs: number
}

/** The host's own decision (paused, ended) wins; the runtime's ack counts for pending messages only. */
export function messageStatus(
  { id, seq, kind, status, tries, processAfter }: StoredMessage,
  said: AckRow | undefined,
  waitsFor: readonly WaitingFor[] = [],
): MessageStatus {
  const waits = !said && waitsFor.length > 0
  return {
    id,
    seq,
    kind,
    state: said ? (endOf(said.status) ?? 'processing') : waits ? 'waiting' : stateOf(status),
    changedAt: said?.changedAt ?? null,
    processAfter,
    tries,
    ...(waits && { waitsFor }),
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
