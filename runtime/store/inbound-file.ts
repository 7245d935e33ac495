// An open inbound.db: its shape found out, its statements prepared, its rows turned into our types. Hosts have added columns
// over time; one that a file lacks means its default. Every text and number from this file is believed no further than here.
import { NanoclawError } from '../protocol/errors.ts'
import type { Message } from '../protocol/handler.ts'
import { fileAt, openReadonly, type ReadonlyDb, type ReadStatement } from './open.ts'

/** A message as the file has it, content still text. */
export type MessageRow = Omit<Message, 'content' | 'rawContent'> & { readonly content: string }

/** What a look reads of a pending message: enough to route, order and time it. */
export interface PendingRow {
  /** null: no id, or one that is no text, or text that is no UTF-8; such a row cannot be acked by name. */
  readonly id: string | null
  readonly rowid: number
  readonly seq: number | null
  readonly kind: string
  readonly timestamp: string
  readonly processAfter: string | null
  readonly channelType: string | null
  readonly platformId: string | null
  readonly threadId: string | null
  readonly onWake: boolean
  readonly contentBytes: number
  /** Only when asked for, and only up to ROUTED_CONTENT_MAX. */
  readonly content: string | null
}

/** Routing by content reads no more than this of it; a longer message matches no content rule. */
const ROUTED_CONTENT_MAX = 1024 * 1024

/** Columns that came later than the table, with the value that a row without them means. */
const DEFAULTS: Readonly<Record<string, string>> = {
  seq: 'null',
  status: "'pending'",
  process_after: 'null',
  recurrence: 'null',
  series_id: 'null',
  tries: '0',
  trigger: '1',
  platform_id: 'null',
  channel_type: 'null',
  thread_id: 'null',
  source_session_id: 'null',
  on_wake: '0',
}
/** SQLite orders text behind every number, so the upper bound keeps text out, too. */
const [SEQ_ABOVE, SEQ_MAX] = [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]
const REQUIRED = ['id', 'kind', 'timestamp', 'content']

/** A row as SQLite gives it, in the order of the named columns. */
export type Raw = readonly (string | number | null | Buffer)[]

export interface Pages {
  readonly bySeq: ReadStatement
  readonly byRowid: ReadStatement
  /** Text, or more than a number of ours can say: as good as none. By rowid, too; `+` leads SQLite to the index on seq. */
  readonly misnumbered: ReadStatement
  readonly byIds: ReadStatement
}

export interface InboundFile {
  readonly db: ReadonlyDb
  readonly ino: number
  readonly dev: number
  readonly dataVersion: ReadStatement
  readonly maxSeq: ReadStatement
  readonly window: ReadStatement
  readonly pending: Pages
  readonly pendingWithContent: Pages
  readonly messages: ReadStatement
  readonly questionResponse: ReadStatement
  readonly rawId: ReadStatement
  seen: number
  mtimeMs: number
  size: number
}

/** @throws NanoclawError `not_readable_yet`, `inbound_unusable`; SqliteError, see classifyRead */
export function openInbound(path: string, busyMs: number): InboundFile {
  const db = openReadonly(path, busyMs)
  try {
    const file = fileAt(path)
    if (!file) throw new NanoclawError('not_readable_yet', `${path} was moved away just now`)
    const present = new Set(
      (db.prepare('select name from pragma_table_info(?)').all('messages_in') as [string][]).map(
        ([name]) => name,
      ),
    )
    if (present.size === 0)
      throw new NanoclawError('not_readable_yet', `${path} has no table messages_in yet`)
    const missing = REQUIRED.filter((name) => !present.has(name))
    if (missing.length > 0)
      throw new NanoclawError(
        'inbound_unusable',
        `${path}: table messages_in lacks ${missing.join(', ')}; expected the columns of docs/protocol.md`,
      )
    const column = (name: string) => (present.has(name) ? name : (DEFAULTS[name] ?? name))
    const numbered = present.has('seq')
    const isPending = present.has('status') ? "status = 'pending'" : '1'
    const all = MESSAGE_COLUMNS.map(column).join(', ')
    // The `+` keeps SQLite from walking an index on status, which some hosts have: it would sort all that is pending for a page.
    const pages = (content: string): Pages => {
      const light = `select ${PENDING_COLUMNS.map(column).join(', ')}, octet_length(content), ${content} from messages_in`
      return {
        bySeq: db.prepare(
          `${light} where ${numbered ? 'seq > ? and seq <= ?' : '? is null and ? is null'} and +${isPending} order by ${column('seq')} limit ?`,
        ),
        byRowid: db.prepare(
          `${light} where ${numbered ? 'seq is null and' : ''} rowid > ? and +${isPending} order by rowid limit ?`,
        ),
        misnumbered: db.prepare(
          `${light} where ${numbered ? `(seq > ${SEQ_MAX} or seq <= ${SEQ_ABOVE}) and +rowid > ?` : '? is null'} and +${isPending} order by +rowid limit ?`,
        ),
        byIds: db.prepare(
          `${light} where id in (select value from json_each(?)) and +${isPending} order by ${numbered ? 'seq, rowid' : 'rowid'}`,
        ),
      }
    }
    return {
      db,
      ino: file.ino,
      dev: file.dev,
      mtimeMs: file.mtimeMs,
      size: file.size,
      seen: -1,
      dataVersion: db.prepare('pragma data_version'),
      maxSeq: db.prepare(
        numbered ? `select max(seq) from messages_in where seq <= ${SEQ_MAX}` : 'select null',
      ),
      window: db.prepare(
        numbered
          ? `select seq from messages_in where seq > ? and seq <= ${SEQ_MAX} order by seq limit 1 offset ?`
          : 'select null where ? = ?',
      ),
      pending: pages('null'),
      pendingWithContent: pages(`case when octet_length(content) <= ${ROUTED_CONTENT_MAX} then content end`),
      messages: db.prepare(`select ${all} from messages_in where id in (select value from json_each(?))`),
      rawId: db.prepare('select cast(id as blob), typeof(id) from messages_in where rowid = ?'),
      questionResponse: db.prepare(
        `select ${all} from messages_in where ${isPending} and json_valid(content) and json_extract(content, '$.questionId') = ? order by rowid limit 1`,
      ),
    }
  } catch (error) {
    db.close()
    throw error
  }
}

const PENDING_COLUMNS = [
  'rowid',
  'id',
  'seq',
  'kind',
  'timestamp',
  'process_after',
  'channel_type',
  'platform_id',
  'thread_id',
  'on_wake',
]

export function pendingRow(raw: Raw): PendingRow {
  const [
    rowid,
    id,
    seq,
    kind,
    timestamp,
    processAfter,
    channelType,
    platformId,
    threadId,
    onWake,
    contentBytes,
    content,
  ] = raw
  return {
    id: typeof id === 'string' && !id.includes('\uFFFD') ? id : null,
    rowid: Number(rowid),
    seq: typeof seq === 'number' && seq > SEQ_ABOVE && seq <= SEQ_MAX ? seq : null,
    kind: String(kind),
    timestamp: String(timestamp),
    processAfter: text(processAfter),
    channelType: text(channelType),
    platformId: text(platformId),
    threadId: text(threadId),
    onWake: Boolean(onWake),
    contentBytes: Number(contentBytes ?? 0),
    content: text(content),
  }
}

const MESSAGE_COLUMNS = [
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

export function messageRow(raw: Raw): MessageRow {
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

export function text(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value)
}
