// Validates the reports of a child: a handler shares the child's process and can write anything to the
// channel. Only an exact Report is accepted.
import { type ErrorInfo, INNER_DEPTH_MAX, INNER_MAX } from '../protocol/errors.ts'
import type { LogLevel, Report, Result } from '../protocol/ipc.ts'
import {
  type BadReplyReason,
  REPLIES_MAX,
  RETRY_AFTER_MAX_MS,
  type Reply,
  type RetryWish,
} from '../protocol/outcome.ts'

const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error'] satisfies LogLevel[]
/** The last instant that a Date can represent. */
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
  too_many_replies: true,
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
    said.delayMs <= RETRY_AFTER_MAX_MS
  )
}

/** The limits of errorInfo: nesting depth of errors. */
function isErrorInfo(said: unknown, depth = 0): said is ErrorInfo {
  return (
    isObject(said) &&
    typeof said.name === 'string' &&
    typeof said.message === 'string' &&
    isTextOrNone(said.stack) &&
    isTextOrNone(said.code) &&
    (said.cause === undefined || (depth < INNER_DEPTH_MAX && isErrorInfo(said.cause, depth + 1))) &&
    (said.errors === undefined || areErrorInfos(said.errors, depth + 1))
  )
}

function areErrorInfos(said: unknown, depth: number): boolean {
  if (!Array.isArray(said) || said.length > INNER_MAX || depth > INNER_DEPTH_MAX) return false
  return said.every((error) => isErrorInfo(error, depth))
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

function isTextOrNone(said: unknown): said is string | undefined {
  return said === undefined || typeof said === 'string'
}

function isInstant(said: unknown): said is number | null {
  return said === null || (typeof said === 'number' && Math.abs(said) <= INSTANT_MAX_MS)
}
