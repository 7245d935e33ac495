// The host's reads of outbound.db: read-only, a new handle each time, no lock between two reads. A file that
// is missing, locked or has a journal that its owner must roll back is "not readable yet", which is not an
// error of the caller.
import { NanoclawError } from '../../protocol/errors.ts'
import { classifyRead, explain } from '../../store/sqlite/classify.ts'
import { openReadonly, READ_BUSY_MS, type ReadonlyDb } from '../../store/sqlite/open.ts'

export interface ReplyRow {
  readonly cursor: number
  readonly id: string
  readonly seq: number | null
  readonly inReplyTo: string | null
  readonly timestamp: string
  readonly deliverAfter: string | null
  readonly kind: string
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
  readonly content: string
}

export interface AckRow {
  readonly id: string
  /** `processing`, `completed` or `failed`. */
  readonly status: string
  readonly changedAt: string
}

/**
 * The position of a reader of messages_out: by seq where the row has one, since row ids change when the file
 * is vacuumed.
 */
export interface ReplyCursor {
  readonly seq: number | null
  readonly row: number
}

export const REPLIES_START: ReplyCursor = { seq: null, row: 0 }

/**
 * What was read, or why the file cannot be read at the moment. Every caller must handle both cases: no
 * accessor returns the value alone.
 */
export class Read<T> {
  readonly #found: { readonly value: T } | { readonly reason: string }

  private constructor(found: { readonly value: T } | { readonly reason: string }) {
    this.#found = found
  }

  static of<T>(value: T): Read<T> {
    return new Read<T>({ value })
  }

  static unreadable<T>(reason: string): Read<T> {
    return new Read<T>({ reason })
  }

  either<A, B>(found: (value: T) => A, unreadable: (reason: string) => B): A | B {
    return 'value' in this.#found ? found(this.#found.value) : unreadable(this.#found.reason)
  }

  map<U>(change: (value: T) => U): Read<U> {
    return this.either(
      (value) => Read.of(change(value)),
      (reason) => Read.unreadable<U>(reason),
    )
  }

  /** @throws NanoclawError `not_readable_yet` */
  orThrow(call: string): T {
    return this.either(
      (value) => value,
      (reason) => {
        throw new NanoclawError('not_readable_yet', `${call}: ${reason}. Call it again in a moment.`)
      },
    )
  }
}

/** How long a call that needs an answer blocks for a lock: a commit of the runtime is over by then. */
const PATIENT_MS = 1_000

export class HostOutbox {
  readonly path: string
  #keepOpen = false
  #busyMs = READ_BUSY_MS
  #kept: ReadonlyDb | undefined

  constructor(path: string) {
    this.path = path
  }

  /** The position of a reader that has read everything up to `seq`. */
  cursorAt(seq: number): Read<ReplyCursor> {
    return this.read((db) => {
      const found = db
        .prepare('select seq, rowid from messages_out where seq <= ? order by seq desc limit 1')
        .get(seq)
      return found ? { seq: (found as number[])[0]!, row: (found as number[])[1]! } : REPLIES_START
    })
  }

  /**
   * Replies in the order in which they were committed: row numbers rise with every insert of the one writer.
   */
  repliesAfter({ seq, row }: ReplyCursor, limit: number): Read<ReplyRow[]> {
    return this.read((db) =>
      db
        .prepare(
          `select ${REPLY_COLUMNS} from messages_out
           where rowid > coalesce((select rowid from messages_out where seq = ?), ?)
           order by rowid limit ?`,
        )
        .all(seq, row, limit)
        .map(replyRow),
    )
  }

  /** The acks of the given messages. One indexed lookup each, whatever the number of acks in the file. */
  acks(ids: readonly string[]): Read<AckRow[]> {
    return this.read((db) =>
      db
        .prepare(
          `select a.message_id, a.status, a.status_changed
           from json_each(?) m cross join processing_ack a on a.message_id = m.value`,
        )
        .all(JSON.stringify(ids))
        .map((row) => {
          const [id, status, changedAt] = row as [string, string, string]
          return { id, status, changedAt }
        }),
    )
  }

  /**
   * As repliesAfter, but after a reply given by its id; from the first when that reply does not exist (any
   * more).
   */
  repliesBehind(id: string | undefined, limit: number): Read<ReplyRow[]> {
    return this.read((db) =>
      db
        .prepare(
          `select ${REPLY_COLUMNS} from messages_out
           where rowid > coalesce((select rowid from messages_out where id = ?), 0) order by rowid limit ?`,
        )
        .all(id ?? null, limit)
        .map(replyRow),
    )
  }

  replyById(id: string): Read<ReplyRow | undefined> {
    return this.repliesById([id]).map((found) => found.get(id))
  }

  /**
   * The newest reply whose content has this `questionId`. Reads all contents that contain a question id:
   * clicks are rare.
   */
  questionById(questionId: string): Read<ReplyRow | undefined> {
    return this.read((db) => {
      const row = db
        .prepare(
          `select ${REPLY_COLUMNS} from messages_out
           where instr(content, 'ask_question') > 0 and json_valid(content)
             and json_extract(content, '$.questionId') = ?
           order by rowid desc limit 1`,
        )
        .get(questionId)
      return row === undefined ? undefined : replyRow(row)
    })
  }

  /** The given replies that are in the file. */
  repliesById(ids: readonly string[]): Read<Map<string, ReplyRow>> {
    return this.read((db) => {
      const reply = db.prepare(`select ${REPLY_COLUMNS} from messages_out where id = ?`)
      const rows = ids.flatMap((id) => reply.all(id).map(replyRow))
      return new Map(rows.map((row) => [row.id, row]))
    })
  }

  /** As repliesById, without the rows. */
  existing(ids: readonly string[]): Read<Set<string>> {
    return this.read((db) => {
      const rows = db
        .prepare('select o.id from json_each(?) r cross join messages_out o on o.id = r.value')
        .all(JSON.stringify(ids)) as [string][]
      return new Set(rows.map(([id]) => id))
    })
  }

  /** One handle for all reads within; no lock between two of them. */
  during<T>(work: () => T): T {
    if (this.#keepOpen) return work()
    this.#keepOpen = true
    try {
      return work()
    } finally {
      this.#keepOpen = false
      this.#kept?.close()
      this.#kept = undefined
    }
  }

  /** As during, and each read waits for a lock: for calls that need an answer. */
  patiently<T>(work: () => T): T {
    this.#busyMs = PATIENT_MS
    try {
      return this.during(work)
    } finally {
      this.#busyMs = READ_BUSY_MS
    }
  }

  read<T>(work: (db: ReadonlyDb) => T): Read<T> {
    let db = this.#kept
    try {
      db ??= openReadonly(this.path, this.#busyMs)
      if (this.#keepOpen) this.#kept = db
      return Read.of(work(db))
    } catch (error) {
      if (error instanceof NanoclawError) return Read.unreadable(error.message)
      const verdict = classifyRead(error)
      if (verdict === 'retry' || verdict === 'wait')
        return Read.unreadable(`${this.path}: ${explain(error, { path: this.path, use: 'read' })}`)
      if (verdict === 'bug') throw error
      throw new NanoclawError('outbound_unusable', `cannot read ${this.path}: ${explain(error)}`, {
        cause: error,
      })
    } finally {
      if (!this.#keepOpen) db?.close()
    }
  }
}

const REPLY_COLUMNS =
  'rowid, id, seq, in_reply_to, timestamp, deliver_after, kind, platform_id, channel_type, thread_id, content'

function replyRow(row: unknown): ReplyRow {
  const values = row as [
    number,
    string,
    number | null,
    string | null,
    string,
    string | null,
    string,
    ...(string | null)[],
  ]
  const [
    cursor,
    id,
    seq,
    inReplyTo,
    timestamp,
    deliverAfter,
    kind,
    platformId,
    channelType,
    threadId,
    content,
  ] = values
  return {
    cursor,
    id,
    seq,
    inReplyTo,
    timestamp,
    deliverAfter,
    kind,
    platformId: platformId ?? null,
    channelType: channelType ?? null,
    threadId: threadId ?? null,
    content: content ?? '',
  }
}
