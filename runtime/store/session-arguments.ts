// The arguments of a session's calls, checked before a file is touched. An error names the call, the
// argument, what was found, what is legal, and what to do.
import { NanoclawError } from '../protocol/errors.ts'
import { nearest } from '../protocol/nearest.ts'
import type { Reply } from '../protocol/outcome.ts'
import { isStorableText, shownValue } from '../protocol/text.ts'

/** A row for messages_out. */
export interface NewReply extends Pick<Reply, 'kind' | 'content'>, Partial<Omit<Reply, 'kind' | 'content'>> {
  /** A new one by default. The same id twice is one row. With files in outbox/, a plain name of a folder. */
  readonly id?: string
  /** The message that it answers; null: none. */
  readonly inReplyTo?: string | null
}

/** More in one call is a slip: they would all be held in memory. */
const LIMIT_MAX = 10_000
const CRASH_LIMIT_MAX = 1_000
/** The last instant whose text still sorts: the year has four digits. */
const TIME_MAX_MS = Date.UTC(9999, 11, 31)

const ID = 'text that is not empty, without NUL and without half a surrogate pair'
const TEXT_OR_NULL = `${ID}, or null`

const FIELDS: Readonly<
  Record<keyof NewReply, { readonly isLegal: (value: unknown) => boolean; readonly legal: string }>
> = {
  id: {
    isLegal: (value) => value === undefined || isStorableText(value),
    legal: `${ID}; or leave it out, and one is made`,
  },
  inReplyTo: { isLegal: isTextOrNone, legal: `the id of a message: ${TEXT_OR_NULL}` },
  kind: { isLegal: isStorableText, legal: `the kind, such as 'chat': ${ID}` },
  content: { isLegal: isJson, legal: 'JSON text; write JSON.stringify({ text: … })' },
  platformId: { isLegal: isTextOrNone, legal: TEXT_OR_NULL },
  channelType: { isLegal: isTextOrNone, legal: TEXT_OR_NULL },
  threadId: { isLegal: isTextOrNone, legal: TEXT_OR_NULL },
  deliverAfterMs: {
    isLegal: (value) => value === undefined || value === null || isWhole(value, 0, TIME_MAX_MS),
    legal: 'milliseconds since 1970, or null for at once; write date.getTime()',
  },
}

export function checkFolder(value: unknown): string {
  if (isStorableText(value)) return value
  throw wrong('openSession', 'folder', value, 'the path of a session folder, such as ./sessions/alice')
}

export function checkCrashLimit(value: unknown): void {
  if (!isWhole(value, 1, CRASH_LIMIT_MAX))
    throw wrong(
      'openSession',
      'crashLimit',
      value,
      `a whole number from 1 to ${CRASH_LIMIT_MAX}; or leave it out`,
    )
}

export function checkLimit(call: string, value: unknown): void {
  if (!isWhole(value, 1, LIMIT_MAX))
    throw wrong(call, 'limit', value, `a whole number from 1 to ${LIMIT_MAX}; or leave it out`)
}

export function checkId(call: string, name: string, value: unknown): void {
  if (!isStorableText(value)) throw wrong(call, name, value, ID)
}

/** Each id once, in the order given. */
export function checkIds(call: string, value: unknown): string[] {
  if (!Array.isArray(value))
    throw wrong(call, 'ids', value, `an array of message ids; write ${call}([message.id])`)
  const ids: unknown[] = value
  ids.forEach((id, at) => {
    if (!isStorableText(id))
      throw wrong(call, `ids[${at}]`, id, `the id of a message: ${ID}; take message.id`)
  })
  return [...new Set(ids as string[])]
}

export function checkReason(value: unknown): string {
  if (isStorableText(value)) return value
  throw wrong('markFailed', 'reason', value, `${ID}, such as 'no_such_room'; or leave it out`)
}

export function checkReplies(call: string, value: unknown): readonly NewReply[] {
  if (!Array.isArray(value))
    throw wrong(call, 'replies', value, 'an array of replies; write [{ kind, content }], or leave it out')
  value.forEach((reply: unknown, at) => checkReply(call, `replies[${at}]`, reply))
  return value as NewReply[]
}

export function checkReply(call: string, name: string, value: unknown): void {
  const names = Object.keys(FIELDS) as (keyof NewReply)[]
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(call, name, value, `an object with ${names.join(', ')}; kind and content are required`)
  for (const field of Object.keys(value)) {
    if (Object.hasOwn(FIELDS, field)) continue
    const meant = nearest(field, names)
    const remedy = meant === undefined ? 'leave it out' : `write ${meant}`
    throw new NanoclawError(
      'bad_usage',
      `${call}: ${name} has no field ${shownValue(field)}; expected ${names.join(', ')}; ${remedy}`,
    )
  }
  for (const field of names) {
    const { isLegal, legal } = FIELDS[field]
    const found = (value as Record<string, unknown>)[field]
    if (!isLegal(found)) throw wrong(call, `${name}.${field}`, found, legal)
  }
}

function isTextOrNone(value: unknown): boolean {
  return value === undefined || value === null || isStorableText(value)
}

function isJson(value: unknown): boolean {
  if (!isStorableText(value)) return false
  try {
    JSON.parse(value)
    return true
  } catch {
    return false
  }
}

function isWhole(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most
}

function wrong(call: string, argument: string, found: unknown, legal: string): NanoclawError {
  return new NanoclawError('bad_usage', `${call}: ${argument} is ${shownValue(found)}; expected ${legal}`)
}
