// What a child may say, checked before anything believes it: a handler shares the child's process and can write whatever it
// likes to the channel. What is not exactly a Report is none.
import type { ErrorInfo } from '../protocol/errors.ts'
import type { LogLevel, Report, Result } from '../protocol/ipc.ts'
import type { BadReplyReason, Reply, RetryWish } from '../protocol/outcome.ts'

/** Replies of one run; more than this is a loop that went wrong. */
const REPLIES_MAX = 10_000
const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error'] satisfies LogLevel[]
/** The last instant that a Date can say. */
const INSTANT_MAX_MS = 8.64e15

export function parseReport(said: unknown, maxReplyBytes: number): Report | undefined {
  if (!isObject(said)) return undefined
  switch (said.type) {
    case 'loaded':
      return { type: 'loaded', definition: said.definition }
    case 'not-loaded':
    case 'uncaught':
      return isErrorInfo(said.error) ? { type: said.type, error: said.error } : undefined
    case 'log':
      return isWhole(said.n) && LEVELS.includes(String(said.level)) && typeof said.text === 'string'
        ? { type: 'log', n: said.n, level: said.level as LogLevel, text: said.text, fields: said.fields }
        : undefined
    case 'results':
      return Array.isArray(said.results) && said.results.every((result) => isResult(result, maxReplyBytes))
        ? { type: 'results', results: said.results }
        : undefined
    default:
      return undefined
  }
}

function isResult(said: unknown, maxReplyBytes: number): said is Result {
  if (!isObject(said) || !isWhole(said.n) || typeof said.ms !== 'number' || !Number.isFinite(said.ms))
    return false
  switch (said.end) {
    case 'replied':
      return (
        Array.isArray(said.replies) &&
        said.replies.length <= REPLIES_MAX &&
        said.replies.every((reply) => isReply(reply, maxReplyBytes))
      )
    case 'threw':
      return isErrorInfo(said.error) && isRetryWish(said.retry)
    case 'bad-reply':
      return isErrorInfo(said.error) && Object.hasOwn(BAD_REPLY_REASONS, String(said.reason))
    case 'bad-message':
      return isErrorInfo(said.error)
    case 'back':
      return said.why === 'handed-back' || said.why === 'behind-a-failure'
    default:
      return false
  }
}

const BAD_REPLY_REASONS: Readonly<Record<BadReplyReason, true>> = {
  unserialisable_reply: true,
  reply_too_large: true,
  bad_question_id: true,
  agent_chain_too_long: true,
}

function isReply(said: unknown, maxReplyBytes: number): said is Reply {
  if (!isObject(said) || typeof said.kind !== 'string' || typeof said.content !== 'string') return false
  if (said.content.length > maxReplyBytes || !isInstant(said.deliverAfterMs)) return false
  return isTextOrNull(said.platformId) && isTextOrNull(said.channelType) && isTextOrNull(said.threadId)
}

function isRetryWish(said: unknown): said is RetryWish {
  if (!isObject(said)) return false
  if (said.wish === 'policy' || said.wish === 'never') return true
  return (
    said.wish === 'after' &&
    typeof said.delayMs === 'number' &&
    said.delayMs >= 0 &&
    said.delayMs <= INSTANT_MAX_MS
  )
}

function isErrorInfo(said: unknown): said is ErrorInfo {
  return (
    isObject(said) &&
    typeof said.name === 'string' &&
    typeof said.message === 'string' &&
    (said.stack === undefined || typeof said.stack === 'string')
  )
}

function isObject(said: unknown): said is Record<string, unknown> {
  return typeof said === 'object' && said !== null
}

function isWhole(said: unknown): said is number {
  return Number.isSafeInteger(said)
}

function isTextOrNull(said: unknown): said is string | null {
  return said === null || typeof said === 'string'
}

function isInstant(said: unknown): said is number | null {
  return said === null || (typeof said === 'number' && Math.abs(said) <= INSTANT_MAX_MS)
}
