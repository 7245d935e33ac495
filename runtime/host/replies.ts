// Replies as a stream: rows of messages_out, each once, in the order in which the runtime committed them. It
// polls every few milliseconds and keeps no handle open in between; to continue later, remember the last seq.
import type { Clock } from '../protocol/clock.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { type HostOutbox, REPLIES_START, type ReplyCursor, type ReplyRow } from './sqlite/outbox.ts'

export interface HostReply {
  readonly id: string
  /**
   * The runtime's number of the reply: odd and rising. Pass it to `replies({ since })` to continue after this
   * reply.
   */
  readonly seq: number | null
  /** The id of the message that was answered. */
  readonly inReplyTo: string | null
  readonly timestamp: string
  /** Earliest delivery time; null: at once. The stream does not wait for it. */
  readonly deliverAfter: string | null
  readonly kind: string
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
  /** The parsed content; undefined when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: content is the handler author's own shape
  readonly content: any
  readonly rawContent: string
}

export interface RepliesOptions {
  /** Start after the reply with this seq, in commit order. Default: from the first. */
  readonly since?: number
  /** Ends the stream, as closing the host does. */
  readonly signal?: AbortSignal
  /** Poll interval in milliseconds. Default 20. */
  readonly pollMs?: number
}

const POLL_MS = 20
/** Rows in memory at a time; a stream without a reader reads nothing. */
const PAGE_ROWS = 200

export async function* streamReplies(
  outbox: HostOutbox,
  clock: Clock,
  { since, pollMs = POLL_MS }: RepliesOptions,
  signal: AbortSignal,
): AsyncGenerator<HostReply, void, undefined> {
  let cursor = since === undefined ? REPLIES_START : undefined
  while (!signal.aborted) {
    cursor ??= startBehind(outbox, since!)
    // An unreadable file does not end the stream: the next poll tries again.
    const rows: ReplyRow[] = cursor
      ? outbox.repliesAfter(cursor, PAGE_ROWS).either((page) => page, notYet)
      : []
    for (const row of rows) {
      if (signal.aborted) return
      cursor = { seq: row.seq, row: row.cursor }
      yield hostReply(row)
    }
    if (rows.length < PAGE_ROWS) await pause(clock, pollMs, signal)
  }
}

/** @throws NanoclawError `bad_usage` */
export function checkRepliesOptions({ since, pollMs }: RepliesOptions): void {
  if (since !== undefined && !(Number.isSafeInteger(since) && since >= 0))
    throw new NanoclawError(
      'bad_usage',
      `replies: since is ${since}; expected the seq of a reply, or 0 for all`,
    )
  if (pollMs !== undefined && !(Number.isFinite(pollMs) && pollMs >= 1))
    throw new NanoclawError('bad_usage', `replies: pollMs is ${pollMs}; expected milliseconds, 1 or more`)
}

export function hostReply({ cursor: _, content: rawContent, ...row }: ReplyRow): HostReply {
  return { ...row, content: parsed(rawContent), rawContent }
}

function startBehind(outbox: HostOutbox, since: number): ReplyCursor | undefined {
  return outbox.cursorAt(since).either(
    (cursor) => cursor,
    () => undefined,
  )
}

function notYet(): ReplyRow[] {
  return []
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Resolves after `delayMs` or as soon as the signal aborts, whichever comes first. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = clock.after(delayMs, done)
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
  })
}
