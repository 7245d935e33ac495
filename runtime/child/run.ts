// One run of a handler: its context and its one Result.
import { errorInfo } from '../protocol/errors.ts'
import type {
  Answer,
  AnswerOption,
  Context,
  Handler,
  HandlerMessage,
  Logger,
  OptionValue,
  Question,
  ReplyOptions,
  StepOptions,
  StepTools,
  Stored,
} from '../protocol/handler.ts'
import type { ChildSetup, Dispatch, Report, Result } from '../protocol/ipc.ts'
import type { Journal } from '../protocol/steps.ts'
import { Replies } from './replies.ts'
import { RunLog } from './run-log.ts'
import { RunNames, type StepBodies, Steps } from './steps.ts'
import { badReplyReason, retryWish } from './thrown.ts'
import { type Suspension, Waits } from './waits.ts'

/** What the runs of one process share. */
export interface RunParts {
  readonly setup: ChildSetup
  readonly bodies: StepBodies
  readonly send: (report: Report) => void
  /** Of the function that is loaded. */
  readonly version: number
  /** Active resources of the process before a handler began: with no more than these it is quiet. */
  readonly resources: number
}

export class HandlerRun implements Context {
  readonly #n: number
  readonly functionName: string
  readonly attempt: number
  readonly deadline: number
  readonly #scope: string
  readonly #journal: Journal
  readonly #message: HandlerMessage
  /** As it came: the handler may change it. */
  readonly #messageId: string
  readonly #parts: RunParts
  readonly #replies: Replies
  #log: RunLog | undefined
  #names: RunNames | undefined
  #steps: Steps | undefined
  #waits: Waits | undefined
  #controller: AbortController | undefined
  #suspend: (suspension: Suspension) => void = () => undefined
  #ended = false

  constructor(dispatch: Dispatch, message: HandlerMessage, parts: RunParts) {
    this.#n = dispatch.n
    this.#scope = dispatch.scope
    this.#journal = dispatch.journal ?? { origin: message.id, version: null, steps: [], waits: [] }
    this.functionName = parts.setup.functionName
    this.attempt = dispatch.attempt
    this.deadline = Date.now() + dispatch.timeoutMs
    this.#message = message
    this.#messageId = message.id
    this.#parts = parts
    this.#replies = new Replies(message, parts.setup.maxReplyBytes)
    this.reply = this.reply.bind(this)
    this.step = this.step.bind(this)
    this.sleep = this.sleep.bind(this)
    this.ask = this.ask.bind(this)
  }

  get n(): number {
    return this.#n
  }

  get version(): number {
    return this.#journal.version ?? this.#parts.version
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  get log(): Logger {
    this.#log ??= new RunLog(this.#n, this.#parts.setup.maxLogBytes, this.#parts.send)
    return this.#log
  }

  get replyId(): string {
    return this.#replies.nextId
  }

  reply(content: unknown, options: ReplyOptions = {}): void {
    if (this.#ended)
      throw new TypeError(
        'ctx.reply was called after the handler had ended; await every promise that the handler starts',
      )
    this.#parts.bodies.refuse('ctx.reply')
    this.#replies.add(content, options)
  }

  step<T>(
    name: string,
    body: (tools: StepTools) => T | PromiseLike<T>,
    options?: StepOptions,
  ): Promise<Stored<Awaited<T>>> {
    return this.#theSteps.step(name, body, options)
  }

  sleep(name: string, until: number | string | Date): Promise<void> {
    return this.#theWaits.sleep(name, until)
  }

  ask<const O extends AnswerOption = string>(
    name: string,
    question: Question<O>,
  ): Promise<Answer<OptionValue<O>> | null> {
    return this.#theWaits.ask(name, question) as Promise<Answer<OptionValue<O>> | null>
  }

  /** The runtime has written this step. */
  kept(name: string): void {
    this.#steps?.kept(name)
  }

  abort(why: 'timeout' | 'shutdown'): void {
    const text = why === 'timeout' ? 'The time limit of this attempt has passed.' : 'The runtime shuts down.'
    this.#controller ??= new AbortController()
    this.#controller.abort(new DOMException(text, why === 'timeout' ? 'TimeoutError' : 'AbortError'))
  }

  /** Of a run that is suspended the handler never goes on; what it holds is collected with it. */
  run(handler: Handler): Promise<Result> {
    const startedMs = performance.now()
    return new Promise((resolve) => {
      const end = (result: Result) => {
        this.#ended = true
        resolve(result)
      }
      this.#suspend = (suspension) =>
        end({ n: this.#n, ms: since(startedMs), end: 'suspended', from: this.#replies.from, ...suspension })
      void this.#end(handler, startedMs).then((result) => {
        if (!this.#ended) end(result)
      })
    })
  }

  async #end(handler: Handler, startedMs: number): Promise<Result> {
    try {
      const returned = await this.#handle(handler)
      if (returned !== undefined && returned !== null && !this.#ended) this.reply(returned)
      const { list: replies, from } = this.#replies
      return { n: this.#n, ms: since(startedMs), end: 'replied', replies, ...(from > 0 && { from }) }
    } catch (thrown) {
      const end = { n: this.#n, ms: since(startedMs), error: errorInfo(thrown) }
      const reason = badReplyReason(thrown)
      return reason === undefined
        ? { ...end, end: 'threw', retry: retryWish(thrown) }
        : { ...end, end: 'bad-reply', reason }
    }
  }

  /** The handler, and then what it has started and not awaited. */
  async #handle(handler: Handler): Promise<unknown> {
    let succeeded = false
    try {
      const returned = await handler(this.#message, this)
      succeeded = true
      return returned
    } finally {
      this.#waits?.close()
      await this.#steps?.end(succeeded)
    }
  }

  get #theNames(): RunNames {
    this.#names ??= new RunNames({ bodies: this.#parts.bodies, isOver: () => this.#ended })
    return this.#names
  }

  get #theSteps(): Steps {
    this.#steps ??= new Steps({
      names: this.#theNames,
      bodies: this.#parts.bodies,
      scope: this.#scope,
      journal: this.#journal,
      signal: () => this.signal,
      send: (step) => this.#parts.send({ type: 'step', n: this.#n, ...step }),
      warn: (text) => this.log.warn(text),
      idle: () => this.#waits?.look(),
    })
    return this.#steps
  }

  get #theWaits(): Waits {
    this.#waits ??= new Waits({
      names: this.#theNames,
      scope: this.#scope,
      messageId: this.#messageId,
      waits: this.#journal.waits,
      replies: this.#replies,
      signal: () => this.signal,
      isBusy: () => this.#steps?.isBusy ?? false,
      resources: this.#parts.resources,
      suspend: (suspension) => this.#suspend(suspension),
    })
    return this.#waits
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
