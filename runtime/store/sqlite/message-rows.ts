// Rows of inbound.db turned into our types. Every text and number of that file is believed no further than here.
import type { HandlerMessage } from '../../protocol/handler.ts'

/** A message as the file has it, content still text. */
export type InboundRow = Omit<HandlerMessage, 'content' | 'rawContent'> & { readonly content: string }

/** What a look reads of a pending message: all of it, but for content that is longer than was asked for. */
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
 * Numbers that count. SQLite orders text behind every number, so the upper bound keeps text out, too; half of what is exact in
 * JavaScript lies above it, for the replies, whose numbers go on from there.
 */
export const [SEQ_ABOVE, SEQ_MAX] = [Number.MIN_SAFE_INTEGER, 2 ** 52 - 1]

/** Content is the last of them. */
export const MESSAGE_COLUMNS = [
  'id',
  'seq',
  'kind',
  'timestamp',
  'status',
  'process_after',
  'recurrence',
  'series_id',
  'tries',
  'trigger',
  'platform_id',
  'channel_type',
  'thread_id',
  'source_session_id',
  'on_wake',
  'content',
]

/** Behind them, where rows are read in pages. */
export const ROWID_AT = MESSAGE_COLUMNS.length

export function messageRow(raw: Raw): InboundRow {
  return {
    id: String(raw[0]),
    seq: typeof raw[1] === 'number' ? raw[1] : null,
    kind: String(raw[2]),
    timestamp: String(raw[3]),
    status: text(raw[4]) ?? 'pending',
    processAfter: text(raw[5]),
    recurrence: text(raw[6]),
    seriesId: text(raw[7]),
    tries: Number(raw[8] ?? 0),
    trigger: raw[9] !== 0,
    platformId: text(raw[10]),
    channelType: text(raw[11]),
    threadId: text(raw[12]),
    sourceSessionId: text(raw[13]),
    onWake: raw[14] === 1,
    content: String(raw[15] ?? ''),
  }
}

/**
 * Behind the columns of a message, its rowid and the length of its content. Written out, though messageRow says most of it too:
 * a spread of what both share takes V8 14 µs a row in place of 0.1.
 */
export function pendingRow(raw: Raw): PendingMessage {
  const [id, seq] = raw
  return {
    id: textId(id),
    seq: typeof seq === 'number' && seq > SEQ_ABOVE && seq <= SEQ_MAX ? seq : null,
    kind: String(raw[2]),
    timestamp: String(raw[3]),
    status: 'pending',
    processAfter: text(raw[5]),
    recurrence: text(raw[6]),
    seriesId: text(raw[7]),
    tries: Number(raw[8] ?? 0),
    trigger: raw[9] !== 0,
    platformId: text(raw[10]),
    channelType: text(raw[11]),
    threadId: text(raw[12]),
    sourceSessionId: text(raw[13]),
    onWake: raw[14] === 1,
    content: text(raw[15]),
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
