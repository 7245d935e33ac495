// The fields of a message, each checked and converted to its stored form. An error names the field, the value
// found and the values allowed; no file has been touched then.

import { CRON_FORMS } from '../protocol/cron.ts'
import { DURATION_FORMS, parseDuration } from '../protocol/duration.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { toJson } from '../protocol/json.ts'
import { isStorableText, shownValue } from '../protocol/text.ts'
import { isoTime, parseTime, sqliteTime } from '../protocol/time.ts'
import { firstOccurrence, formatRecurrence, parseRecurrence } from './recurrence.ts'

/** The instant and the time zone that the fields of one message are relative to. */
export interface FieldContext {
  readonly nowMs: number
  /** The same instant in ISO form. */
  readonly now: string
  readonly timeZone: string
  readonly newId: () => string
}

/** Long enough for any platform's ids joined together, short enough to index. */
const ID_CHARS_MAX = 1024
/** The last instant whose text form still sorts correctly: the year has four digits. */
const TIME_MAX_MS = Date.UTC(9999, 11, 31)
/** A number above this is an instant and not a duration: every clock since 1971 shows more. */
const LENGTH_MAX_MS = 366 * 86_400_000

const DATE_FORMS = "a Date, or ISO 8601 text such as '2026-11-24T06:02:20Z'"
const TIME_FORMS = `${DATE_FORMS}, or a length of time from now: ${DURATION_FORMS}`

export function idField(field: string, value: unknown): string {
  const text = textField(field, value)
  // Invalid bytes all decode to U+FFFD: two such ids would collide.
  if (text.length > ID_CHARS_MAX || text.includes('\uFFFD'))
    throw invalidField(field, value, `text of 1 to ${ID_CHARS_MAX} characters without U+FFFD`)
  return text
}

export function textField(field: string, value: unknown): string {
  if (!isStorableText(value))
    throw invalidField(field, value, 'non-empty text without NUL and without half a surrogate pair')
  return value
}

export function optionalTextField(field: string, value: unknown): string | null {
  return value === undefined || value === null ? null : textField(field, value)
}

export function flagField(field: string, value: unknown, byDefault: boolean): 0 | 1 {
  if (value !== undefined && typeof value !== 'boolean') throw invalidField(field, value, 'true or false')
  return (value ?? byDefault) ? 1 : 0
}

export function contentField(value: unknown): string {
  if (value === undefined) throw invalidField('content', value, 'a JSON value; null for no content')
  const text = toJson(value, 'content')
  if ('fault' in text) throw new NanoclawError('bad_message', text.fault)
  return text.json
}

/**
 * SQLite's form: every revision of the runner compares it correctly, the oldest compares only this form
 * correctly.
 */
export function processAfterField(value: unknown, nowMs: number): string | null {
  if (value === undefined || value === null) return null
  if (isInstant(value)) throw invalidField('processAfter', value, `${TIME_FORMS}. ${didYouMean(value)}`)
  const delayMs = parseDuration(value)
  const atMs = dateMs(value) ?? (delayMs === undefined ? undefined : nowMs + delayMs)
  if (atMs === undefined || atMs > TIME_MAX_MS) throw invalidField('processAfter', value, TIME_FORMS)
  return sqliteTime(Math.ceil(atMs))
}

export function timestampField(value: unknown, now: string): string {
  if (value === undefined) return now
  const atMs = dateMs(value)
  if (atMs === undefined)
    throw invalidField(
      'timestamp',
      value,
      isInstant(value) ? `${DATE_FORMS}. ${didYouMean(value)}` : DATE_FORMS,
    )
  return isoTime(atMs)
}

export interface RecurrenceField {
  readonly text: string
  /**
   * The host's zone where the recurrence names none. The task keeps it, whichever host makes the next
   * occurrence.
   */
  readonly timeZone: string | undefined
  /** The first occurrence from now on, in SQLite's form. */
  readonly firstAt: string
}

export function recurrenceField(value: unknown, nowMs: number, timeZone: string): RecurrenceField | null {
  if (value === undefined || value === null) return null
  const recurrence = typeof value === 'string' ? parseRecurrence(value) : value
  const { cron, timeZone: ownZone, ...rest } = recurrence as Record<string, unknown>
  const wellFormed = typeof cron === 'string' && (ownZone === undefined || typeof ownZone === 'string')
  if (!wellFormed || Object.keys(rest).length > 0)
    throw invalidField('recurrence', value, `${CRON_FORMS}; or { cron, timeZone } with one of these`)
  const checked = ownZone === undefined ? { cron } : { cron, timeZone: ownZone }
  try {
    const firstMs = firstOccurrence(checked, nowMs, timeZone)
    const hostZone = ownZone === undefined ? timeZone : undefined
    return { text: formatRecurrence(checked), firstAt: sqliteTime(firstMs), timeZone: hostZone }
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new NanoclawError('bad_message', `recurrence: ${cause.message}; expected ${CRON_FORMS}`, { cause })
  }
}

export function unknownField(name: string, known: Iterable<string>): NanoclawError {
  return new NanoclawError(
    'bad_message',
    `there is no field ${shownValue(name)}; expected ${[...known].join(', ')}`,
  )
}

export function invalidField(field: string, found: unknown, legal: string, cause?: unknown): NanoclawError {
  const text = `${field} is ${shownValue(found)}; expected ${legal}`
  return new NanoclawError('bad_message', text, cause === undefined ? undefined : { cause })
}

/** Milliseconds since 1970 from a Date or text; undefined where the files cannot hold it. */
function dateMs(value: unknown): number | undefined {
  let atMs: number | undefined
  if (value instanceof Date) atMs = value.getTime()
  else if (typeof value === 'string') atMs = parseTime(value.trim())
  return atMs !== undefined && atMs >= 0 && atMs <= TIME_MAX_MS ? atMs : undefined
}

/** Milliseconds since 1970 passed as a duration: it would be decades long. */
export function isInstant(value: unknown): boolean {
  const isNumber =
    typeof value === 'number' || (typeof value === 'string' && /^\s*\d+(\.\d+)?\s*$/.test(value))
  return isNumber && Number(value) > LENGTH_MAX_MS
}

export function didYouMean(value: unknown): string {
  return `Did you mean new Date(${Number(value)})?`
}
