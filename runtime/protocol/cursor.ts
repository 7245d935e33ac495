// Positions in messages_in, as the source keeps them and the store reads from them.

/** The last row with a number that a scan has passed; `id` is null where it has passed none. */
export interface SeqPosition {
  readonly seq: number
  readonly seqRowid: number
  readonly id: string | null
}

/** How far a scan has come. */
export interface Cursor extends SeqPosition {
  /** The last row without a number that it has passed. */
  readonly rowid: number
}
