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
import { isQuestionId } from '../protocol/reply-id.ts'
import { type FinishedStep, STEP_BYTES_MAX, STEP_NAME_BYTES_MAX } from '../protocol/steps.ts'
import { type NewWait, WAITS_MAX } from '../protocol/waits.ts'

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
    case 'step':
      return isWhole(said.n) && isStep(said)
        ? {
            type: 'step',
            n: said.n,
            name: said.name,
            state: said.state,
            value: said.value,
            durationMs: said.durationMs,
          }
        : undefined
    case 'results':
      return Array.isArray(said.results) && said.results.every((result) => isResult(result, maxReplyBytes))
        ? { type: 'results', results: said.results }
        : undefined
    default:
      return undefined
  }
}

/** A character is a byte at least. */
function isStep(said: Record<string, unknown>): said is Record<string, unknown> & FinishedStep {
  return (
    isName(said.name) &&
    (said.state === 'done' || said.state === 'failed') &&
    isTextOrNull(said.value) &&
    (said.value === null || said.value.length <= STEP_BYTES_MAX) &&
    typeof said.durationMs === 'number' &&
    Number.isFinite(said.durationMs)
  )
}

function isResult(said: unknown, maxReplyBytes: number): said is Result {
  if (!isObject(said) || !isWhole(said.n) || typeof said.ms !== 'number' || !Number.isFinite(said.ms))
    return false
  switch (said.end) {
    case 'replied':
      return isSaid(said, maxReplyBytes)
    case 'suspended':
      return (
        isSaid(said, maxReplyBytes) &&
        typeof said.isQuiet === 'boolean' &&
        Array.isArray(said.waits) &&
        said.waits.length <= WAITS_MAX &&
        said.waits.every(isNewWait)
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

function isSaid({ replies, from }: Record<string, unknown>, maxReplyBytes: number): boolean {
  return (
    Array.isArray(replies) &&
    replies.length <= REPLIES_MAX &&
    replies.every((reply) => isReply(reply, maxReplyBytes)) &&
    (from === undefined || (isWhole(from) && from >= 0 && from <= REPLIES_MAX * WAITS_MAX))
  )
}

function isNewWait(said: unknown): said is NewWait {
  if (!isObject(said) || !isName(said.name) || (said.kind !== 'sleep' && said.kind !== 'ask')) return false
  const { until, question, said: hashes } = said
  if (!isObject(until) || (!isLength(until.forMs) && !(isInstant(until.atMs) && until.atMs !== null)))
    return false
  if (!Array.isArray(hashes) || hashes.length > REPLIES_MAX || !hashes.every(isHash)) return false
  if (typeof said.isAlone !== 'boolean') return false
  if (said.kind === 'sleep') return question === null
  return (
    isObject(question) &&
    isQuestionId(question.id) &&
    isTextOrNull(question.address) &&
    (question.values === null || (Array.isArray(question.values) && question.values.every(isText)))
  )
}

function isText(said: unknown): said is string {
  return typeof said === 'string'
}

function isName(said: unknown): said is string {
  return typeof said === 'string' && said !== '' && said.length <= STEP_NAME_BYTES_MAX
}

function isLength(said: unknown): said is number {
  return typeof said === 'number' && said >= 0 && said <= INSTANT_MAX_MS
}

function isHash(said: unknown): said is string {
  return typeof said === 'string' && said.length <= 64
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
