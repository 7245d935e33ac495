// What follows from an Outcome, as a pure decision: done, given up, tried again (when), or released without a
// charge. Two counters, never mixed: attempts are the handler's; deaths of a process in which nothing else
// ran have a limit of their own.
import { backoffMs, jitterMs } from '../protocol/backoff.ts'
import type { RetryPolicy } from '../protocol/function.ts'
import type { Outcome } from '../protocol/outcome.ts'

export interface RunFacts {
  /** Attempts charged to the handler, the one that just ended included. */
  readonly attempt: number
  /** Deaths before this run. */
  readonly crashes: number
  readonly crashLimit: number
  readonly policy: RetryPolicy
  /** When a RetryAfterError was first answered without a charge; null: never. */
  readonly turnedAwaySinceMs: number | null
  /** How long waits that a RetryAfterError asks for cost no attempt: see RETRY_AFTER_FREE_MS. */
  readonly freeWaitMs: number
  readonly nowMs: number
  /** 0 ≤ random < 1 */
  readonly random: number
}

export type Next =
  | { readonly type: 'completed' }
  | { readonly type: 'failed'; readonly reason: FailReason }
  /** `retry_after`: no attempt is charged. */
  | { readonly type: 'retry'; readonly nextAtMs: number; readonly reason: FailReason | 'retry_after' }
  /** Not charged; what it waits for brings it back. */
  | { readonly type: 'waiting' }
  | { readonly type: 'released'; readonly keep: boolean }

/** Machine-readable; each stands in docs/errors.md. */
export type FailReason =
  | 'handler_error'
  | 'non_retryable'
  | 'timeout'
  | 'worker_exit'
  | 'worker_signal'
  | 'out_of_memory'
  | 'crash_limit'
  | 'unserialisable_reply'
  | 'reply_too_large'
  | 'too_many_replies'
  | 'bad_question_id'
  | 'agent_chain_too_long'
  | 'bad_json'

export function decideNext(outcome: Outcome, facts: RunFacts): Next {
  switch (outcome.type) {
    case 'replied':
      return { type: 'completed' }
    case 'suspended':
      return { type: 'waiting' }
    case 'threw':
      if (outcome.retry.wish === 'never') return { type: 'failed', reason: 'non_retryable' }
      if (outcome.retry.wish === 'after') return askedToWait(facts, outcome.retry.delayMs)
      return retryOrFail('handler_error', facts)
    case 'timed-out':
      return retryOrFail('timeout', facts)
    case 'exited':
      return died('worker_exit', facts)
    case 'killed':
      return died('worker_signal', facts)
    case 'out-of-memory':
      return died('out_of_memory', facts)
    case 'bad-reply':
    case 'bad-message':
      return { type: 'failed', reason: outcome.reason }
    case 'cancelled':
      return { type: 'released', keep: outcome.why === 'shutdown' }
    default:
      return outcome satisfies never
  }
}

/**
 * The first death is answered at once, as that of the runtime is: most have a cause outside the function.
 * From the second on it may be the message.
 */
function died(reason: FailReason, facts: RunFacts): Next {
  if (facts.crashes + 1 >= facts.crashLimit) return { type: 'failed', reason: 'crash_limit' }
  return facts.crashes === 0 ? retryOrFail(reason, facts, 0) : retryOrFail(reason, facts)
}

/** What decides costs one of the handler's attempts. */
export function isCharged(next: Next): boolean {
  return (
    next.type !== 'released' &&
    next.type !== 'waiting' &&
    !(next.type === 'retry' && next.reason === 'retry_after')
  )
}

/**
 * A day: a quota that is full has room by then; what is turned away for longer fails in the end as any other
 * error does.
 */
export const RETRY_AFTER_FREE_MS = 24 * 60 * 60 * 1000
/**
 * A wait is at least this part of the time for which the message has been turned away, up to a minute: a
 * handler that asks for no wait at all runs some 1,700 times in a day, not without end, and one that asks for
 * seconds waits 6 % longer.
 */
const TURNED_AWAY_PART = 1 / 16
const TURNED_AWAY_MAX_MS = 60_000

/** The other side is busy, which is nothing that the handler can be charged with, for a time. */
function askedToWait(facts: RunFacts, delayMs: number): Next {
  const { nowMs, turnedAwaySinceMs, freeWaitMs } = facts
  const awayMs = Math.max(nowMs - (turnedAwaySinceMs ?? nowMs), 0)
  const waitMs = Math.max(delayMs, Math.min(awayMs * TURNED_AWAY_PART, TURNED_AWAY_MAX_MS))
  if (!(delayMs >= 0) || awayMs + waitMs >= freeWaitMs) return retryOrFail('handler_error', facts, delayMs)
  return { type: 'retry', nextAtMs: instantIn(waitMs, facts), reason: 'retry_after' }
}

/** The last instant that a calendar can name, and that `show` can print. */
export const LATEST_MS = 8.64e15

/**
 * The store keeps whole milliseconds, but a handler may wish for any length: rounded up, never earlier than
 * wished.
 */
function instantIn(delayMs: number, { nowMs }: RunFacts): number {
  return Math.min(Math.ceil(nowMs + delayMs), LATEST_MS)
}

function retryOrFail(reason: FailReason, facts: RunFacts, wishMs = Number.NaN): Next {
  if (facts.attempt >= facts.policy.attempts) return { type: 'failed', reason }
  const delayMs = wishMs >= 0 && Number.isFinite(wishMs) ? wishMs : pauseMs(facts)
  return { type: 'retry', nextAtMs: instantIn(delayMs, facts), reason }
}

function pauseMs({ attempt, policy: { minDelayMs, maxDelayMs, factor }, random }: RunFacts): number {
  return jitterMs(backoffMs({ minMs: minDelayMs, maxMs: maxDelayMs, factor }, attempt), random)
}
