// What a handler has thrown, as far as it decides what follows for its message.
import { parseDuration } from '../protocol/duration.ts'
import { type BadReplyReason, RETRY_AFTER_MAX_MS, type RetryWish } from '../protocol/outcome.ts'
import { BadReply, dateMs } from './replies.ts'

/** A proxy may throw at any access. */
export function badReplyReason(thrown: unknown): BadReplyReason | undefined {
  try {
    return thrown instanceof BadReply ? thrown.reason : undefined
  } catch {
    return undefined
  }
}

/** An unreadable error is retried like any other. */
export function retryWish(thrown: unknown): RetryWish {
  try {
    return wishOf(thrown)
  } catch {
    return { wish: 'policy' }
  }
}

/** By name, not by class: the handler's copy of the class may be another one. */
function wishOf(thrown: unknown): RetryWish {
  if (typeof thrown !== 'object' || thrown === null || !('name' in thrown)) return { wish: 'policy' }
  if (thrown.name === 'NonRetryableError' || thrown.name === 'StepFailed') return { wish: 'never' }
  if (thrown.name !== 'RetryAfterError' || !('retryAfter' in thrown)) return { wish: 'policy' }
  const delayMs = delayOf(thrown.retryAfter)
  return delayMs === undefined
    ? { wish: 'policy' }
    : { wish: 'after', delayMs: Math.min(delayMs, RETRY_AFTER_MAX_MS) }
}

function delayOf(retryAfter: unknown): number | undefined {
  if (!(retryAfter instanceof Date)) return parseDuration(retryAfter)
  const ms = dateMs(retryAfter)
  return ms === undefined ? undefined : parseDuration(Math.max(ms - Date.now(), 0))
}
