// One page of a walk over what is pending in inbound.db. It costs the same whatever the history: forward by seq through its
// index, and by rowid for rows without a number.
import { KEPT_CONTENT_MAX } from './fresh-rows.ts'
import type { InboundFile, Pages } from './inbound-file.ts'
import { type PendingRow, pendingRow, type Raw } from './message-rows.ts'

/** Routing by content reads no more than this of it; a longer message matches no content rule. */
const ROUTED_CONTENT_MAX = 1024 * 1024

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

/** Up to which length content is read. */
export function most(withContent: boolean): number {
  return withContent ? ROUTED_CONTENT_MAX : KEPT_CONTENT_MAX
}

export function pageOf(open: InboundFile, after: Cursor, limit: number, withContent: boolean): Page {
  const select = open.pending
  const upTo = most(withContent)
  const top = (open.maxSeq.get() as [number | null])[0] ?? START.seq
  const bound =
    top - after.seq > WINDOW
      ? ((open.window.get(after.seq, WINDOW) as [number] | undefined)?.[0] ?? top)
      : top
  const numbered =
    top > after.seq ? (select.bySeq.all(upTo, after.seq, bound, limit) as Raw[]).map(pendingRow) : []
  const full = numbered.length === limit
  const seq = full ? (numbered.at(-1)?.seq ?? bound) : Math.max(bound, after.seq)
  const room = limit - numbered.length
  const bare = room > 0 ? unnumbered(select, upTo, after.rowid, room) : []
  const rowid = bare.at(-1)?.rowid ?? after.rowid
  bare.sort((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : a.rowid - b.rowid))
  return {
    rows: [...numbered, ...bare],
    cursor: { seq, rowid },
    end: !full && bound === top && bare.length < Math.max(room, 1),
  }
}

function unnumbered(select: Pages, upTo: number, afterRowid: number, room: number): PendingRow[] {
  const raw = [select.byRowid, select.misnumbered].flatMap(
    (rows) => rows.all(upTo, afterRowid, room) as Raw[],
  )
  const rows = raw.map(pendingRow).sort((a, b) => a.rowid - b.rowid)
  return rows.slice(0, room)
}
