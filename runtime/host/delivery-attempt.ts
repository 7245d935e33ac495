// Decides what follows one attempt to send a reply. The rules are those for a handler that threw.
import { parseDuration } from '../protocol/duration.ts'
import { errorInfo, errorText, NanoclawError } from '../protocol/errors.ts'
import type { RetryPolicy } from '../protocol/function.ts'
import type { RetryWish } from '../protocol/outcome.ts'
import { decideNext } from '../queue/retry-policy.ts'
import { isInstant } from './fields.ts'
import type { DeliveryAttempt } from './sqlite/delivery.ts'

/** `blocked`: a file cannot be read or written at the moment; emitted once per outage. */
export type DeliveryEvent = DeliveryAttempt | { readonly type: 'blocked'; readonly error: string }

export type SendEnd =
  | { readonly type: 'sent'; readonly platformId: string | null }
  | { readonly type: 'threw'; readonly thrown: unknown }

export interface AttemptFacts {
  readonly attempt: number
  readonly policy: RetryPolicy
  readonly nowMs: number
  /** 0 ≤ random < 1 */
  readonly random: number
}

/** Stored length of an error's text; platforms may answer with whole pages. */
const ERROR_CHARS_MAX = 2_000

export function decideAttempt(id: string, end: SendEnd, facts: AttemptFacts): DeliveryAttempt {
  const { attempt } = facts
  if (end.type === 'sent') return { type: 'delivered', id, attempt, platformId: end.platformId }
  const error = errorText(end.thrown).slice(0, ERROR_CHARS_MAX)
  const next = decideRetry(end.thrown, facts)
  return next.type === 'retry'
    ? { type: 'retry', id, attempt, error, nextAtMs: next.nextAtMs }
    : { type: 'dead', id, attempt, error }
}

type AfterTry = { readonly type: 'retry'; readonly nextAtMs: number } | { readonly type: 'dead' }

/** NonRetryableError or `bad_message`: given up at once. RetryAfterError: not before its time. */
function decideRetry(thrown: unknown, facts: AttemptFacts): AfterTry {
  const outcome = { type: 'threw', error: errorInfo(thrown), retry: wishOf(thrown, facts.nowMs) } as const
  const next = decideNext(outcome, {
    ...facts,
    crashes: 0,
    crashLimit: Number.POSITIVE_INFINITY,
    turnedAwaySinceMs: null,
    freeWaitMs: 0,
  })
  return next.type === 'retry' ? { type: 'retry', nextAtMs: next.nextAtMs } : { type: 'dead' }
}

/** By name: an adapter may have the class from another copy of this package. */
function wishOf(thrown: unknown, nowMs: number): RetryWish {
  if (!(thrown instanceof Error)) return { wish: 'policy' }
  if (thrown.name === 'NonRetryableError') return { wish: 'never' }
  if (thrown instanceof NanoclawError && thrown.code === 'bad_message') return { wish: 'never' }
  if (thrown.name !== 'RetryAfterError' || !('retryAfter' in thrown)) return { wish: 'policy' }
  const { retryAfter } = thrown
  const delayMs =
    retryAfter instanceof Date ? Math.max(retryAfter.getTime() - nowMs, 0) : parseDuration(retryAfter)
  return delayMs === undefined || Number.isNaN(delayMs) || isInstant(retryAfter)
    ? { wish: 'policy' }
    : { wish: 'after', delayMs }
}
