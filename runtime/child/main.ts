// The child process: loads one function, runs the messages that the parent sends, one at a time, and reports
// results. Bundled together with the user's module, so it uses node: built-ins only and shares its process
// with untrusted code; the parent checks every report. It ends when its parent ends.
import { errorInfo } from '../protocol/errors.ts'
import type { Handler, HandlerMessage } from '../protocol/handler.ts'
import type { ChildSetup, Dispatch, Report, Result } from '../protocol/ipc.ts'
import { type Order, unpack } from '../protocol/wire.ts'
import { type SendReport, takeSend } from './channel.ts'
import { HandlerRun } from './run.ts'
import { mapStacks } from './stack.ts'
import { StepBodies } from './steps.ts'

/** After this time a running message returns the messages behind it, so that another child can run them. */
const HAND_BACK_MS = 20

/** Never returns control: loads the module, reports its definition, then handles orders. */
export function serve(load: () => Promise<Record<string, unknown>>): void {
  const send = takeSend()
  if (!send) throw new Error('A function bundle is started by the runtime, not by hand.')
  const setup = JSON.parse(process.argv[2] ?? '{}') as ChildSetup
  mapStacks(process.argv[1] ?? '')
  const worker = new Worker(setup, (report) => say(report, send))
  // The parent may have died before the parent-death signal was set.
  if (process.ppid !== setup.parent) process.exit(0)
  if (setup.watchParent) dieWith(setup.parent)
  process.on('message', (order: Order) => worker.obey(order))
  process.on('disconnect', () => process.exit(0))
  process.on('uncaughtException', (error) => worker.uncaught(error))
  process.on('unhandledRejection', (reason) => worker.uncaught(reason))
  worker.load(load)
}

/**
 * The parent may have ended before a listener was set; each failed report would cause another uncaught error,
 * for ever.
 */
function say(report: Report, send: SendReport): void {
  if (!process.connected) process.exit(0)
  send(report)
}

/**
 * A thread checks, since a handler may block this one for ever. Usually the end of the channel ends the
 * process.
 */
function dieWith(parentPid: number): void {
  const watch = `setInterval(() => process.ppid === ${parentPid} || process.kill(process.pid, 'SIGKILL'), 250)`
  // Loaded here, since most children need none.
  const { Worker: Thread } = process.getBuiltinModule('node:worker_threads')
  new Thread(watch, { eval: true, stdin: false }).unref()
}

class Worker {
  readonly #setup: ChildSetup
  readonly #bodies = new StepBodies()
  readonly #send: (report: Report) => void
  #handler: Handler | undefined
  #rawContent = false
  #version = 1
  /** Active resources of the process before its handlers began. */
  #resources = 0
  #queue: Dispatch[] = []
  #current: HandlerRun | undefined
  #results: Result[] = []
  #flushing = false
  #working = false

  constructor(setup: ChildSetup, send: (report: Report) => void) {
    this.#setup = setup
    this.#send = send
  }

  async load(load: () => Promise<Record<string, unknown>>): Promise<void> {
    try {
      const exported = unwrap(await load())
      const definition = typeof exported === 'function' ? { handler: exported } : exported
      if (
        typeof definition === 'object' &&
        definition !== null &&
        'handler' in definition &&
        typeof definition.handler === 'function'
      ) {
        this.#handler = definition.handler as Handler
        this.#rawContent = 'rawContent' in definition && definition.rawContent === true
        if ('version' in definition) this.#version = Number(definition.version)
      }
      this.#send({ type: 'loaded', definition: describe(definition, 0) })
    } catch (error) {
      this.#send({ type: 'not-loaded', error: errorInfo(error) })
    }
  }

  obey(order: Order): void {
    if (order.type === 'abort') {
      if (this.#current?.n === order.n) this.#current.abort(order.why)
      return
    }
    if (order.type === 'kept') {
      if (this.#current?.n === order.n) this.#current.kept(order.name)
      return
    }
    this.#queue.push(...unpack(order))
    if (!this.#working) void this.#work()
  }

  uncaught(thrown: unknown): void {
    this.#flush()
    this.#send({ type: this.#handler ? 'uncaught' : 'not-loaded', error: errorInfo(thrown) })
  }

  async #work(): Promise<void> {
    this.#working = true
    const impatience = setInterval(() => this.#handBack('handed-back', () => true), HAND_BACK_MS)
    this.#resources = process.getActiveResourcesInfo().length
    for (let dispatch = this.#queue.shift(); dispatch; dispatch = this.#queue.shift()) {
      impatience.refresh()
      const result = await this.#handle(dispatch)
      this.#current = undefined
      this.#report(result)
      const { lane } = dispatch
      if (result.end === 'suspended' && !result.isQuiet) this.#handBack('handed-back', () => true)
      if (result.end !== 'replied' && lane !== '')
        this.#handBack('behind-a-failure', (behind) => behind.lane === lane)
    }
    clearInterval(impatience)
    this.#working = false
    this.#flush()
  }

  #handle(dispatch: Dispatch): Result | Promise<Result> {
    const { n, message } = dispatch
    let content: unknown
    try {
      content = JSON.parse(message.content)
    } catch (error) {
      if (!this.#rawContent) return { n, ms: 0, end: 'bad-message', error: errorInfo(error) }
    }
    const parsed = Object.assign(
      message,
      { content },
      this.#rawContent ? { rawContent: message.content } : {},
    ) as HandlerMessage
    this.#current = new HandlerRun(dispatch, parsed, {
      setup: this.#setup,
      bodies: this.#bodies,
      send: (report) => {
        // What is on record of a message must not come before the ends of those in front of it.
        if (report.type === 'step') this.#flush()
        this.#send(report)
      },
      version: this.#version,
      resources: this.#resources,
    })
    return this.#current.run(this.#handler!)
  }

  /** Batches the results of handlers that end synchronously; flushes as soon as a handler waits. */
  #report(result: Result): void {
    this.#results.push(result)
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => this.#flush())
  }

  #flush(): void {
    this.#flushing = false
    if (this.#results.length > 0) this.#send({ type: 'results', results: this.#results.splice(0) })
  }

  #handBack(why: 'handed-back' | 'behind-a-failure', which: (dispatch: Dispatch) => boolean): void {
    const back = this.#queue.filter(which)
    if (back.length === 0) return
    this.#queue = this.#queue.filter((dispatch) => !which(dispatch))
    for (const { n } of back) this.#report({ n, ms: 0, end: 'back', why })
  }
}

/** The default export, also of a CommonJS module and of one compiled from an ES module. */
function unwrap(module: Record<string, unknown>): unknown {
  const exported = module.default
  const inner =
    typeof exported === 'object' && exported !== null && '__esModule' in exported && 'default' in exported
  return inner ? exported.default : exported
}

const DEPTH_MAX = 6

/**
 * The definition as JSON; other values become a description of their type, so that the parent can name them
 * in an error.
 */
function describe(value: unknown, depth: number): unknown {
  if (value === undefined || value === null || typeof value === 'string' || typeof value === 'boolean')
    return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : `[${value}]`
  if (typeof value !== 'object') return `[${typeof value}]`
  if (depth > DEPTH_MAX) return '[too deep]'
  if (Array.isArray(value)) return value.map((item) => describe(item, depth + 1))
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype)
    return `[${prototype.constructor?.name ?? 'object'}]`
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, describe(item, depth + 1)]))
}
