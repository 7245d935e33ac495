// The two files as `conform` reads them: read-only, in pages, with everything of a row that a check may need,
// as the file has it. Nothing is taken for granted: columns may be missing, ids may be no text.
import { readdirSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type MessageColumn, messageColumn } from '../../protocol/schema.ts'
import { FileProbe, type FileState } from './file-probe.ts'
import { text } from './message-rows.ts'
import { columnsOf, type ReadonlyDb } from './open.ts'

export interface MessageFacts {
  /** null: not text. */
  readonly id: string | null
  readonly seq: number | null
  /** `integer`, `null`, or what should not be there. */
  readonly seqType: string
  readonly status: string
  readonly timestamp: string
  readonly processAfter: string | null
  readonly isJson: boolean
}

export interface AckFacts {
  readonly id: string
  readonly status: string
  readonly changedAt: string
}

export interface ReplyFacts {
  readonly id: string | null
  readonly seq: number | null
  readonly seqType: string
  readonly inReplyTo: string | null
  /** Of the message that it answers; null: it has none. */
  readonly ack: string | null
  /** That message has waited, so that replies went out before its end. */
  readonly hasWaited: boolean
  readonly timestamp: string
  readonly deliverAfter: string | null
  readonly kind: string
  readonly isJson: boolean
  /** Of a reply that asks a question; undefined: it asks none. */
  readonly questionId: unknown
  readonly hasAddress: boolean
}

const WAITED = `exists (select 1 from nanoclaw_step s where s.message_id = o.in_reply_to and s.kind in ('sleep', 'ask'))`
/** Rows in one read: a lock is held for some milliseconds. */
const PAGE_ROWS = 2_000
const TWICE_MAX = 3

export class ExaminedFile {
  readonly #look: FileProbe
  readonly path: string

  constructor(path: string) {
    this.path = path
    this.#look = new FileProbe(path)
  }

  get state(): FileState {
    return this.#look.state
  }

  /** Column names; empty when there is no such table. */
  columns(table: string): ReadonlySet<string> {
    return this.#look.read((db) => columnsOf(db, table)) ?? new Set()
  }

  /** `wal`, or `delete` for all kinds of rollback journal: a file does not show which of them. */
  journal(): string {
    return String(this.#look.read((db) => db.prepare('pragma journal_mode').get() as [string])?.[0])
  }

  /** Files that SQLite keeps beside it in WAL mode. */
  sideFiles(): string[] {
    const names = [`${basename(this.path)}-wal`, `${basename(this.path)}-shm`]
    return readdirSync(dirname(this.path)).filter((name) => names.includes(name))
  }

  /** What SQLite finds wrong with its pages; `ok` when nothing. */
  pages(): string {
    const rows = this.#look.read((db) => db.prepare('pragma quick_check(1)').all() as [string][])
    return rows?.[0]?.[0] ?? this.state.reason ?? 'it could not be checked'
  }

  /** Values that stand in more than one row of a column that should have each once. */
  twice(table: string, column: string): string[] {
    const sql = `select ${column} from ${table} where ${column} is not null group by ${column} having count(*) > 1 limit ${TWICE_MAX}`
    return (this.#look.read((db) => db.prepare(sql).all() as [unknown][]) ?? []).map(([value]) =>
      String(value),
    )
  }

  *messages(): Generator<MessageFacts> {
    const columns = this.columns('messages_in')
    const column = (name: MessageColumn) => messageColumn(columns, name)
    const sql = `select rowid, id, typeof(id), ${column('seq')}, typeof(${column('seq')}), ${column('status')},
      timestamp, ${column('process_after')}, typeof(content) = 'text' and json_valid(content)
      from messages_in where rowid > ? order by rowid limit ${PAGE_ROWS}`
    for (const [, id, idType, seq, seqType, status, timestamp, processAfter, isJson] of this.#rows(sql))
      yield {
        id: textId(id, idType),
        seq: typeof seq === 'number' ? seq : null,
        seqType: String(seqType),
        status: String(status),
        timestamp: String(timestamp),
        processAfter: text(processAfter),
        isJson: isJson === 1,
      }
  }

  *acks(): Generator<AckFacts> {
    const sql = `select rowid, message_id, status, status_changed
      from processing_ack where rowid > ? order by rowid limit ${PAGE_ROWS}`
    for (const [, id, status, changedAt] of this.#rows(sql))
      yield { id: String(id), status: String(status), changedAt: String(changedAt) }
  }

  /** Each with the ack of its message, in one read: what was committed together is seen together. */
  *replies(): Generator<ReplyFacts> {
    const mayWait = this.columns('nanoclaw_step').size > 0
    const sql = `select o.rowid, o.id, typeof(o.id), o.seq, typeof(o.seq), o.in_reply_to, a.status, o.timestamp,
        o.deliver_after, o.kind, typeof(o.content) = 'text' and json_valid(o.content),
        coalesce(o.platform_id, o.channel_type, o.thread_id) is not null,
        iif(json_valid(o.content), o.content ->> '$.type' = 'ask_question', 0), iif(json_valid(o.content), o.content ->> '$.questionId', null),
        ${mayWait ? WAITED : '0'}
      from messages_out o left join processing_ack a on a.message_id = o.in_reply_to
      where o.rowid > ? order by o.rowid limit ${PAGE_ROWS}`
    for (const row of this.#rows(sql)) {
      const [
        ,
        id,
        idType,
        seq,
        seqType,
        inReplyTo,
        ack,
        timestamp,
        deliverAfter,
        kind,
        isJson,
        address,
        asks,
        questionId,
        hasWaited,
      ] = row
      yield {
        id: textId(id, idType),
        seq: typeof seq === 'number' ? seq : null,
        seqType: String(seqType),
        inReplyTo: text(inReplyTo),
        ack: text(ack),
        hasWaited: hasWaited === 1,
        timestamp: String(timestamp),
        deliverAfter: text(deliverAfter),
        kind: String(kind),
        isJson: isJson === 1,
        questionId: asks === 1 ? questionId : undefined,
        hasAddress: address === 1,
      }
    }
  }

  /** Null when there are no replies with a number. */
  highestReplySeq(): number | null {
    const sql = 'select max(seq) from messages_out'
    return this.#look.read((db) => (db.prepare(sql).get() as [number | null])[0])
  }

  /** Which of these messages came with a reply address. */
  addressed(ids: readonly string[]): ReadonlySet<string> {
    const columns = this.columns('messages_in')
    const names = ['platform_id', 'channel_type', 'thread_id'].filter((name) => columns.has(name))
    if (names.length === 0) return new Set()
    const sql = `select m.id from json_each(?) j cross join messages_in m on m.id = j.value
      where ${names.map((name) => `m.${name} is not null`).join(' or ')}`
    const rows = this.#look.read((db) => db.prepare(sql).all(JSON.stringify(ids)) as [string][])
    return new Set((rows ?? []).map(([id]) => id))
  }

  close(): void {
    this.#look.close()
  }

  *#rows(sql: string): Generator<readonly unknown[]> {
    for (let after: unknown = Number.MIN_SAFE_INTEGER; ; ) {
      const page = this.#look.read((db: ReadonlyDb) => db.prepare(sql).all(after)) as unknown[][] | null
      if (!page || page.length === 0) return
      yield* page
      after = page.at(-1)![0]
    }
  }
}

/** Milliseconds since 1970 when a file was last touched; null when it is not there, or is no file. */
export function touchedAtMs(path: string): number | null {
  const found = statSync(path, { throwIfNoEntry: false })
  return found?.isFile() ? found.mtimeMs : null
}

/** Bytes that are no UTF-8 read as U+FFFD: such an id cannot be named. */
function textId(id: unknown, type: unknown): string | null {
  return type === 'text' && !String(id).includes('\uFFFD') ? String(id) : null
}
