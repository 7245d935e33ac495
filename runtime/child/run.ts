// One message in the hands of one handler: the context that the handler sees, and the one Result that comes of it.
import { parseDuration } from '../protocol/duration.ts'
import { errorInfo } from '../protocol/errors.ts'
import type { Context, Handler, Logger, Message, ReplyOptions } from '../protocol/handler.ts'
import type { ChildSetup, Dispatch, LogLevel, Report, Result } from '../protocol/ipc.ts'
import type { BadReplyReason, Reply, RetryWish } from '../protocol/outcome.ts'
import { isQuestionId, QUESTION_ID_MAX, questionIdOf, replyId } from '../protocol/reply-id.ts'
import { AGENT_HOPS_MAX, addressOf, hopsOf } from './answer.ts'

export class Run implements Context {
  readonly n: number
  readonly functionName: string
  readonly attempt: number
  readonly deadline: number
  readonly #message: Message
  readonly #setup: ChildSetup
  readonly #send: (report: Report) => void
  readonly #replies: Reply[] = []
  #controller: AbortController | undefined
  #logBytes = 0
  #ended = false

  constructor(dispatch: Dispatch, message: Message, setup: ChildSetup, send: (report: Report) => void) {
    this.n = dispatch.n
    this.functionName = setup.functionName
    this.attempt = dispatch.attempt
    this.deadline = Date.now() + dispatch.timeoutMs
    this.#message = message
    this.#setup = setup
    this.#send = send
    this.reply = this.reply.bind(this)
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
    return replyId(this.#message.id, this.#replies.length)
  }

  reply(content: unknown, options: ReplyOptions = {}): void {
    if (this.#ended)
      throw new TypeError('ctx.reply was called after the handler had ended; await what you start')
    this.#replies.push(toReply(this.replyId, content, options, this.#message, this.#setup.maxReplyBytes))
  }

  abort(why: 'timeout' | 'shutdown'): void {
    const text = why === 'timeout' ? 'The time for this attempt is up.' : 'The runtime shuts down.'
    this.#controller ??= new AbortController()
    this.#controller.abort(new DOMException(text, why === 'timeout' ? 'TimeoutError' : 'AbortError'))
  }

  async run(handler: Handler): Promise<Result> {
    const startedMs = performance.now()
    try {
      const returned = await handler(this.#message, this)
      if (returned !== undefined && returned !== null) this.reply(returned)
      return { n: this.n, ms: since(startedMs), end: 'replied', replies: this.#replies }
    } catch (thrown) {
      const end = { n: this.n, ms: since(startedMs), error: errorInfo(thrown) }
      if (thrown instanceof BadReply) return { ...end, end: 'bad-reply', reason: thrown.reason }
      return { ...end, end: 'threw', retry: retryWish(thrown) }
    } finally {
      this.#ended = true
    }
  }

  #log(level: LogLevel, text: string, fields?: Record<string, unknown>): void {
    const left = this.#setup.maxLogBytes - this.#logBytes
    if (left <= 0) return
    const said = safeFields(fields)
    this.#logBytes += String(text).length + said.length
    const cut =
      this.#logBytes > this.#setup.maxLogBytes
        ? ' … (this message has logged its maxLogBytes; the rest is dropped)'
        : ''
    this.#send({
      type: 'log',
      n: this.n,
      level,
      text: String(text).slice(0, left) + cut,
      fields: said === '' || cut ? undefined : JSON.parse(said),
    })
  }
}

/** Milliseconds, to the microsecond: a number with sixteen digits is slow to write and to read. */
function since(startedMs: number): number {
  return Math.round((performance.now() - startedMs) * 1000) / 1000
}

/** A reply that cannot be stored. Trying again would not help, so the message fails at once. */
class BadReply extends TypeError {
  override readonly name = 'BadReply'
  readonly reason: BadReplyReason
  constructor(reason: BadReplyReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

const OPTIONS = ['kind', 'platformId', 'channelType', 'threadId', 'deliverAfter']
/** In a content's `type`: a question to people. */
const ASKS = 'ask_question'
/** The answer to each of these is a chat message. A reply of kind `system` is for the host, which people never see. */
const ANSWERED_BY_CHAT = new Set(['chat', 'chat-sdk', 'task', 'system'])

function toReply(
  id: string,
  content: unknown,
  options: ReplyOptions,
  message: Message,
  maxBytes: number,
): Reply {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name))
  if (unknown !== undefined)
    throw new TypeError(`reply has no option ${JSON.stringify(unknown)}; legal are ${OPTIONS.join(', ')}`)
  const { kind, platformId, channelType, threadId, deliverAfter } = options
  for (const [name, value] of Object.entries({ kind, platformId, channelType, threadId }))
    if (value !== undefined && value !== null && typeof value !== 'string')
      throw new TypeError(`reply option ${name} must be a string, found ${typeof value}`)
  if (
    deliverAfter !== undefined &&
    !(deliverAfter instanceof Date && Number.isFinite(deliverAfter.getTime()))
  )
    throw new TypeError(
      `reply option deliverAfter must be a valid Date${typeof deliverAfter === 'number' ? `; did you mean new Date(${deliverAfter})?` : ''}`,
    )
  const own = addressOf(message)
  const to = {
    platformId: platformId === undefined ? own.platformId : platformId,
    channelType: channelType === undefined ? own.channelType : channelType,
    threadId: threadId === undefined ? own.threadId : threadId,
  }
  return {
    kind: kind ?? (ANSWERED_BY_CHAT.has(message.kind) ? 'chat' : message.kind),
    ...to,
    deliverAfterMs: deliverAfter?.getTime() ?? null,
    content: fitting(complete(toJson(content), id, hopsOf(message, to.channelType)), maxBytes),
  }
}

/** With what a reply of its kind must have: a question its id, an answer between agents its place in their chain. */
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

function toJson(content: unknown): string {
  let json: string | undefined
  try {
    json =
      typeof content === 'string' ? JSON.stringify({ text: content }) : JSON.stringify(content, refuseCode)
  } catch (error) {
    throw new BadReply(
      'unserialisable_reply',
      `JSON cannot say this reply: ${errorInfo(error).message}. Reply with plain data.`,
      { cause: error },
    )
  }
  if (json === undefined)
    throw new BadReply(
      'unserialisable_reply',
      `JSON cannot say a reply of type ${typeof content}. Reply with plain data.`,
    )
  return json
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

/** JSON.stringify drops functions and symbols in silence; a reply that lost a part must not be stored. */
function refuseCode(key: string, value: unknown): unknown {
  if (typeof value === 'function' || typeof value === 'symbol')
    throw new TypeError(`${key === '' ? 'it' : JSON.stringify(key)} is a ${typeof value}`)
  return value
}

/** By name, not by class: the handler's copy of the class may be another one. */
function retryWish(thrown: unknown): RetryWish {
  if (typeof thrown !== 'object' || thrown === null || !('name' in thrown)) return { wish: 'policy' }
  if (thrown.name === 'NonRetryableError') return { wish: 'never' }
  if (thrown.name !== 'RetryAfterError' || !('retryAfter' in thrown)) return { wish: 'policy' }
  const { retryAfter } = thrown
  const delayMs =
    retryAfter instanceof Date ? Math.max(retryAfter.getTime() - Date.now(), 0) : parseDuration(retryAfter)
  return delayMs === undefined || Number.isNaN(delayMs) ? { wish: 'policy' } : { wish: 'after', delayMs }
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
