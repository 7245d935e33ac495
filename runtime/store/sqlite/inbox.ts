// The runtime's reads of inbound.db, a file that the host alone writes: every handle here is read-only, every
// read is short. A scan costs the same whatever the history: it walks forward by seq (rows without one: by
// rowid) through an index, and reads light rows. A message is read whole when it is about to run, so that
// what runs is what the file says now; a row that a scan has read counts until the next commit of the host.
import type { RawId } from '../../protocol/commit-batch.ts'
import type { Cursor, SeqPosition } from '../../protocol/cursor.ts'
import { classifyRead } from './classify.ts'
import { FreshRows } from './fresh-rows.ts'
import { type OpenInbound, openInbound } from './inbound-file.ts'
import { type InboundRow, messageRow, type PendingMessage, pendingRow, type Raw } from './message-rows.ts'
import { fileAt, hasTable, READ_BUSY_MS } from './open.ts'
import { idsOf, most, type PendingIds, type PendingPage, pageOf, placeOfRow } from './page.ts'

export type { InboundRow, PendingMessage } from './message-rows.ts'
export { START } from './page.ts'

/**
 * After so many reads in a row that met a lock, one waits for it (READ_BUSY_MS) instead of trying its luck.
 */
const IMPATIENT_READS = 40

export class Inbox {
  readonly #path: string
  readonly #onWal: ((file: { readonly path: string }) => void) | undefined
  #open: OpenInbound | undefined
  /**
   * The file that `changed` spoke of last. Another one is `replaced`, however long there is none, or none to
   * be read, in between.
   */
  #met: Pick<OpenInbound, 'ino' | 'dev'> | undefined
  #replaced = false
  /** Of a file that is at rest: as long as it looks like this, nothing was committed. */
  #rested: Stamp | undefined
  readonly #fresh = new FreshRows()
  #busyInARow = 0

  constructor(path: string, onWal?: (file: { readonly path: string }) => void) {
    this.#path = path
    this.#onWal = onWal
  }

  /**
   * Whether anything was committed since the last call; at the first one `yes`. `replaced`: another file now
   * stands at this path, so every cursor is void. `doubt`: opens the file again when its times moved and the
   * handle saw nothing of it; on a mount between two kernels an old handle may serve old pages for ever.
   * @throws SqliteError (see classifyRead), NanoclawError `not_readable_yet` or `inbound_unusable`
   */
  changed(doubt = false): 'no' | 'yes' | 'replaced' {
    const rested = this.#rested
    if (rested && !this.#open && isSame(rested, stampOf(this.#path))) return 'no'
    const file = fileAt(this.#path)
    if (this.#met && (file?.ino !== this.#met.ino || file.dev !== this.#met.dev)) this.#replaced = true
    const known = this.#open
    const moved = known && (file?.mtimeMs !== known.mtimeMs || file.size !== known.size)
    if (!file || this.#replaced) this.close()
    else if (doubt && moved) this.#meetAfresh()
    return this.#read((open) => {
      const version = versionOf(open)
      // Something has made a read meanwhile, and the host has committed nothing.
      if (rested && open.seen < 0 && isSame(rested, stampOf(this.#path))) open.seen = version
      this.#rested = undefined
      const answer = this.#replaced ? 'replaced' : version === open.seen ? 'no' : 'yes'
      if (this.#met?.ino !== open.ino || this.#met.dev !== open.dev) this.#mode(open)
      this.#met = { ino: open.ino, dev: open.dev }
      this.#replaced = false
      // Noted only with what the handle has seen: one that serves old pages must not make the new times look
      // known.
      if (file && answer !== 'no') Object.assign(open, { mtimeMs: file.mtimeMs, size: file.size })
      open.seen = version
      return answer
    })
  }

  /** The next pending rows behind `after`, oldest first: by seq; those without one by time, then rowid. */
  getPendingMessages(after: Cursor, limit: number, withContent: boolean): PendingPage {
    return this.#read((open) => {
      const found = pageOf(open, after, limit, withContent)
      this.#fresh.keep(found.rows, versionOf(open))
      return found
    })
  }

  /** The ids of such a page: a fourth of the work where most of it turns out to be finished. */
  getPendingIds(after: Cursor, limit: number): PendingIds {
    return this.#read((open) => idsOf(open, after, limit))
  }

  /**
   * The place of the row that a walk ended on, as far as numbers go; undefined when it is not in this file.
   */
  placeOf(seq: number, id: string): SeqPosition | undefined {
    return this.#read((open) => placeOfRow(open, seq, id))
  }

  /** Pending rows by id, as light rows, in file order. */
  getPendingByIds(ids: readonly string[], withContent: boolean): readonly PendingMessage[] {
    return this.#read((open) =>
      (open.pendingByIds.all(most(withContent), JSON.stringify(ids)) as Raw[]).map(pendingRow),
    )
  }

  /** The messages among `ids` that exist, whole, as they are now. */
  getMessages(ids: readonly string[]): Map<string, InboundRow> {
    return this.#read((open) => {
      const found = new Map<string, InboundRow>()
      const others = this.#fresh.take(ids, versionOf(open), found)
      if (others.length === 0) return found
      for (const raw of open.messages.all(JSON.stringify(others)) as Raw[])
        found.set(String(raw[0]), messageRow(raw))
      return found
    })
  }

  getMessageIn(id: string): InboundRow | undefined {
    return this.getMessages([id]).get(id)
  }

  /** The id of a row as it stands in the file, for one that is no proper text; null when there is none. */
  rawId(rowid: number): RawId | null {
    const [bytes, type] = this.#read(
      (open) => (open.rawId.get(rowid) ?? [null, '']) as [Buffer | null, string],
    )
    return bytes && { bytes, isText: type === 'text' }
  }

  /**
   * Pending answers to a question, by its exact id, the first one first. Content that is not JSON is passed
   * over.
   */
  questionResponses(questionId: string): InboundRow[] {
    return this.#read((open) => open.questionResponses.all(questionId) as Raw[]).map(messageRow)
  }

  /**
   * Those of these messages that are not ended by the host's own account; one that is not there any more is.
   * @throws SqliteError also for a host that keeps no such account
   */
  notEnded(ids: readonly string[]): Set<string> {
    const sql = `select id from messages_in where id in (select value from json_each(?)) and status not in ('completed', 'failed')`
    return new Set(this.#read(({ db }) => (db.prepare(sql).all(JSON.stringify(ids)) as [string][]).flat()))
  }

  /** Those of these replies that the host has recorded as delivered. */
  delivered(ids: readonly string[]): Set<string> {
    const sql = `select message_out_id from delivered where message_out_id in (select value from json_each(?)) and status = 'delivered'`
    return new Set(
      this.#read(({ db }) =>
        hasTable(db, 'delivered') ? (db.prepare(sql).all(JSON.stringify(ids)) as [string][]).flat() : [],
      ),
    )
  }

  /** The highest seq in the file; 0 when there is none. */
  maxSeq(): number {
    return this.#read((open) => (open.maxSeq.get() as [number | null])[0] ?? 0)
  }

  /**
   * Closes the file until something reads it, or its stamp has changed: an open file costs 260 KiB. Returns
   * whether it is at rest: not while there is something that `changed` has not spoken of, nor where the host
   * has written within `quietMs`, since times are coarse and two commits in a row may leave the same one.
   */
  rest(nowMs: number, quietMs: number): boolean {
    if (!this.#open) return this.#rested !== undefined
    const stamp = stampOf(this.#path)
    if (!stamp?.timesMs.every((timeMs) => Math.abs(nowMs - timeMs) >= quietMs)) return false
    try {
      if (this.#read((open) => versionOf(open) !== open.seen || open.ino !== stamp.ino)) return false
    } catch {
      return false
    }
    this.close()
    this.#rested = stamp
    return true
  }

  close(): void {
    this.#open?.db.close()
    this.#open = undefined
    this.#fresh.clear()
  }

  /**
   * Where there is no descriptor for another handle, the old one has to do: without it, nothing could be read
   * any more.
   */
  #meetAfresh(): void {
    let open: OpenInbound
    try {
      open = openInbound(this.#path, 0)
    } catch {
      return
    }
    this.close()
    this.#open = open
  }

  /**
   * A file that is new here: in WAL mode SQLite makes files beside it, and a mount between two machines tears
   * it.
   */
  #mode({ db }: OpenInbound): void {
    const [mode] = db.prepare('pragma journal_mode').get() as [string]
    if (mode === 'wal') this.#onWal?.({ path: this.#path })
  }

  /**
   * All that a read sees is one state of the file, whose tables are those that the statements were made for.
   */
  #snapshot<T>(busyMs: number, read: (open: OpenInbound) => T): T {
    for (;;) {
      const open = (this.#open ??= openInbound(this.#path, busyMs))
      const result = open.db.snapshot(() =>
        (open.schemaVersion.get() as [number])[0] === open.schema ? read(open) : SCHEMA_CHANGED,
      )
      if (result !== SCHEMA_CHANGED) return result as T
      this.close()
    }
  }

  /**
   * A read waits for no lock, since waiting would stop the whole event loop on each commit of the host; its
   * caller tries again in a moment. Only against a host that commits without a pause does it wait, once in a
   * while.
   */
  #read<T>(read: (open: OpenInbound) => T): T {
    const patient = this.#busyInARow >= IMPATIENT_READS
    const busyMs = patient ? READ_BUSY_MS : 0
    try {
      if (patient) this.#open?.db.prepare(`pragma busy_timeout = ${busyMs}`).get()
      const result = this.#snapshot(busyMs, read)
      this.#busyInARow = 0
      return result
    } catch (error) {
      if (classifyRead(error) !== 'retry') this.close()
      this.#busyInARow = patient ? 0 : this.#busyInARow + 1
      throw error
    } finally {
      if (patient) this.#open?.db.prepare('pragma busy_timeout = 0').get()
    }
  }
}

/**
 * A host may change its tables at any time: a column that was missing when the statements were made may be
 * there now.
 */
const SCHEMA_CHANGED = Symbol('schema changed')

/** What a commit changes at least one of. */
interface Stamp {
  readonly ino: number
  readonly dev: number
  readonly sizes: readonly number[]
  readonly timesMs: readonly number[]
}

/** Undefined: no file is there. */
function stampOf(path: string): Stamp | undefined {
  const file = fileAt(path)
  if (!file) return undefined
  // An empty log comes and goes with those that only read; an empty journal is one of no commit.
  const beside = [fileAt(`${path}-journal`), fileAt(`${path}-wal`)].map((each) =>
    each?.size ? each : undefined,
  )
  const files = [file, ...beside]
  const { ino, dev } = file
  return {
    ino,
    dev,
    sizes: files.map((each) => each?.size ?? 0),
    timesMs: files.map((each) => each?.mtimeMs ?? 0),
  }
}

function isSame(a: Stamp, b: Stamp | undefined): boolean {
  return (
    a.ino === b?.ino &&
    a.dev === b.dev &&
    a.sizes.every((size, n) => size === b.sizes[n]) &&
    a.timesMs.every((timeMs, n) => timeMs === b.timesMs[n])
  )
}

/** A number that changes with each commit of another handle. */
function versionOf({ dataVersion }: OpenInbound): number {
  return (dataVersion.get() as [number])[0]
}
