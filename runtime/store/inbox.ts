// The runtime's eyes on inbound.db, a file that the host alone writes: every handle here is read-only, every read is short.
// A look costs the same whatever the history: it walks forward by seq (rows without one: by rowid) through an index, reads
// light rows, and fetches a message whole only when it is about to run, so that what runs is what the file says now.
import { statSync } from 'node:fs'
import { NanoclawError } from '../protocol/errors.ts'
import type { Message } from '../protocol/handler.ts'
import type { RawId } from '../protocol/turn.ts'
import { classifyRead } from './classify.ts'
import { fileAt, openReadonly, READ_BUSY_MS, type ReadonlyDb, type ReadStatement } from './open.ts'

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

/** How far a walk has come. */
export interface Cursor {
  readonly seq: number
  readonly rowid: number
}

export interface Page {
  readonly rows: readonly PendingRow[]
  readonly cursor: Cursor
  /** Nothing pending lies between the cursor and the end of the file as it was when the page was read. */
  readonly end: boolean
}

export const START: Cursor = { seq: Number.MIN_SAFE_INTEGER, rowid: 0 }

/** Index entries passed over in one read at most, so that a long stretch of finished messages never blocks the loop. */
const WINDOW = 5_000
/** Routing by content reads no more than this of it; a longer message matches no content rule. */
export const ROUTED_CONTENT_MAX = 1024 * 1024

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
const REQUIRED = ['id', 'kind', 'timestamp', 'content']

/** After so many reads in a row that met a lock, the next one waits for it (READ_BUSY_MS) instead of trying its luck. */
const IMPATIENT_READS = 5

export class Inbox {
  readonly #path: string
  #open: Open | undefined
  #busyInARow = 0

  constructor(path: string) {
    this.#path = path
  }

  /**
   * Whether anything was committed since the last call; the first call says yes. `replaced`: another file now stands at
   * this path, so every cursor is void. `doubt`: when the file's times moved and the handle saw nothing of it, meet the
   * file afresh; on a mount between two kernels an old handle may serve old pages for ever.
   * @throws SqliteError (see classifyRead), NanoclawError `not_readable_yet` or `inbound_unusable`
   */
  changed(doubt = false): 'no' | 'yes' | 'replaced' {
    const known = this.#open
    const file = fileAt(this.#path)
    const replaced = known && file && (file.ino !== known.ino || file.dev !== known.dev)
    const moved = known && file && (file.mtimeMs !== known.mtimeMs || file.size !== known.size)
    if (!file || replaced || (doubt && moved)) this.close()
    return this.#read((open) => {
      const version = (open.dataVersion.get() as [number])[0]
      if (file) Object.assign(open, { mtimeMs: file.mtimeMs, size: file.size })
      if (replaced) return 'replaced'
      if (version === open.seen) return 'no'
      open.seen = version
      return 'yes'
    })
  }

  /** The next pending rows behind `after`, oldest first: by seq; those without one by time, then rowid. */
  getPendingMessages(after: Cursor, limit: number, withContent: boolean): Page {
    return this.#read((open) => page(open, after, limit, withContent))
  }

  /** Pending rows by id, as light rows, in file order. */
  getPendingByIds(ids: readonly string[], withContent: boolean): readonly PendingRow[] {
    return this.#read((open) =>
      ((withContent ? open.pendingWithContent : open.pending).byIds.all(JSON.stringify(ids)) as Raw[]).map(
        pendingRow,
      ),
    )
  }

  /** The messages among `ids` that exist, whole, as they are now. */
  getMessages(ids: readonly string[]): Map<string, MessageRow> {
    const rows = this.#read((open) => open.messages.all(JSON.stringify(ids)) as Raw[]).map(messageRow)
    return new Map(rows.map((row) => [row.id, row]))
  }

  getMessageIn(id: string): MessageRow | undefined {
    return this.getMessages([id]).get(id)
  }

  /** The id of a row as it stands in the file, for one that is no proper text; null when there is none. */
  rawId(rowid: number): RawId | null {
    const [bytes, type] = this.#read(
      (open) => (open.rawId.get(rowid) ?? [null, '']) as [Buffer | null, string],
    )
    return bytes && { bytes, isText: type === 'text' }
  }

  /** The answer to a question, by its exact id. Content that is not JSON is passed over. */
  findQuestionResponse(questionId: string): MessageRow | undefined {
    const raw = this.#read((open) => open.questionResponse.get(questionId) as Raw | undefined)
    return raw && messageRow(raw)
  }

  /** The highest seq in the file; 0 when there is none. */
  maxSeq(): number {
    return this.#read((open) => (open.maxSeq.get() as [number | null])[0] ?? 0)
  }

  close(): void {
    this.#open?.db.close()
    this.#open = undefined
  }

  /**
   * A read waits for no lock, since waiting would stop the whole event loop on each commit of the host; whoever reads
   * tries again in a moment. Only against a host that commits without a pause does it wait, once in a while.
   */
  #read<T>(read: (open: Open) => T): T {
    const open = (this.#open ??= openInbox(this.#path))
    const patient = this.#busyInARow >= IMPATIENT_READS
    if (patient) open.db.prepare(`pragma busy_timeout = ${READ_BUSY_MS}`).get()
    try {
      const result = read(open)
      this.#busyInARow = 0
      return result
    } catch (error) {
      const meaning = classifyRead(error)
      if (meaning === 'retry') this.#busyInARow++
      else this.close()
      throw error
    } finally {
      if (patient && this.#open === open) open.db.prepare('pragma busy_timeout = 0').get()
    }
  }
}

function page(open: Open, after: Cursor, limit: number, withContent: boolean): Page {
  const select = withContent ? open.pendingWithContent : open.pending
  const top = (open.maxSeq.get() as [number | null])[0] ?? START.seq
  const bound =
    top - after.seq > WINDOW
      ? ((open.window.get(after.seq, WINDOW) as [number] | undefined)?.[0] ?? top)
      : top
  const numbered = top > after.seq ? (select.bySeq.all(after.seq, bound, limit) as Raw[]).map(pendingRow) : []
  const full = numbered.length === limit
  const seq = full ? (numbered.at(-1)?.seq ?? bound) : Math.max(bound, after.seq)
  const room = limit - numbered.length
  const bare = room > 0 ? (select.byRowid.all(after.rowid, room) as Raw[]).map(pendingRow) : []
  const rowid = bare.at(-1)?.rowid ?? after.rowid
  bare.sort((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : a.rowid - b.rowid))
  return {
    rows: [...numbered, ...bare],
    cursor: { seq, rowid },
    end: !full && bound === top && bare.length < Math.max(room, 1),
  }
}

type Raw = readonly (string | number | null | Buffer)[]

interface Pages {
  readonly bySeq: ReadStatement
  readonly byRowid: ReadStatement
  readonly byIds: ReadStatement
}

interface Open {
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

function openInbox(path: string): Open {
  const db = openReadonly(path, 0)
  try {
    const file = statSync(path)
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
    const pages = (content: string): Pages => {
      const light = `select ${PENDING_COLUMNS.map(column).join(', ')}, octet_length(content), ${content} from messages_in`
      return {
        bySeq: db.prepare(
          `${light} where ${numbered ? 'seq > ? and seq <= ?' : '? is null and ? is null'} and ${isPending} order by ${column('seq')} limit ?`,
        ),
        byRowid: db.prepare(
          `${light} where ${numbered ? 'seq is null and' : ''} rowid > ? and ${isPending} order by rowid limit ?`,
        ),
        byIds: db.prepare(
          `${light} where id in (select value from json_each(?)) and ${isPending} order by ${numbered ? 'seq, rowid' : 'rowid'}`,
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
      maxSeq: db.prepare(numbered ? 'select max(seq) from messages_in' : 'select null'),
      window: db.prepare(
        numbered
          ? 'select seq from messages_in where seq > ? order by seq limit 1 offset ?'
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

function pendingRow(raw: Raw): PendingRow {
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
    seq: typeof seq === 'number' ? seq : null,
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

function messageRow(raw: Raw): MessageRow {
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

function text(value: Raw[number] | undefined): string | null {
  return value === null || value === undefined ? null : String(value)
}
