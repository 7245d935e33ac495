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

/** What JSON makes of a value: a Date becomes text. The first run sees it so, too. */
export type Stored<T> = unknown extends T
  ? T
  : T extends { toJSON(): infer J }
    ? Stored<J>
    : T extends string | number | boolean | null
      ? T
      : T extends undefined
        ? undefined
        : T extends bigint | symbol | ((...args: never[]) => unknown)
          ? never
          : T extends object
            ? { [K in keyof T]: Stored<T[K]> }
            : undefined

/** What the body of a step is given. */
export interface StepTools {
  /**
   * 32 characters, the same for every try of this step of this message: give it to the other side as its
   * idempotency key.
   */
  readonly id: string
  /** 1 for the first try of this step in this run. */
  readonly attempt: number
  /** Aborts when the run's time is up, the runtime shuts down, or the step's own `timeout` has passed. */
  readonly signal: AbortSignal
}

export interface StepOptions {
  /**
   * Tries within the run. When they are used up the failure is final: it is remembered, and every later run
   * meets it again. Left out: tried once, and a failure is remembered by nobody; the message's own `retry`
   * decides what follows.
   */
  readonly retry?: Retry
  /** Time for one try. Default: what the run has left. */
  readonly timeout?: Duration
}

/** A button under a question: its value, or more about it. */
export type AnswerOption =
  | string
  | { readonly value: string; readonly label?: string; readonly selectedLabel?: string }
export type OptionValue<O extends AnswerOption> = O extends string
  ? O
  : O extends { readonly value: infer V extends string }
    ? V
    : never

export interface Question<O extends AnswerOption = AnswerOption> {
  readonly question: string
  /** The heading of the card. Default: the question, cut to 60 characters. */
  readonly title?: string
  /** Buttons, at most 10. Left out: any text is an answer. */
  readonly options?: readonly O[]
  /** The next chat message of the conversation is an answer, too. Default: true without options. */
  readonly freeText?: boolean
  /** Whom to ask; whatever is left out is copied from the message. */
  readonly to?: Pick<ReplyOptions, 'platformId' | 'channelType' | 'threadId'>
  /** Default: 30 days. */
  readonly timeout?: Duration
}

export interface Answer<V = string> {
  readonly value: V
  /** Who answered, as the platform calls them; null when the host does not say. */
  readonly userId: string | null
  readonly answeredAt: Date
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
  /**
   * The function's `version` when this message began; compare it with yours before you change what a step
   * means.
   */
  readonly version: number
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
  /**
   * Does something once. When `body` has succeeded and the promise has resolved, its result is on disk: no
   * retry, no restart and no later run of the message calls `body` again. Between its success and the disk
   * lies a moment in which a crash means that it runs again; `tools.id` makes that harmless. `name` is what
   * it is remembered by, and is used once in a run: text of 1 to 200 bytes. The result is what JSON keeps of
   * it, at most 1 MiB.
   * @throws StepFailed when it has failed for good: NonRetryableError, or `options.retry` is used up
   * @throws NonRetryableError with a code (`step_name_used`, `inside_step` and others, docs/errors.md) for
   *   wrong use
   */
  step<T>(
    name: string,
    body: (tools: StepTools) => T | PromiseLike<T>,
    options?: StepOptions,
  ): Promise<Stored<Awaited<T>>>
  /**
   * Frees the process for that long, or until then; a length counts from when it was first asked for. The
   * handler then runs again from the top. Up to a second it stays in the process, and nothing is remembered.
   */
  sleep(name: string, until: Duration | Date): Promise<void>
  /**
   * Asks a person and frees the process; the handler runs again from the top when the answer is on disk.
   * Null: nobody has answered in time. What the handler has replied before goes out with the question.
   * @throws NonRetryableError with the code `no_address` where neither the message nor `to` says whom to ask
   */
  ask<const O extends AnswerOption = string>(
    name: string,
    question: Question<O>,
  ): Promise<Answer<OptionValue<O>> | null>
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
   * What `ctx.version` is for messages that begin now. Raise it when you change what a step of running
   * messages means. Default 1.
   */
  readonly version?: number
  /**
   * What happens to later messages of its ordering key while a message waits (`ctx.sleep`, `ctx.ask`).
   * `free`: they run. `hold`: they wait, too. Default free.
   */
  readonly whileWaiting?: 'free' | 'hold'
  /**
   * Accept content that is not JSON, as text in `message.rawContent`. Default false: such a message fails.
   */
  readonly rawContent?: boolean
  readonly handler: Handler<Content>
}
