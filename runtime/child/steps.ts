// The steps of one run. A step's body is called unless its end is on record; its end is sent to the runtime,
// and the promise settles when it is on disk, so that nothing that follows can rest on a result which a crash
// forgets.
import type { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import { backoffMs } from '../protocol/backoff.ts'
import { parseDuration } from '../protocol/duration.ts'
import { type ErrorInfo, errorInfo, NonRetryableError, StepFailed } from '../protocol/errors.ts'
import type { StepOptions, StepTools, Stored } from '../protocol/handler.ts'
import { jsonOf } from '../protocol/json.ts'
import {
  type FinishedStep,
  JOURNAL_BYTES_MAX,
  type Journal,
  STEP_BYTES_MAX,
  STEP_NAME_BYTES_MAX,
  STEPS_MAX,
  type Step,
} from '../protocol/steps.ts'

/** The names of one run: each is used once, by a step or a wait. */
export class RunNames {
  readonly #bodies: StepBodies
  readonly #isOver: () => boolean
  readonly #used = new Set<string>()

  /** `isOver`: the handler has ended, and all of its steps; none begins from now on. */
  constructor({ bodies, isOver }: { readonly bodies: StepBodies; readonly isOver: () => boolean }) {
    this.#bodies = bodies
    this.#isOver = isOver
  }

  /** `what` is called with this name. @throws StepMisuse */
  use(what: string, name: string): void {
    this.#bodies.refuse(what)
    if (this.#isOver())
      throw new StepMisuse(
        'run_is_over',
        `${what} was called after the handler had ended; await what you start`,
      )
    const fault = nameFault(name)
    if (fault !== undefined)
      throw new StepMisuse(
        'step_name',
        `The name given to ${what} ${fault}; expected text of 1 to ${STEP_NAME_BYTES_MAX} bytes without control characters`,
      )
    if (this.#used.has(name))
      throw new StepMisuse(
        'step_name_used',
        `The name ${inQuotes(name)} is used twice in this run. Give each its own; in a loop for instance ${what}(\`${name} \${item.id}\`, …).`,
      )
    this.#used.add(name)
  }
}

interface StepsParts {
  readonly names: RunNames
  readonly bodies: StepBodies
  readonly scope: string
  /** Of the message. */
  readonly journal: Journal
  /** Of the run. */
  readonly signal: () => AbortSignal
  /** To the runtime, which answers with `kept`. */
  readonly send: (step: FinishedStep) => void
  readonly warn: (text: string) => void
  /** No step is under way any more. */
  readonly idle: () => void
}

/** Wrong use of a step: the same code would do the same again. */
export class StepMisuse extends NonRetryableError {
  readonly code: StepMisuseCode
  constructor(code: StepMisuseCode, message: string) {
    super(message)
    this.code = code
  }
}

type StepMisuseCode =
  | 'step_name'
  | 'step_kind'
  | 'no_address'
  | 'too_many_waits'
  | 'bad_question'
  | 'step_name_used'
  | 'inside_step'
  | 'unserialisable_step'
  | 'step_too_large'
  | 'journal_full'
  | 'run_is_over'

/** Under this name something else is on record. */
export function wrongKind(name: string, was: string, is: string): StepMisuse {
  return new StepMisuse(
    'step_kind',
    `The name ${inQuotes(name)} is on record as ${was} of this message, and is now used for ${is}. Give it another name.`,
  )
}

/** Which step the code that runs now belongs to; one for each process. */
export class StepBodies {
  /** Made with the first step of a process: before that an await costs nothing more. */
  #storage: AsyncLocalStorage<string> | undefined

  run<T>(name: string, body: () => T): T {
    this.#storage ??= new (process.getBuiltinModule('node:async_hooks').AsyncLocalStorage)()
    return this.#storage.run(name, body)
  }

  /**
   * @throws StepMisuse `inside_step` when the body of a step calls this: the body is not called again, and
   *   neither would this be
   */
  refuse(what: string): void {
    const name = this.#storage?.getStore()
    if (name === undefined) return
    throw new StepMisuse(
      'inside_step',
      `${what} was called inside the step ${inQuotes(name)}, whose body is not called again. Return the value from the step, and call ${what} after it.`,
    )
  }
}

export class Steps {
  readonly #parts: StepsParts
  readonly #recorded: ReadonlyMap<string, Step>
  readonly #waits: ReadonlySet<string>
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #unkept = new Map<string, () => void>()
  /** Steps that failed, and may succeed in a later run. */
  readonly #failed = new Map<string, unknown>()
  #count: number
  #bytes: number

  constructor(parts: StepsParts) {
    this.#parts = parts
    const { steps, waits } = parts.journal
    this.#waits = new Set(waits.map(({ name }) => name))
    this.#recorded = new Map(steps.map((step) => [step.name, step]))
    this.#count = steps.length
    this.#bytes = steps.reduce((sum, { value }) => sum + Buffer.byteLength(value ?? ''), 0)
  }

  step<T>(
    name: string,
    body: (tools: StepTools) => T | PromiseLike<T>,
    options: StepOptions = {},
  ): Promise<Stored<Awaited<T>>> {
    const step = this.#step(name, body, options)
    this.#underWay.add(step)
    // Only to know when it has ended: who called it sees how.
    const over = () => {
      this.#underWay.delete(step)
      if (this.#underWay.size === 0) this.#parts.idle()
    }
    step.then(over, over)
    return step
  }

  /** Some step is under way. */
  get isBusy(): boolean {
    return this.#underWay.size > 0
  }

  /** The runtime has written this one. */
  kept(name: string): void {
    this.#unkept.get(name)?.()
    this.#unkept.delete(name)
  }

  /** When all bodies have ended and are on disk. `succeeded`: the handler has. */
  async end(succeeded: boolean): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
    if (!succeeded) return
    for (const [name, error] of this.#failed)
      this.#parts.warn(
        `step ${inQuotes(name)} failed, and the handler went on without it: ${errorInfo(error).message}`,
      )
  }

  async #step<T>(
    name: string,
    body: (tools: StepTools) => T | PromiseLike<T>,
    options: StepOptions,
  ): Promise<Stored<Awaited<T>>> {
    this.#parts.names.use('ctx.step', name)
    const recorded = this.#recorded.get(name)
    if (this.#waits.has(name)) throw wrongKind(name, 'a wait', 'a step')
    if (recorded) return resultOf<T>(recorded)
    const policy = policyOf(name, options)
    if (typeof body !== 'function')
      throw new TypeError(`step ${inQuotes(name)} has ${typeof body} as its body; expected a function`)
    if (this.#count >= STEPS_MAX)
      throw new StepMisuse(
        'journal_full',
        `The message has ${this.#count} steps on record, and ${STEPS_MAX} is the most. Put several into one, or split the work into several messages.`,
      )
    this.#count++
    const startedMs = performance.now()
    const end = await this.#outcome(name, body, policy)
    if (end.state === 'done') this.#take(name, end.value)
    const step = { name, ...end, durationMs: Math.round((performance.now() - startedMs) * 1000) / 1000 }
    await new Promise<void>((resolve) => {
      this.#unkept.set(name, resolve)
      this.#parts.send(step)
    })
    return resultOf<T>(step)
  }

  /**
   * Tries until it succeeds, or the failure is final. Any other failure is thrown, and nothing is remembered.
   */
  async #outcome<T>(
    name: string,
    body: (tools: StepTools) => T | PromiseLike<T>,
    { attempts, minDelayMs, maxDelayMs, factor, timeoutMs }: StepPolicy,
  ): Promise<Pick<Step, 'state' | 'value'>> {
    const id = stepId(this.#parts.scope, this.#parts.journal.origin, name)
    const runSignal = this.#parts.signal()
    for (let attempt = 1; ; attempt++) {
      try {
        const value = await inTime(name, timeoutMs, runSignal, (signal) =>
          this.#parts.bodies.run(name, () => body({ id, attempt, signal })),
        )
        this.#failed.delete(name)
        return { state: 'done', value: textOf(name, value) }
      } catch (error) {
        if (error instanceof StepMisuse) throw error
        const { name: kind } = errorInfo(error)
        const isFinal = kind === 'NonRetryableError' || kind === 'StepFailed'
        const isLast = attempts !== undefined && attempt >= attempts
        if (isFinal || (isLast && kind !== 'RetryAfterError'))
          return { state: 'failed', value: JSON.stringify(errorInfo(error)) }
        this.#failed.set(name, error)
        if (attempts === undefined || kind === 'RetryAfterError' || runSignal.aborted) throw error
        await pauseOrAbort(backoffMs({ minMs: minDelayMs, maxMs: maxDelayMs, factor }, attempt), runSignal)
        if (runSignal.aborted) throw error
      }
    }
  }

  /** @throws StepMisuse when it has no room */
  #take(name: string, value: string | null): void {
    const bytes = value === null ? 0 : Buffer.byteLength(value)
    if (bytes > STEP_BYTES_MAX)
      throw new StepMisuse(
        'step_too_large',
        `The result of the step ${inQuotes(name)} has ${bytes} bytes, and ${STEP_BYTES_MAX} is the most. Write it to a file and return its name.`,
      )
    this.#bytes += bytes
    if (this.#bytes > JOURNAL_BYTES_MAX)
      throw new StepMisuse(
        'journal_full',
        `With the step ${inQuotes(name)} the results of this message have ${this.#bytes} bytes, and ${JOURNAL_BYTES_MAX} is the most. Return less from each step, or split the work into several messages.`,
      )
  }
}

interface StepPolicy {
  /** undefined: tried once, and its failure is not final. */
  readonly attempts: number | undefined
  readonly minDelayMs: number
  readonly maxDelayMs: number
  readonly factor: number
  readonly timeoutMs: number | undefined
}

const OPTIONS = ['retry', 'timeout']
const RETRY_OPTIONS = ['attempts', 'minDelay', 'maxDelay', 'factor']
/** setTimeout fires at once for more. */
const TIMER_MAX_MS = 2 ** 31 - 1

/** @throws TypeError that names what is wrong */
function policyOf(step: string, options: StepOptions): StepPolicy {
  refuseUnknown(step, '', options, OPTIONS)
  const { retry, timeout } = options
  if (retry !== undefined) refuseUnknown(step, 'retry.', retry, RETRY_OPTIONS)
  const { attempts = 5, minDelay = '1s', maxDelay = '5m', factor = 2 } = retry ?? {}
  if (!Number.isSafeInteger(attempts) || attempts < 1)
    throw new TypeError(
      `step ${inQuotes(step)}: retry.attempts is ${attempts}; expected a whole number from 1`,
    )
  if (!Number.isFinite(factor) || factor < 1)
    throw new TypeError(`step ${inQuotes(step)}: retry.factor is ${factor}; expected a number from 1`)
  return {
    attempts: retry === undefined ? undefined : attempts,
    minDelayMs: duration(step, 'retry.minDelay', minDelay),
    maxDelayMs: duration(step, 'retry.maxDelay', maxDelay),
    factor,
    timeoutMs: timeout === undefined ? undefined : duration(step, 'timeout', timeout),
  }
}

function refuseUnknown(step: string, prefix: string, options: object, legal: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !legal.includes(name))
  if (unknown !== undefined)
    throw new TypeError(
      `step ${inQuotes(step)} has no option ${prefix}${unknown}; legal are ${legal.join(', ')}`,
    )
}

function duration(step: string, name: string, value: unknown): number {
  const ms = parseDuration(value)
  if (ms === undefined)
    throw new TypeError(
      `step ${inQuotes(step)}: ${name} is ${JSON.stringify(value)}; expected milliseconds, or text such as '200ms', '5s', '2m'`,
    )
  return ms
}

function nameFault(name: unknown): string | undefined {
  if (typeof name !== 'string') return `is ${name === null ? 'null' : typeof name}`
  if (name === '') return 'is empty'
  const bytes = Buffer.byteLength(name)
  if (bytes > STEP_NAME_BYTES_MAX) return `has ${bytes} bytes`
  if (Buffer.from(name).toString() !== name) return 'is no well-formed text'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return /[\u0000-\u001f\u007f]/.test(name) ? 'has a control character' : undefined
}

/** The same for every try and every run, and for no other step of any message of any workspace. */
export function stepId(scope: string, message: string, name: string): string {
  return createHash('sha256')
    .update(JSON.stringify([scope, message, name]))
    .digest('hex')
    .slice(0, 32)
}

/**
 * The body's own result, or a TimeoutError when its time is up first; what it does afterwards is not looked
 * at.
 */
async function inTime<T>(
  name: string,
  timeoutMs: number | undefined,
  runSignal: AbortSignal,
  body: (signal: AbortSignal) => T | PromiseLike<T>,
): Promise<T> {
  if (timeoutMs === undefined) return body(runSignal)
  const own = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => {
        const error = new DOMException(
          `step ${inQuotes(name)} took longer than ${timeoutMs} ms`,
          'TimeoutError',
        )
        own.abort(error)
        reject(error)
      },
      Math.min(timeoutMs, TIMER_MAX_MS),
    )
  })
  try {
    return await Promise.race([body(AbortSignal.any([runSignal, own.signal])), late])
  } finally {
    clearTimeout(timer)
  }
}

/** Shorter where the run is aborted. */
export function pauseOrAbort(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', over)
      resolve()
    }
    const timer = setTimeout(over, Math.min(ms, TIMER_MAX_MS))
    signal.addEventListener('abort', over)
  })
}

/** null: undefined. @throws StepMisuse */
function textOf(name: string, value: unknown): string | null {
  if (value === undefined) return null
  const text = jsonOf(value, 'result')
  if ('fault' in text)
    throw new StepMisuse(
      'unserialisable_step',
      `The step ${inQuotes(name)} has a result that cannot be stored: ${text.fault}. Its body has run and would run again.`,
    )
  return text.json
}

/** As every later run sees it: what works in the first works in the next. */
function resultOf<T>({ name, state, value }: Step): Stored<Awaited<T>> {
  if (state === 'failed') throw new StepFailed(name, JSON.parse(value ?? '{}') as ErrorInfo)
  return (value === null ? undefined : JSON.parse(value)) as Stored<Awaited<T>>
}

export function inQuotes(name: string): string {
  return JSON.stringify(name)
}
