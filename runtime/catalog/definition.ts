// Checks a definition and fills in defaults: the only way from a definition to a FunctionSpec. No value is
// coerced: it is legal or a fault, and all faults of a file are reported at once.
import { DURATION_FORMS, formatDuration, parseDuration } from '../protocol/duration.ts'
import { NanoclawError } from '../protocol/errors.ts'
import type { FunctionSpec, RetryPolicy } from '../protocol/function.ts'
import type { FunctionDefinition, Retry } from '../protocol/handler.ts'
import type { FunctionSource } from './discover.ts'
import { describe, Faults, isFields } from './faults.ts'
import { parseKey, parseRule } from './parse-rule.ts'

export interface FunctionDefaults {
  readonly timeoutMs: number
  readonly retry: RetryPolicy
  readonly concurrency: number
}

const FIELDS = [
  'on',
  'timeout',
  'retry',
  'concurrency',
  'key',
  'version',
  'whileWaiting',
  'rawContent',
  'handler',
] as const satisfies readonly (keyof FunctionDefinition)[]
const RETRY_FIELDS = [
  'attempts',
  'minDelay',
  'maxDelay',
  'factor',
] as const satisfies readonly (keyof Retry)[]

const ATTEMPTS_MAX = 100
const FACTOR_MAX = 10
const CONCURRENCY_MAX = 1000
const VERSION_MAX = 1_000_000

const EXPORT_FORMS =
  'export default defineFunction({ handler(message, ctx) { … } }), or export default (message, ctx) => { … }'

/**
 * The spec of one function. `raw` is its default export as the child reported it: `{ handler: '[function]' }`
 * for a bare function, otherwise the object, where a text such as `[function]` replaces a value that JSON
 * does not have.
 * @throws NanoclawError `bad_function`, one line per fault: file, field, found value, legal values.
 */
export function parseDefinition(
  raw: unknown,
  source: FunctionSource,
  bundle: string,
  defaults: FunctionDefaults,
): FunctionSpec {
  if (!isFields(raw)) throw new NanoclawError('bad_function', noDefinition(source.file, raw))
  const faults = new Faults(source.file)
  faults.unknownFields('', raw, FIELDS)
  if (raw.handler !== '[function]') faults.wrong('handler', raw.handler, `a function: ${EXPORT_FORMS}`)
  const spec: FunctionSpec = {
    name: source.name,
    file: source.file,
    rule: parseRule(raw.on, source.name, faults),
    timeoutMs: timeoutOf(raw.timeout, defaults.timeoutMs, faults),
    retry: retryOf(raw.retry, defaults.retry, faults),
    concurrency: integerOf('concurrency', raw.concurrency, CONCURRENCY_MAX, defaults.concurrency, faults),
    key: parseKey(raw.key, faults),
    version: integerOf('version', raw.version, VERSION_MAX, 1, faults),
    holdsWhileWaiting: holdsOf(raw.whileWaiting, faults),
    rawContent: flagOf('rawContent', raw.rawContent, faults),
    bundle,
  }
  faults.throwIfAny()
  return spec
}

function noDefinition(file: string, raw: unknown): string {
  const found =
    raw === undefined || raw === null ? 'has no default export' : `exports ${describe(raw)} by default`
  return `${file} ${found}; expected a handler: ${EXPORT_FORMS}`
}

function timeoutOf(value: unknown, preset: number, faults: Faults): number {
  const timeoutMs = lengthOf('timeout', value, preset, faults)
  if (timeoutMs === 0) faults.wrong('timeout', value, `more than 0: ${DURATION_FORMS}`)
  return timeoutMs
}

function retryOf(value: unknown, preset: RetryPolicy, faults: Faults): RetryPolicy {
  if (value === undefined) return preset
  if (!isFields(value)) {
    faults.wrong('retry', value, `an object of ${RETRY_FIELDS.join(', ')}, such as { attempts: 3 }`)
    return preset
  }
  faults.unknownFields('retry.', value, RETRY_FIELDS)
  return {
    attempts: integerOf('retry.attempts', value.attempts, ATTEMPTS_MAX, preset.attempts, faults),
    ...delaysOf(value, preset, faults),
    factor: factorOf(value.factor, preset.factor, faults),
  }
}

/**
 * Where only one limit is given, the default of the other one is adjusted: `{ maxDelay: '100ms' }` is legal.
 */
function delaysOf(
  { minDelay, maxDelay }: { readonly minDelay?: unknown; readonly maxDelay?: unknown },
  preset: RetryPolicy,
  faults: Faults,
): Pick<RetryPolicy, 'minDelayMs' | 'maxDelayMs'> {
  const minDelayMs = lengthOf('retry.minDelay', minDelay, preset.minDelayMs, faults)
  const maxDelayMs = lengthOf('retry.maxDelay', maxDelay, preset.maxDelayMs, faults)
  if (minDelayMs <= maxDelayMs) return { minDelayMs, maxDelayMs }
  if (maxDelay === undefined) return { minDelayMs, maxDelayMs: minDelayMs }
  if (minDelay !== undefined)
    faults.wrong('retry.minDelay', minDelay, `at most retry.maxDelay, which is ${formatDuration(maxDelayMs)}`)
  return { minDelayMs: maxDelayMs, maxDelayMs }
}

function lengthOf(field: string, value: unknown, preset: number, faults: Faults): number {
  if (value === undefined) return preset
  const lengthMs = parseDuration(value)
  if (lengthMs === undefined) faults.wrong(field, value, DURATION_FORMS)
  return lengthMs ?? preset
}

function holdsOf(value: unknown, faults: Faults): boolean {
  if (value !== undefined && value !== 'free' && value !== 'hold')
    faults.wrong('whileWaiting', value, `'free' or 'hold'`)
  return value === 'hold'
}

function factorOf(value: unknown, preset: number, faults: Faults): number {
  if (value === undefined) return preset
  if (typeof value === 'number' && value >= 1 && value <= FACTOR_MAX) return value
  faults.wrong('retry.factor', value, `a number from 1 to ${FACTOR_MAX}`)
  return preset
}

function integerOf(field: string, value: unknown, max: number, preset: number, faults: Faults): number {
  if (value === undefined) return preset
  if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= max) return Number(value)
  faults.wrong(field, value, `a whole number from 1 to ${max}`)
  return preset
}

function flagOf(field: string, value: unknown, faults: Faults): boolean {
  if (value !== undefined && typeof value !== 'boolean') faults.wrong(field, value, 'true or false')
  return value === true
}
