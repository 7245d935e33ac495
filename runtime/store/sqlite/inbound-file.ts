// An open inbound.db: its shape found out, and the statements that fit it. Hosts have added columns over
// time; one that a file lacks means its default.
import { NanoclawError } from '../../protocol/errors.ts'
import { MESSAGE_COLUMNS, MESSAGES_IN, type MessageColumn, messageColumn } from '../../protocol/schema.ts'
import { READ_COLUMNS, SEQ_ABOVE, SEQ_MAX } from './message-rows.ts'
import { columnsOf, fileAt, onFirstUse, openReadonly, type ReadonlyDb, type ReadStatement } from './open.ts'

/** Those that a file must have. */
const REQUIRED = MESSAGE_COLUMNS.filter((name) => !('missing' in MESSAGES_IN[name]))

/** Answers to one question that are looked at: each click on a button is one. */
const RESPONSES_MAX = 100

/** Statements of one walk; those of `pending` take the length up to which content is read before all else. */
export interface Pages {
  /** Behind a rowid, of one number: a host's table may have several rows of it. */
  readonly sameSeq: ReadStatement
  readonly bySeq: ReadStatement
  readonly byRowid: ReadStatement
  /**
   * Text, or more than a number of ours can say: as good as none. By rowid, too; `+` leads SQLite to the
   * index on seq.
   */
  readonly misnumbered: ReadStatement
  /** The same rows, looked for among all those behind a rowid. */
  readonly misnumberedNear: ReadStatement
}

export interface OpenInbound {
  readonly db: ReadonlyDb
  readonly ino: number
  readonly dev: number
  readonly dataVersion: ReadStatement
  /** Another one after each change of the tables. */
  readonly schemaVersion: ReadStatement
  /** The one that these statements were made for. */
  readonly schema: number
  readonly maxSeq: ReadStatement
  readonly maxRowid: ReadStatement
  /** Id, seq and rowid of the last row up to a number. */
  readonly lastUpTo: ReadStatement
  /** The same of the row with this id and number. */
  readonly rowOf: ReadStatement
  readonly window: ReadStatement
  readonly pending: Pages
  readonly pendingByIds: ReadStatement
  /** Of the same rows id, seq and rowid alone. */
  readonly pendingPlaces: Pages
  /** Ids of the rows of `bySeq`. */
  readonly pendingIds: ReadStatement
  /** Seq and rowid of the first row with an id behind a place. */
  readonly placeBehind: ReadStatement
  readonly messages: ReadStatement
  readonly questionResponses: ReadStatement
  readonly rawId: ReadStatement
  seen: number
  mtimeMs: number
  size: number
}

/** @throws NanoclawError `not_readable_yet`, `inbound_unusable`; SqliteError, see classifyRead */
export function openInbound(path: string, busyMs: number): OpenInbound {
  const db = openReadonly(path, busyMs)
  try {
    const file = fileAt(path)
    if (!file) throw new NanoclawError('not_readable_yet', `${path} was moved away just now`)
    const schemaVersion = db.prepare('pragma schema_version')
    const [schema] = schemaVersion.get() as [number]
    const present = columnsOf(db, 'messages_in')
    if (present.size === 0)
      throw new NanoclawError('not_readable_yet', `${path} has no table messages_in yet`)
    const missing = REQUIRED.filter((name) => !present.has(name))
    if (missing.length > 0)
      throw new NanoclawError(
        'inbound_unusable',
        `${path}: table messages_in lacks ${missing.join(', ')}; expected the columns of docs/protocol.md`,
      )
    const prepare = (sql: string) => onFirstUse(db.prepare, sql)
    const column = (name: MessageColumn) => messageColumn(present, name)
    const numbered = present.has('seq')
    const misnumbered = `seq > ${SEQ_MAX} or seq <= ${SEQ_ABOVE}`
    const isPending = present.has('status') ? "status = 'pending'" : '1'
    const all = READ_COLUMNS.map(column).join(', ')
    // What is pending is known to be so.
    const named = READ_COLUMNS.slice(0, -1).map((name) => (name === 'status' ? 'null' : column(name)))
    const light = `select ${named.join(', ')}, case when octet_length(content) <= ? then content end,
      rowid, octet_length(content) from messages_in`
    // The `+` keeps SQLite from walking an index on status, which some hosts have: it would sort all that is
    // pending for a page.
    const none = '? is null and ? is null'
    const pages = (select: string): Pages => ({
      sameSeq: prepare(
        `${select} where ${numbered ? 'seq = ? and rowid > ?' : none} and +${isPending} order by rowid limit ?`,
      ),
      bySeq: prepare(
        `${select} where ${numbered ? 'seq > ? and seq <= ?' : none} and +${isPending} order by ${numbered ? 'seq, rowid' : 'rowid'} limit ?`,
      ),
      byRowid: prepare(
        `${select} where ${numbered ? 'seq is null and' : ''} rowid > ? and +${isPending} order by rowid limit ?`,
      ),
      misnumbered: prepare(
        `${select} where ${numbered ? `(${misnumbered}) and +rowid > ?` : '? is null'} and +${isPending} order by +rowid limit ?`,
      ),
      misnumberedNear: prepare(
        `${select} where ${numbered ? `+(${misnumbered}) and rowid > ?` : '? is null'} and +${isPending} order by rowid limit ?`,
      ),
    })
    return {
      db,
      ino: file.ino,
      dev: file.dev,
      mtimeMs: file.mtimeMs,
      size: file.size,
      seen: -1,
      schema,
      schemaVersion,
      dataVersion: prepare('pragma data_version'),
      maxSeq: prepare(numbered ? `select max(seq) from messages_in where seq <= ${SEQ_MAX}` : 'select null'),
      maxRowid: prepare('select max(rowid) from messages_in'),
      lastUpTo: prepare(
        numbered
          ? `select id, seq, rowid from messages_in where seq <= ? and seq > ${SEQ_ABOVE} order by seq desc, rowid desc limit 1`
          : 'select null where ? is null',
      ),
      rowOf: prepare(
        numbered
          ? 'select id, seq, rowid from messages_in where id = ? and seq = ?'
          : 'select null where ? is null and ? is null',
      ),
      window: prepare(
        numbered
          ? `select seq from messages_in where seq > ? and seq <= ${SEQ_MAX} order by seq limit 1 offset ?`
          : 'select null where ? = ?',
      ),
      pending: pages(light),
      pendingByIds: prepare(
        `${light} where id in (select value from json_each(?)) and +${isPending} order by ${numbered ? 'seq, rowid' : 'rowid'}`,
      ),
      pendingPlaces: pages(`select id, ${column('seq')}, rowid from messages_in`),
      pendingIds: onFirstUse(
        db.prepareColumn,
        `select id from messages_in where ${numbered ? 'seq > ? and seq <= ?' : none} and +${isPending}
         order by ${numbered ? 'seq, rowid' : 'rowid'} limit ?`,
      ),
      placeBehind: prepare(
        numbered
          ? `select seq, rowid from messages_in where id = ? and +seq > ? and +seq <= ${SEQ_MAX} order by +seq, rowid limit 1`
          : 'select null where ? is null and ? is null',
      ),
      messages: prepare(`select ${all} from messages_in where id in (select value from json_each(?))`),
      rawId: prepare('select cast(id as blob), typeof(id) from messages_in where rowid = ?'),
      questionResponses: prepare(
        `select ${all} from messages_in where ${isPending} and json_valid(content) and json_extract(content, '$.questionId') = ? order by rowid limit ${RESPONSES_MAX}`,
      ),
    }
  } catch (error) {
    db.close()
    throw error
  }
}
