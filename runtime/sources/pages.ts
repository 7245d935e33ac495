// Reads inbound.db page by page for every walk over it, and has admission find the rows their places.
import type { RawId } from '../protocol/commit-batch.ts'
import type { Cursor, SeqPosition } from '../protocol/cursor.ts'
import type { MessageRow } from '../queue/message.ts'
import type { Admission, Origin } from './admission.ts'
import { hasPassed } from './cursor.ts'
import type { PendingRow } from './pending-row.ts'

export interface Page {
  readonly rows: readonly PendingRow[]
  readonly cursor: Cursor
  readonly end: boolean
}

export interface InboundFile {
  changed(doubt: boolean): 'no' | 'yes' | 'replaced'
  getPendingMessages(after: Cursor, limit: number, withContent: boolean): Page
  getPendingByIds(ids: readonly string[], withContent: boolean): readonly PendingRow[]
  /** The ids of such a page; null for one that is not text. */
  getPendingIds(
    after: Cursor,
    limit: number,
  ): Pick<Page, 'cursor' | 'end'> & { readonly ids: readonly (string | null)[] }
  getMessages(ids: readonly string[]): ReadonlyMap<string, MessageRow>
  maxSeq(): number
  placeOf(seq: number, id: string): SeqPosition | undefined
  rawId(rowid: number): RawId | null
}

export interface PagesParts {
  readonly inbound: InboundFile
  readonly admission: Admission
  /** Rows read in one go. */
  readonly pageRows: number
  /** Those of these messages that have no end on record, and no more than `limit`. */
  readonly unfinished: (ids: readonly string[], limit: number) => readonly string[]
}

export class PageReader {
  readonly #parts: PagesParts
  /** The last page of recorded rows held finished messages for the most part. */
  #skims = false

  constructor(parts: PagesParts) {
    this.#parts = parts
  }

  /**
   * Reads the next page and gives its rows up to `upTo` their places. `skimRows`: as many, where most of them
   * is finished.
   */
  admit(after: Cursor, origin: Origin, skimRows: number, upTo?: Cursor): Pick<Page, 'cursor' | 'end'> {
    const { inbound, admission, pageRows } = this.#parts
    const skimmed =
      origin.recorded && (this.#skims || origin.refills) ? this.#skim(after, skimRows) : undefined
    const page = skimmed ?? inbound.getPendingMessages(after, pageRows, admission.readsContent)
    const rows = inOrder(upTo ? page.rows.filter((row) => hasPassed(upTo, row)) : page.rows)
    const finished = admission.admit(rows, origin)
    if (!skimmed && origin.recorded && !origin.refills && rows.length > 0)
      this.#skims = finished > rows.length / 2
    return page
  }

  /**
   * A longer page that leaves out what is finished, with one look-up for all of it. Undefined where a page of
   * whole rows does as well: most is unfinished, or a message is there that needs its whole row.
   */
  #skim(after: Cursor, skimRows: number): Page | undefined {
    const { inbound, admission, pageRows, unfinished } = this.#parts
    const { ids, cursor, end } = inbound.getPendingIds(after, skimRows)
    const named = ids.filter((id) => id !== null)
    if (named.length < ids.length) return undefined
    const left = unfinished(named, pageRows + 1)
    if (left.length > pageRows) return undefined
    const rows = left.length > 0 ? inbound.getPendingByIds(left, admission.readsContent) : []
    return rows.some(({ seq }) => seq === null) ? undefined : { rows, cursor, end }
  }
}

/**
 * Earlier rows first, whatever order a source gives them in: where there is little room, the row that comes
 * first gets it, and the later ones of its key wait.
 */
function inOrder(rows: readonly PendingRow[]): readonly PendingRow[] {
  return rows.every((row, n) => n === 0 || bySeq(rows[n - 1]!, row) <= 0) ? rows : [...rows].sort(bySeq)
}

/** Rows without a number come last, in the order that they have. */
function bySeq(a: PendingRow, b: PendingRow): number {
  if (a.seq === b.seq) return a.seq === null ? 0 : a.rowid - b.rowid
  return (a.seq ?? Number.POSITIVE_INFINITY) - (b.seq ?? Number.POSITIVE_INFINITY)
}
