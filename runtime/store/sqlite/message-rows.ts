// Rows of inbound.db turned into our types. Every text and number of that file is believed no further than
// here.
import type { HandlerMessage } from '../../protocol/handler.ts'
import { MESSAGE_COLUMNS, type MessageColumn } from '../../protocol/schema.ts'

/** A message as the file has it, content still text. */
export type InboundRow = Omit<HandlerMessage, 'content' | 'rawContent'> & { readonly content: string }

/** What a scan reads of a pending message: all of it, but for content that is longer than was asked for. */
export interface PendingMessage extends Omit<InboundRow, 'id' | 'content'> {
  /** null: see textId; such a row cannot be acked by name. */
  readonly id: string | null
  readonly rowid: number
  readonly contentBytes: number
  readonly content: string | null
}

/** A row as SQLite gives it, in the order of the named columns. */
export type Raw = readonly (string | number | null | Buffer)[]

/**
 * Numbers that count. SQLite orders text behind every number, so the upper bound keeps text out, too; half of
 * what is exact in JavaScript lies above it, for the replies, whose numbers go on from there.
 */
export const [SEQ_ABOVE, SEQ_MAX] = [Number.MIN_SAFE_INTEGER, 2 ** 52 - 1]

/** The columns of messages_in as they are read; content is the last of them. */
export const READ_COLUMNS = [...MESSAGE_COLUMNS.filter((name) => name !== 'content'), 'content'] as const

/** Behind them, where rows are read in pages. */
export const ROWID_AT = READ_COLUMNS.length

/** Where each of them stands in a row. */
const AT = Object.fromEntries(READ_COLUMNS.map((name, at) => [name, at])) as Readonly<
  Record<MessageColumn, number>
>

export function messageRow(raw: Raw): InboundRow {
  const seq = raw[AT.seq]
  return {
    id: String(raw[AT.id]),
    seq: typeof seq === 'number' ? seq : null,
    kind: String(raw[AT.kind]),
    timestamp: String(raw[AT.timestamp]),
    status: text(raw[AT.status]) ?? 'pending',
    processAfter: text(raw[AT.process_after]),
    recurrence: text(raw[AT.recurrence]),
    seriesId: text(raw[AT.series_id]),
    tries: Number(raw[AT.tries] ?? 0),
    trigger: raw[AT.trigger] !== 0,
    platformId: text(raw[AT.platform_id]),
    channelType: text(raw[AT.channel_type]),
    threadId: text(raw[AT.thread_id]),
    sourceSessionId: text(raw[AT.source_session_id]),
    onWake: raw[AT.on_wake] === 1,
    content: String(raw[AT.content] ?? ''),
  }
}

/**
 * Behind the columns of a message, its rowid and the length of its content. Written out, though messageRow
 * says most of it too: a spread of what both share takes V8 14 µs a row in place of 0.1.
 */
export function pendingRow(raw: Raw): PendingMessage {
  const seq = raw[AT.seq]
  return {
    id: textId(raw[AT.id]),
    seq: typeof seq === 'number' && seq > SEQ_ABOVE && seq <= SEQ_MAX ? seq : null,
    kind: String(raw[AT.kind]),
    timestamp: String(raw[AT.timestamp]),
    status: 'pending',
    processAfter: text(raw[AT.process_after]),
    recurrence: text(raw[AT.recurrence]),
    seriesId: text(raw[AT.series_id]),
    tries: Number(raw[AT.tries] ?? 0),
    trigger: raw[AT.trigger] !== 0,
    platformId: text(raw[AT.platform_id]),
    channelType: text(raw[AT.channel_type]),
    threadId: text(raw[AT.thread_id]),
    sourceSessionId: text(raw[AT.source_session_id]),
    onWake: raw[AT.on_wake] === 1,
    content: text(raw[AT.content]),
    rowid: Number(raw[ROWID_AT]),
    contentBytes: Number(raw[ROWID_AT + 1] ?? 0),
  }
}

/** null: no id, one that is not text, or text that is not UTF-8. */
export function textId(id: unknown): string | null {
  return typeof id === 'string' && !id.includes('\uFFFD') ? id : null
}

export function text(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value)
}
