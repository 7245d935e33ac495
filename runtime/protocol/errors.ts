// Errors that carry a code. Each says what happened, to which thing, what was expected and what to do next;
// docs/errors.md lists the codes. The first two are for handlers to throw.

/** Thrown by a handler: this message will never succeed, so do not try again. */
export class NonRetryableError extends Error {
  override readonly name = 'NonRetryableError'
}

/** Thrown by a handler: try again, but not before `retryAfter` (milliseconds, a duration text, or a Date). */
export class RetryAfterError extends Error {
  override readonly name = 'RetryAfterError'
  readonly retryAfter: number | string | Date
  constructor(message: string, retryAfter: number | string | Date, options?: ErrorOptions) {
    super(message, options)
    this.retryAfter = retryAfter
  }
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
}

/** An error is sent, stored and shown once per attempt, so what it says has an end. */
const NAME_CHARS_MAX = 200
const MESSAGE_CHARS_MAX = 64_000
const STACK_CHARS_MAX = 8_000

/** Never throws, whatever was thrown: strings, undefined and objects with hostile getters included. */
export function errorInfo(thrown: unknown): ErrorInfo {
  try {
    if (thrown instanceof Error || (typeof thrown === 'object' && thrown !== null && 'message' in thrown)) {
      const { name, message, stack } = thrown as Partial<Error>
      const info = {
        name: String(name ?? 'Error').slice(0, NAME_CHARS_MAX),
        message: String(message).slice(0, MESSAGE_CHARS_MAX),
      }
      return stack === undefined ? info : { ...info, stack: String(stack).slice(0, STACK_CHARS_MAX) }
    }
    const said = typeof thrown === 'string' ? thrown : `thrown value: ${JSON.stringify(thrown)}`
    return { name: typeof thrown, message: said.slice(0, MESSAGE_CHARS_MAX) }
  } catch {
    return { name: typeof thrown, message: 'a thrown value that cannot be read' }
  }
}

/** One line for people: the error's own words, without its class where that says nothing. */
export function errorText(thrown: unknown): string {
  const { name, message } = errorInfo(thrown)
  return name === 'Error' || name === 'NanoclawError' ? message : `${name}: ${message}`
}
