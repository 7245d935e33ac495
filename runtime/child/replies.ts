// The replies of one run: made ready to be stored when they are said, and stored together when the run ends
// or comes to a wait. A later run says again what went out with a wait before it; that is dropped when it
// comes to the wait.
import { createHash } from 'node:crypto'
import type { HandlerMessage, ReplyOptions } from '../protocol/handler.ts'
import { toJson } from '../protocol/json.ts'
import { type BadReplyReason, REPLIES_CHARS_MAX, REPLIES_MAX, type Reply } from '../protocol/outcome.ts'
import { isQuestionId, QUESTION_ID_MAX, questionIdOf, replyId } from '../protocol/reply-id.ts'
import type { RecordedWait } from '../protocol/waits.ts'
import { type Address, AGENT, AGENT_HOPS_MAX, addressOf, hopsOf } from './answer.ts'

export class Replies {
  readonly #messageId: string
  readonly #to: Answered
  readonly #maxReplyBytes: number
  #list: Reply[] = []
  #chars = 0
  /** So many of the message's replies went out with waits that this run has come to. */
  #before = 0
  /**
   * Of each run with whose waits replies went out: hashes of those that this run has not said again yet, and
   * how many of each.
   */
  readonly #sent = new Map<number, Map<string, number>>()

  constructor(message: HandlerMessage, maxReplyBytes: number) {
    // As the message came: the handler may change it.
    this.#messageId = message.id
    this.#to = { kind: message.kind, ...addressOf(message), hops: hopsOf(message) }
    this.#maxReplyBytes = maxReplyBytes
  }

  get list(): readonly Reply[] {
    return this.#list
  }

  /** The place of the first of them among all of the message. */
  get from(): number {
    return this.#before
  }

  get nextId(): string {
    return replyId(this.#messageId, this.#before + this.#list.length)
  }

  /** Where a reply of this message goes by default. */
  get address(): Address {
    const { platformId, channelType, threadId } = this.#to
    return { platformId, channelType, threadId }
  }

  /** @throws TypeError for an unknown option; BadReply */
  add(content: unknown, options: ReplyOptions): void {
    if (this.#list.length >= REPLIES_MAX)
      throw new BadReply(
        'too_many_replies',
        `A run may reply ${REPLIES_MAX} times. Put the rest into one reply, or into a file.`,
      )
    const reply = toReply(this.nextId, content, options, this.#to, this.#maxReplyBytes)
    this.#chars += reply.content.length
    const charsMax = Math.max(REPLIES_CHARS_MAX, this.#maxReplyBytes)
    if (this.#chars > charsMax)
      throw new BadReply(
        'reply_too_large',
        `The replies of a run may have ${charsMax} characters together. Write big data to a file and reply with its name.`,
      )
    // Of a branch beside others, and it went out with their wait.
    for (const sent of this.#sent.values()) if (take(sent, hashOf(reply))) return
    this.#list.push(reply)
  }

  /**
   * The run has come to a wait that is on record: what it has said went out with it. Beside other waits a
   * part of that may be said later than this; it is dropped when it comes.
   */
  pass({ run, replies, said, isAlone }: RecordedWait): void {
    this.#before = Math.max(this.#before, replies)
    let sent = this.#sent.get(run)
    const isFirst = sent === undefined
    sent ??= countOf(said)
    this.#sent.set(run, sent)
    const dropped = this.#list.length
    this.#list = this.#list.filter((reply) => !take(sent, hashOf(reply)) && !(isAlone && isFirst))
    // As many as went out have been said, in whatever words: nothing of it comes later.
    if (isAlone && isFirst && dropped >= said.length) sent.clear()
  }

  /** Of each, by which it is known again. */
  hashes(): string[] {
    return this.#list.map(hashOf)
  }
}

function countOf(hashes: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const hash of hashes) counts.set(hash, (counts.get(hash) ?? 0) + 1)
  return counts
}

/** True: there was one. */
function take(counts: Map<string, number>, hash: string): boolean {
  const count = counts.get(hash) ?? 0
  if (count > 1) counts.set(hash, count - 1)
  else if (count === 1) counts.delete(hash)
  return count > 0
}

function hashOf(reply: Reply): string {
  return createHash('sha256').update(JSON.stringify(reply)).digest('hex').slice(0, 16)
}

/** The fields of a reply that follow from the answered message. */
interface Answered extends Address {
  readonly kind: string
  /** Hop count of an answer to an agent. */
  readonly hops: number
}

/** A reply that cannot be stored. A retry would not help, so the message fails at once. */
export class BadReply extends TypeError {
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
export function dateMs(value: unknown): number | undefined {
  if (!(value instanceof Date)) return undefined
  const ms = Date.prototype.getTime.call(value)
  return Number.isNaN(ms) ? undefined : ms
}
