// Errors with a code. Each says what happened, to which thing, what was expected and what to do next;
// docs/errors.md lists the codes. Handlers throw the first two.

/** Thrown by a handler: this message can never succeed, so the runtime does not retry it. */
export class NonRetryableError extends Error {
  override readonly name = 'NonRetryableError'
}

/**
 * Thrown by a handler: the runtime retries, but not before `retryAfter` (milliseconds, a duration text, or a
 * Date).
 */
export class RetryAfterError extends Error {
  override readonly name = 'RetryAfterError'
  readonly retryAfter: number | string | Date
  constructor(message: string, retryAfter: number | string | Date, options?: ErrorOptions) {
    super(message, options)
    this.retryAfter = retryAfter
  }
}

/** Thrown by `ctx.step`, in this run and in each later one: the step has failed for good. `cause`: how. */
export class StepFailed extends Error {
  override readonly name = 'StepFailed'
  readonly step: string
  constructor(step: string, cause: ErrorInfo) {
    super(`step ${JSON.stringify(step)} failed: ${cause.message}`, { cause: revived(cause) })
    this.step = step
  }
}

/** An error that was stored. */
function revived({ name, message, stack, code, cause, errors }: ErrorInfo): Error {
  const options = cause && { cause: revived(cause) }
  const error = errors
    ? new AggregateError(errors.map(revived), message, options)
    : new Error(message, options)
  return Object.assign(error, {
    name,
    ...(stack !== undefined && { stack }),
    ...(code !== undefined && { code }),
  })
}

export type ErrorCode =
  | 'bad_config'
  | 'bad_function'
  | 'bad_usage'
  | 'bad_message'
  | 'locked'
  | 'fenced'
  | 'outbound_unusable'
  | 'inbound_unusable'
  | 'not_readable_yet'

export class NanoclawError extends Error {
  override readonly name = 'NanoclawError'
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** An error as data: what a child reports, what a run records, what `show` prints. */
export interface ErrorInfo {
  readonly name: string
  readonly message: string
  readonly stack?: string
  /** The code of a system or library error: `ECONNREFUSED`. */
  readonly code?: string
  readonly cause?: ErrorInfo
  /** The parts of an AggregateError. */
  readonly errors?: readonly ErrorInfo[]
}

/** Limits of an error's texts: it is sent, stored and shown once per attempt. */
const NAME_CHARS_MAX = 200
const MESSAGE_CHARS_MAX = 64_000
const STACK_CHARS_MAX = 8_000
const CODE_CHARS_MAX = 100
/** Limit for a cause or a part: there may be several, and the first lines are the most useful. */
const INNER_MESSAGE_CHARS_MAX = 2_000
const INNER_STACK_CHARS_MAX = 2_000
/** How many errors one may contain, and how deep: more is a chain built in a loop. */
export const INNER_MAX = 10
export const INNER_DEPTH_MAX = 5
const INNER_LINE_CHARS_MAX = 200

/** Never throws, whatever was thrown: strings, undefined and objects with hostile getters included. */
export function errorInfo(thrown: unknown): ErrorInfo {
  return infoOf(thrown, { seen: new Set(), left: INNER_MAX }, 0)
}

/** The size used so far; `seen`: causes may form a cycle. */
interface Walk {
  readonly seen: Set<unknown>
  left: number
}

function infoOf(thrown: unknown, walk: Walk, depth: number): ErrorInfo {
  const [messageMax, stackMax] =
    depth === 0 ? [MESSAGE_CHARS_MAX, STACK_CHARS_MAX] : [INNER_MESSAGE_CHARS_MAX, INNER_STACK_CHARS_MAX]
  walk.seen.add(thrown)
  try {
    if (isErrorLike(thrown)) {
      const { name, message, stack } = thrown
      // The stack comes last: terminals cut long lines at their end.
      return {
        name: String(name ?? 'Error').slice(0, NAME_CHARS_MAX),
        message: String(message).slice(0, messageMax),
        ...codeOf(thrown),
        ...innerOf(thrown, walk, depth + 1),
        ...(stack !== undefined && { stack: String(stack).slice(0, stackMax) }),
      }
    }
    const said = typeof thrown === 'string' ? thrown : `thrown value: ${JSON.stringify(thrown)}`
    return { name: typeof thrown, message: said.slice(0, messageMax) }
  } catch {
    return { name: typeof thrown, message: 'a thrown value that is not readable' }
  }
}

function isErrorLike(thrown: unknown): thrown is Partial<Error> {
  return thrown instanceof Error || (typeof thrown === 'object' && thrown !== null && 'message' in thrown)
}

/** The numeric code of a DOMException is less useful than its name. */
function codeOf(thrown: object): Pick<ErrorInfo, 'code'> {
  const code = read(thrown, 'code')
  const says =
    typeof code === 'string' ? code !== '' : Number.isFinite(code) && !(thrown instanceof DOMException)
  return says ? { code: String(code).slice(0, CODE_CHARS_MAX) } : {}
}

function innerOf(thrown: object, walk: Walk, depth: number): Pick<ErrorInfo, 'cause' | 'errors'> {
  if (depth > INNER_DEPTH_MAX) return {}
  const cause = read(thrown, 'cause')
  const parts = read(thrown, 'errors')
  const inner: { cause?: ErrorInfo; errors?: ErrorInfo[] } = {}
  if (cause !== undefined && cause !== null && takes(cause, walk)) inner.cause = infoOf(cause, walk, depth)
  if (!Array.isArray(parts) || !(thrown instanceof Error)) return inner
  const errors: ErrorInfo[] = []
  for (const part of parts.slice(0, INNER_MAX)) if (takes(part, walk)) errors.push(infoOf(part, walk, depth))
  return errors.length > 0 ? { ...inner, errors } : inner
}

function takes(inner: unknown, walk: Walk): boolean {
  if (walk.left === 0 || (typeof inner === 'object' && walk.seen.has(inner))) return false
  walk.left--
  return true
}

/** A getter that throws hides its own value only. */
function read(thrown: object, name: string): unknown {
  try {
    return Reflect.get(thrown, name)
  } catch {
    return undefined
  }
}

/** One line for people: the message, without a plain `Error` as class, and its causes. */
export function errorText(thrown: unknown): string {
  const info = errorInfo(thrown)
  // NanoclawErrors have their causes in their text.
  return info.name === 'NanoclawError' ? info.message : headText(info, info.message) + causesText(info)
}

/**
 * `; caused by Error: connect ECONNREFUSED 127.0.0.1:9`: causes that the message does not contain yet; '':
 * none.
 */
export function causesText(info: ErrorInfo): string {
  let text = headText(info, info.message)
  const own = text.length
  for (const { word, error } of innerErrors(info)) {
    const line = lineText(error)
    if (line !== '' && !text.includes(error.message || line)) text += `; ${word} ${line}`
  }
  return text.slice(own)
}

/** Causes and parts, each before its own causes. */
export function innerErrors({
  cause,
  errors,
}: Pick<ErrorInfo, 'cause' | 'errors'>): { readonly word: string; readonly error: ErrorInfo }[] {
  return [
    ...(cause ? [{ word: 'caused by', error: cause }] : []),
    ...(errors ?? []).map((error) => ({ word: 'with', error })),
  ].flatMap((each) => [each, ...innerErrors(each.error)])
}

/** The first line of an error. */
export function lineText(info: ErrorInfo): string {
  const [first = ''] = info.message.split('\n')
  return headText(info, first).slice(0, INNER_LINE_CHARS_MAX)
}

function headText({ name, code }: ErrorInfo, message: string): string {
  const words = message === '' ? (code ?? '') : message
  const more = code === undefined || words.includes(code) ? '' : ` (${code})`
  if (name === 'Error') return words + more
  return words === '' ? name : `${name}: ${words}${more}`
}
