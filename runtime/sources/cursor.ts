// How far a walk over inbound.db has come, and what lies before what.
import type { Cursor, SeqPosition } from '../protocol/cursor.ts'

interface Numbered {
  readonly seq: number | null
  readonly rowid: number
}

/** Some row lies behind the first and not behind the second. */
export function isBefore(a: Cursor, b: Cursor): boolean {
  return a.seq < b.seq || (a.seq === b.seq && a.seqRowid < b.seqRowid) || a.rowid < b.rowid
}

export function furthest(a: Cursor, b: Cursor): Cursor {
  const isAhead = a.seq > b.seq || (a.seq === b.seq && a.seqRowid >= b.seqRowid)
  return { ...(isAhead ? a : b), rowid: Math.max(a.rowid, b.rowid) }
}

export function hasPassed(cursor: Cursor, { seq, rowid }: Numbered): boolean {
  if (seq === null) return rowid <= cursor.rowid
  return seq < cursor.seq || (seq === cursor.seq && rowid <= cursor.seqRowid)
}

export function isSamePosition(a: SeqPosition, b: SeqPosition): boolean {
  return a.seq === b.seq && a.seqRowid === b.seqRowid
}
