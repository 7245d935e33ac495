// The types of a handler author: the message, the context, the definition. Types only.
import type { Duration } from './duration.ts'

/** The content of a message whose handler declares no type. */
// biome-ignore lint/suspicious/noExplicitAny: the one place where an author may work without types
export type Untyped = any

/** Any JSON value. */
export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json | undefined }

/** A row of `messages_in`, every column in camelCase, with its content parsed. */
export interface HandlerMessage<Content = Untyped> {
  readonly id: string
  /** The host's number of the message: even and rising; null when the host set none. */
  readonly seq: number | null
  readonly kind: string
  /** As the host wrote it: ISO 8601, or SQLite's form (UTC). */
  readonly timestamp: string
  readonly status: string
  readonly processAfter: string | null
  readonly recurrence: string | null
  readonly seriesId: string | null
  /** How often the host has reset this message; the runtime's attempts are `ctx.attempt`. */
  readonly tries: number
  /** False: context, which starts no run by itself; only functions with `on: { trigger: false }` take it. */
  readonly trigger: boolean
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
  readonly sourceSessionId: string | null
  readonly onWake: boolean
  /** The parsed JSON; undefined when it is not JSON and the function sets `rawContent: true`. */
  readonly content: Content
  /** The text as stored; only for functions with `rawContent: true`. */
  readonly rawContent?: string
}

/** The address of a reply; missing fields are copied from the message. */
export interface ReplyOptions {
  /**
   * Default: `chat` for messages of kind chat, chat-sdk, task and system; otherwise the message's own kind.
   */
  readonly kind?: string
  readonly platformId?: string | null
  readonly channelType?: string | null
  readonly threadId?: string | null
  /** Earliest delivery by the host. */
  readonly deliverAfter?: Date
}

export interface Logger {
  debug(text: string, fields?: Record<string, unknown>): void
  info(text: string, fields?: Record<string, unknown>): void
  warn(text: string, fields?: Record<string, unknown>): void
  error(text: string, fields?: Record<string, unknown>): void
}

export interface Context {
  readonly functionName: string
  /**
   * 1 for the first attempt. The message id is the key to make side effects idempotent; with the attempt it
   * identifies one attempt.
   */
  readonly attempt: number
  /** Aborts at the timeout or when the runtime shuts down; pass it to fetch and to every wait. */
  readonly signal: AbortSignal
  /** When the attempt times out, milliseconds since 1970. */
  readonly deadline: number
  readonly log: Logger
  /**
   * The id of the next reply: write its files to `outbox/<id>/` of the workspace and name them in
   * `content.files`.
   */
  readonly replyId: string
  /**
   * Adds a reply. All replies of a run are committed together with its ack when the handler has returned, or
   * not at all. A string becomes `{ text }`. Throws TypeError when JSON would change the content or an option
   * is unknown.
   */
  reply(content: unknown, options?: ReplyOptions): void
}

/**
 * The returned value is the last reply: undefined or null → none, a string → `{ text }`, anything else
 * unchanged.
 */
export type Handler<Content = Untyped> = (message: HandlerMessage<Content>, ctx: Context) => unknown

/** Which messages a function takes; all conditions must hold. A list means: one of these. */
export interface On {
  readonly kind?: string | readonly string[]
  readonly channelType?: string | readonly string[]
  readonly platformId?: string | readonly string[]
  readonly threadId?: string | readonly string[]
  /** Default true. False: the host's context rows, which otherwise end as completed without a run. */
  readonly trigger?: boolean | readonly boolean[]
  /** Values in the parsed content, by path: `{ 'repository.name': 'demo', action: ['opened', 'closed'] }`. */
  readonly content?: Readonly<
    Record<string, string | number | boolean | null | readonly (string | number | boolean | null)[]>
  >
}

export interface Retry {
  /** Runs in all, the first included. Default 5. */
  readonly attempts?: number
  /** Delay before the second attempt. Default 1s. */
  readonly minDelay?: Duration
  /** Longest delay. Default 5m. */
  readonly maxDelay?: Duration
  /** Factor between two delays. Default 2. */
  readonly factor?: number
}

export interface FunctionDefinition<Content = Untyped> {
  /** Default: messages whose kind is the file's name. */
  readonly on?: On
  /** Time limit of one attempt. Default: the config's `timeout`. */
  readonly timeout?: Duration
  readonly retry?: Retry
  /**
   * How many messages of this function run at the same time, over all processes. Default: the config's
   * `concurrency`.
   */
  readonly concurrency?: number
  /**
   * Messages with the same key run strictly one after the other, in order, across retries too. A column's
   * name ('threadId'), a path into the content ('content.user.id'), several of these, or null for no order at
   * all. Default: channelType + platformId + threadId (none of the three → no order).
   */
  readonly key?: string | readonly string[] | null
  /**
   * Accept content that is not JSON, as text in `message.rawContent`. Default false: such a message fails.
   */
  readonly rawContent?: boolean
  readonly handler: Handler<Content>
}
