// One page of a walk over what is pending in inbound.db. It costs the same whatever the history: forward by
// (seq, rowid) through the index on seq, since a host's table may let two rows have one seq; and by rowid for
// rows without a number.
import type { Cursor, SeqPosition } from '../../protocol/cursor.ts'
import { KEPT_CONTENT_MAX } from './fresh-rows.ts'
import type { OpenInbound, Pages } from './inbound-file.ts'
import { type PendingMessage, pendingRow, type Raw, ROWID_AT, SEQ_MAX, textId } from './message-rows.ts'

/** Routing by content reads no more than this of it; a longer message matches no content rule. */
const ROUTED_CONTENT_MAX = 1024 * 1024

export interface PendingPage {
  readonly rows: readonly PendingMessage[]
  readonly cursor: Cursor
  /** Nothing pending lies between the cursor and the end of the file as it was when the page was read. */
  readonly end: boolean
}

/** Before every row; rowids may be as low as -2^63, which is no safe integer. */
export const START: Cursor = {
  seq: Number.MIN_SAFE_INTEGER,
  seqRowid: Number.NEGATIVE_INFINITY,
  id: null,
  rowid: Number.NEGATIVE_INFINITY,
}

/**
 * Index entries passed over in one read at most, so that a long stretch of finished messages never blocks the
 * loop.
 */
const WINDOW = 5_000
/** With no more rows than this behind the cursor, rows whose number is none are looked for among those. */
const NEAR = 200

/** Up to which length content is read. */
export function most(withContent: boolean): number {
  return withContent ? ROUTED_CONTENT_MAX : KEPT_CONTENT_MAX
}

export function pageOf(open: OpenInbound, after: Cursor, limit: number, withContent: boolean): PendingPage {
  const walked = walk(
    open,
    { pages: open.pending, values: [most(withContent)], rowidAt: ROWID_AT },
    after,
    limit,
  )
  const bare = walked.bare.map(pendingRow)
  bare.sort((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : a.rowid - b.rowid))
  return { rows: [...walked.numbered.map(pendingRow), ...bare], cursor: walked.cursor, end: walked.end }
}

/** The ids of a page, by number and by rowid; null for one that is not text. */
export interface PendingIds extends Pick<PendingPage, 'cursor' | 'end'> {
  readonly ids: readonly (string | null)[]
}

export function idsOf(open: OpenInbound, after: Cursor, limit: number): PendingIds {
  return fullPageOf(open, after, limit) ?? idsOfWalk(open, after, limit)
}

/**
 * Where nearly all is pending: ids alone, and then the place of the last. undefined: there are too few in one
 * stretch, or odd ones.
 */
function fullPageOf(open: OpenInbound, after: Cursor, limit: number): PendingIds | undefined {
  const [end] = (open.window.get(after.seq, Math.min(2 * limit, WINDOW)) ?? []) as number[]
  if (end === undefined || open.pendingPlaces.sameSeq.all(after.seq, after.seqRowid, 1).length > 0)
    return undefined
  const ids = (open.pendingIds.all(after.seq, end, limit) as unknown[]).map(textId)
  const last = ids.at(-1)
  const place = ids.length === limit && last ? open.placeBehind.get(last, after.seq) : undefined
  if (!place || !last) return undefined
  const [seq, seqRowid] = place as [number, number]
  return { ids, cursor: { ...after, seq, seqRowid, id: last }, end: false }
}

function idsOfWalk(open: OpenInbound, after: Cursor, limit: number): PendingIds {
  const { numbered, bare, cursor, end } = walk(
    open,
    { pages: open.pendingPlaces, values: [], rowidAt: 2 },
    after,
    limit,
  )
  return { ids: [...numbered, ...bare].map(([id]) => textId(id)), cursor, end }
}

/** What is read of each row. */
interface Reading {
  readonly pages: Pages
  readonly values: readonly number[]
  readonly rowidAt: number
}

function walk(open: OpenInbound, reading: Reading, after: Cursor, limit: number) {
  const top = lastUpTo(open, SEQ_MAX)
  const [windowEnd] = (open.window.get(after.seq, WINDOW) ?? []) as number[]
  const bound = windowEnd === undefined ? top : lastUpTo(open, windowEnd)
  const numbered = numberedBehind(reading, after, bound.seq, limit)
  const full = numbered.length === limit
  const last = full ? placeOf(numbered.at(-1)!, reading) : bound
  const room = limit - numbered.length
  const bare = room > 0 ? unnumbered(open, reading, after.rowid, room) : []
  const rowid = bare.length > 0 ? Number(bare.at(-1)![reading.rowidAt]) : after.rowid
  return {
    numbered,
    bare,
    cursor: { ...(isBehind(last, after) ? last : after), rowid },
    end: !full && bound.seq === top.seq && bare.length < Math.max(room, 1),
  }
}

/** undefined: this file has no row with that number and id. */
export function placeOfRow(open: OpenInbound, seq: number, id: string): SeqPosition | undefined {
  const raw = open.rowOf.get(id, seq) as Raw | undefined
  return raw && { seq, seqRowid: raw[2] as number, id }
}

function isBehind(a: SeqPosition, b: SeqPosition): boolean {
  return a.seq > b.seq || (a.seq === b.seq && a.seqRowid > b.seqRowid)
}

/** The last row whose number is this at most. */
function lastUpTo(open: OpenInbound, seq: number): SeqPosition {
  const [id, last, rowid] = (open.lastUpTo.get(seq) ?? [null, START.seq, START.seqRowid]) as Raw
  return { seq: last as number, seqRowid: rowid as number, id: id === null ? null : String(id) }
}

function numberedBehind({ pages, values }: Reading, after: Cursor, bound: number, limit: number): Raw[] {
  const same = pages.sameSeq.all(...values, after.seq, after.seqRowid, limit) as Raw[]
  const room = limit - same.length
  return room > 0 && bound > after.seq
    ? [...same, ...(pages.bySeq.all(...values, after.seq, bound, room) as Raw[])]
    : same
}

function placeOf(raw: Raw, { rowidAt }: Reading): SeqPosition {
  return { seq: raw[1] as number, seqRowid: raw[rowidAt] as number, id: String(raw[0]) }
}

/**
 * Numbers that are none have no index of their own: where such rows are the many, a search among all of them
 * would cost more with each; where they are few, one among all rows would.
 */
function unnumbered(open: OpenInbound, reading: Reading, afterRowid: number, room: number): Raw[] {
  const { pages, values, rowidAt } = reading
  const [topRowid] = open.maxRowid.get() as [number | null]
  const near = topRowid !== null && topRowid - afterRowid <= NEAR
  const raw = [pages.byRowid, near ? pages.misnumberedNear : pages.misnumbered].flatMap(
    (rows) => rows.all(...values, afterRowid, room) as Raw[],
  )
  return raw.sort((a, b) => Number(a[rowidAt]) - Number(b[rowidAt])).slice(0, room)
}
