// One run of a handler: its context and its one Result.
import { parseDuration } from '../protocol/duration.ts'
import { errorInfo } from '../protocol/errors.ts'
import type { Context, Handler, HandlerMessage, Logger, ReplyOptions } from '../protocol/handler.ts'
import type { ChildSetup, Dispatch, LogLevel, Report, Result } from '../protocol/ipc.ts'
import { toJson } from '../protocol/json.ts'
import {
  type BadReplyReason,
  REPLIES_CHARS_MAX,
  REPLIES_MAX,
  RETRY_AFTER_MAX_MS,
  type Reply,
  type RetryWish,
} from '../protocol/outcome.ts'
import { isQuestionId, QUESTION_ID_MAX, questionIdOf, replyId } from '../protocol/reply-id.ts'
import { type Address, AGENT, AGENT_HOPS_MAX, addressOf, hopsOf } from './answer.ts'

export class HandlerRun implements Context {
  readonly functionName: string
  readonly attempt: number
  readonly deadline: number
  readonly #n: number
  /** Id of the message as received: the handler may change the object. */
  readonly #messageId: string
  readonly #to: Answered
  readonly #message: HandlerMessage
  readonly #setup: ChildSetup
  readonly #send: (report: Report) => void
  readonly #replies: Reply[] = []
  #controller: AbortController | undefined
  #replyChars = 0
  #logBytes = 0
  #ended = false

  constructor(
    dispatch: Dispatch,
    message: HandlerMessage,
    setup: ChildSetup,
    send: (report: Report) => void,
  ) {
    this.#n = dispatch.n
    this.functionName = setup.functionName
    this.attempt = dispatch.attempt
    this.deadline = Date.now() + dispatch.timeoutMs
    this.#message = message
    this.#messageId = message.id
    this.#to = { kind: message.kind, ...addressOf(message), hops: hopsOf(message) }
    this.#setup = setup
    this.#send = send
    this.reply = this.reply.bind(this)
  }

  get n(): number {
    return this.#n
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  get log(): Logger {
    const at = (level: LogLevel) => (text: string, fields?: Record<string, unknown>) =>
      this.#log(level, text, fields)
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  }

  get replyId(): string {
    return replyId(this.#messageId, this.#replies.length)
  }

  reply(content: unknown, options: ReplyOptions = {}): void {
    if (this.#ended)
      throw new TypeError(
        'ctx.reply was called after the handler had ended; await every promise that the handler starts',
      )
    if (this.#replies.length >= REPLIES_MAX)
      throw new BadReply(
        'too_many_replies',
        `A run may reply ${REPLIES_MAX} times. Put the rest into one reply, or into a file.`,
      )
    const reply = toReply(this.replyId, content, options, this.#to, this.#setup.maxReplyBytes)
    this.#replyChars += reply.content.length
    const charsMax = Math.max(REPLIES_CHARS_MAX, this.#setup.maxReplyBytes)
    if (this.#replyChars > charsMax)
      throw new BadReply(
        'reply_too_large',
        `The replies of a run may have ${charsMax} characters together. Write big data to a file and reply with its name.`,
      )
    this.#replies.push(reply)
  }

  abort(why: 'timeout' | 'shutdown'): void {
    const text = why === 'timeout' ? 'The time limit of this attempt has passed.' : 'The runtime shuts down.'
    this.#controller ??= new AbortController()
    this.#controller.abort(new DOMException(text, why === 'timeout' ? 'TimeoutError' : 'AbortError'))
  }

  async run(handler: Handler): Promise<Result> {
    const startedMs = performance.now()
    try {
      const returned = await handler(this.#message, this)
      if (returned !== undefined && returned !== null) this.reply(returned)
      return { n: this.#n, ms: since(startedMs), end: 'replied', replies: this.#replies }
    } catch (thrown) {
      const end = { n: this.#n, ms: since(startedMs), error: errorInfo(thrown) }
      const reason = badReplyReason(thrown)
      return reason === undefined
        ? { ...end, end: 'threw', retry: retryWish(thrown) }
        : { ...end, end: 'bad-reply', reason }
    } finally {
      this.#ended = true
    }
  }

  #log(level: LogLevel, text: string, fields?: Record<string, unknown>): void {
    const left = this.#setup.maxLogBytes - this.#logBytes
    if (left <= 0) return
    const said = safeFields(fields)
    const words = safeText(text)
    this.#logBytes += Math.max(words.length + said.length, 1)
    const cut =
      this.#logBytes > this.#setup.maxLogBytes
        ? ' … (this message has logged its maxLogBytes; the rest is dropped)'
        : ''
    this.#send({
      type: 'log',
      n: this.#n,
      level,
      text: words.slice(0, left) + cut,
      fields: said === '' || cut ? undefined : JSON.parse(said),
    })
  }
}

/**
 * Milliseconds, rounded to microseconds: sixteen digits are slow to write and to parse. A handler may replace
 * the clock.
 */
function since(startedMs: number): number {
  const ms = Math.round((performance.now() - startedMs) * 1000) / 1000
  return Number.isFinite(ms) ? ms : 0
}

/** The fields of a reply that follow from the answered message. */
interface Answered extends Address {
  readonly kind: string
  /** Hop count of an answer to an agent. */
  readonly hops: number
}

/** A reply that cannot be stored. A retry would not help, so the message fails at once. */
class BadReply extends TypeError {
  override readonly name = 'BadReply'
  readonly reason: BadReplyReason
  constructor(reason: BadReplyReason, message: string) {
    super(message)
    this.reason = reason
  }
}

const OPTIONS = ['kind', 'platformId', 'channelType', 'threadId', 'deliverAfter']
/** In a content's `type`: a question to people. */
const ASKS = 'ask_question'
/**
 * Replies to these kinds have kind chat. A reply of kind `system` is for the host and not shown to people.
 */
const ANSWERED_BY_CHAT = new Set(['chat', 'chat-sdk', 'task', 'system'])

function toReply(id: string, content: unknown, options: ReplyOptions, to: Answered, maxBytes: number): Reply {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name))
  if (unknown !== undefined)
    throw new TypeError(`reply has no option ${JSON.stringify(unknown)}; legal are ${OPTIONS.join(', ')}`)
  const { kind, platformId, channelType, threadId, deliverAfter } = options
  for (const [name, value] of Object.entries({ kind, platformId, channelType, threadId }))
    if (value !== undefined && value !== null && typeof value !== 'string')
      throw new TypeError(`reply option ${name} must be a string, found ${typeof value}`)
  const deliverAfterMs = deliverAfter === undefined ? null : dateMs(deliverAfter)
  if (deliverAfterMs === undefined)
    throw new TypeError(
      `reply option deliverAfter must be a valid Date${typeof deliverAfter === 'number' ? `; did you mean new Date(${deliverAfter})?` : ''}`,
    )
  const channel = channelType === undefined ? to.channelType : channelType
  return {
    kind: kind ?? (ANSWERED_BY_CHAT.has(to.kind) ? 'chat' : to.kind),
    platformId: platformId === undefined ? to.platformId : platformId,
    channelType: channel,
    threadId: threadId === undefined ? to.threadId : threadId,
    deliverAfterMs,
    content: fitting(complete(contentText(content), id, channel === AGENT ? to.hops : 0), maxBytes),
  }
}

/** Adds required content: the id of a question, the hop count of an answer between agents. */
function complete(json: string, id: string, hops: number): string {
  if (hops > AGENT_HOPS_MAX)
    throw new BadReply(
      'agent_chain_too_long',
      `This message is the end of ${AGENT_HOPS_MAX} answers in a row between agents; no further one is sent. Return nothing where an exchange is over.`,
    )
  if (hops === 0 && !json.includes(ASKS)) return json
  const content: unknown = JSON.parse(json)
  if (typeof content !== 'object' || content === null || Array.isArray(content)) return json
  const { type, operation, questionId = questionIdOf(id) } = content as Record<string, unknown>
  const asks = type === ASKS || operation === ASKS
  if (asks && !isQuestionId(questionId))
    throw new BadReply(
      'bad_question_id',
      `questionId is ${JSON.stringify(questionId)}; expected text of 1 to ${QUESTION_ID_MAX} bytes without a colon, or none, and one is made`,
    )
  return JSON.stringify({ ...content, ...(asks && { questionId }), ...(hops > 0 && { hops }) })
}

function contentText(content: unknown): string {
  const text = toJson(content, 'reply')
  if ('fault' in text)
    throw new BadReply('unserialisable_reply', `This reply cannot be stored: ${text.fault}.`)
  return text.json
}

function fitting(json: string, maxBytes: number): string {
  const bytes = json.length > maxBytes ? json.length : Buffer.byteLength(json)
  if (bytes > maxBytes)
    throw new BadReply(
      'reply_too_large',
      `The reply has ${bytes} bytes; maxReplyBytes is ${maxBytes}. Write big data to a file and reply with its name.`,
    )
  return json
}

/** undefined: not a valid Date. Its own getTime may be any function. */
function dateMs(value: unknown): number | undefined {
  if (!(value instanceof Date)) return undefined
  const ms = Date.prototype.getTime.call(value)
  return Number.isNaN(ms) ? undefined : ms
}

/** A proxy may throw at any access. */
function badReplyReason(thrown: unknown): BadReplyReason | undefined {
  try {
    return thrown instanceof BadReply ? thrown.reason : undefined
  } catch {
    return undefined
  }
}

/** An unreadable error is retried like any other. */
function retryWish(thrown: unknown): RetryWish {
  try {
    return wishOf(thrown)
  } catch {
    return { wish: 'policy' }
  }
}

/** By name, not by class: the handler's copy of the class may be another one. */
function wishOf(thrown: unknown): RetryWish {
  if (typeof thrown !== 'object' || thrown === null || !('name' in thrown)) return { wish: 'policy' }
  if (thrown.name === 'NonRetryableError') return { wish: 'never' }
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

function safeText(text: unknown): string {
  try {
    return String(text)
  } catch (error) {
    return `unreadable: ${errorInfo(error).message}`
  }
}

function safeFields(fields: Record<string, unknown> | undefined): string {
  if (fields === undefined) return ''
  try {
    return (
      JSON.stringify(fields, (_key, value) =>
        value instanceof Error ? errorInfo(value) : typeof value === 'bigint' ? String(value) : value,
      ) ?? ''
    )
  } catch (error) {
    return JSON.stringify({ unreadable: errorInfo(error).message })
  }
}
