// The checkpoint: how far a start may skip the file. Every message with a seq up to it is finished, or listed
// as unfinished, or on record as waiting for its next attempt. The list is bounded: with more that is
// unfinished the checkpoint stays lower, and so it does before what stands behind a message that waits and
// was not taken in.
import type { Checkpoint, WaitingPlace } from '../protocol/commit-batch.ts'
import type { Cursor, SeqPosition } from '../protocol/cursor.ts'
import type { Queue } from '../queue/queue.ts'
import type { Admission, Origin } from './admission.ts'
import { hasPassed, isSamePosition } from './cursor.ts'
import type { InboundFile } from './pages.ts'
import type { SetAside } from './set-aside.ts'

export interface CheckpointParts {
  readonly inbound: InboundFile
  readonly admission: Admission
  readonly queue: Queue
  readonly setAside: SetAside
  readonly waiting: (after: WaitingPlace | undefined, limit: number) => readonly WaitingPlace[]
  /** As the last runtime left it. */
  readonly checkpoint: Checkpoint
  /** Before every row. */
  readonly start: Cursor
  readonly pageRows: number
  readonly readyMax: number
  readonly unfinishedMax: number
  /** True: the lanes have room now. */
  readonly makeRoom: () => boolean
}

interface Known {
  readonly id: string
  readonly seq: number
}

const EVERY_MS = 1_000

export class CheckpointKeeper {
  readonly #parts: CheckpointParts
  #isRead = false
  #keptAtMs = 0
  #kept: SeqPosition

  constructor(parts: CheckpointParts) {
    this.#parts = parts
    this.#kept = parts.start
  }

  /** It is known whether the checkpoint fits this file. */
  get isRead(): boolean {
    return this.#isRead
  }

  /** Takes in what it lists, and returns from where on to scan. */
  read(origin: Origin): Cursor {
    const { checkpoint, start } = this.#parts
    const place = checkpoint.seq === start.seq ? start : this.#placeOf(checkpoint)
    // Without a place the checkpoint was made for another file: its list does not fit this one.
    const isKnown = place && (place === start || this.#readUnfinished({ ...start, ...place }, origin))
    const from = isKnown ? { ...start, ...place } : start
    this.#kept = from
    this.#isRead = true
    return from
  }

  /** Another file stands at the path. */
  startOver(): void {
    this.#kept = this.#parts.start
  }

  whenDue(nowMs: number, scanned: SeqPosition): Checkpoint | null {
    if (!this.#isRead || nowMs - this.#keptAtMs < EVERY_MS || isSamePosition(this.#kept, scanned)) return null
    this.#keptAtMs = nowMs
    return this.upTo(scanned)
  }

  upTo(scanned: SeqPosition): Checkpoint {
    const { checkpoint, unfinishedMax, start, queue, setAside } = this.#parts
    // The messages that the checkpoint lists have not been read yet; a stop at this point must keep the list.
    if (!this.#isRead) return checkpoint
    const reached = this.#reached(scanned)
    const unfinished: Known[] = [...queue.unfinishedUpTo(reached.seq), ...setAside.unlistedUpTo(reached.seq)]
    const all = unfinished.length <= unfinishedMax
    const listed = all ? unfinished : firstOf(unfinished, unfinishedMax)
    const last = listed.at(-1)
    this.#kept = all ? reached : { ...start, seq: last?.seq ?? start.seq, id: last?.id ?? null }
    return { seq: this.#kept.seq, id: this.#kept.id, unfinished: listed.map(({ id }) => id) }
  }

  /** Nothing up to here is in the file alone. */
  #reached(scanned: SeqPosition): SeqPosition {
    const { setAside, start } = this.#parts
    const { tailFrom, tails } = setAside
    if (tailFrom === undefined || scanned.seq < tailFrom) return scanned
    const heads = [...tails].flatMap(({ begun }) => begun.map(({ seq, id }) => ({ ...start, seq, id })))
    let reached: SeqPosition = start
    for (const place of [this.#kept, ...heads])
      if (place.seq < tailFrom && place.seq > reached.seq) reached = place
    return reached
  }

  /**
   * What waits comes first, since nothing of its key may come before it. False: more than there is room for
   * is due at once; the scan finds it in its turn, and goes beyond it.
   */
  #readUnfinished(upTo: Cursor, origin: Origin): boolean {
    const { inbound, admission, checkpoint, waiting, pageRows, readyMax, queue, makeRoom } = this.#parts
    const admit = (ids: readonly string[]) => {
      const rows = inbound.getPendingByIds(ids, admission.readsContent)
      admission.admit(
        rows.filter((row) => hasPassed(upTo, row)),
        origin,
      )
    }
    for (let after: WaitingPlace | undefined; ; ) {
      const page = waiting(after, pageRows)
      admit(page.map(({ id }) => id))
      if (queue.lanes.size >= readyMax && !makeRoom()) return false
      after = page.at(-1)
      if (page.length < pageRows) break
    }
    admit(checkpoint.unfinished)
    return true
  }

  /** One from before checkpoints knew their row fits every file that is long enough. */
  #placeOf({ seq, id }: Checkpoint): SeqPosition | undefined {
    const { inbound } = this.#parts
    if (id !== null) return inbound.placeOf(seq, id)
    return inbound.maxSeq() < seq ? undefined : { seq, seqRowid: Number.POSITIVE_INFINITY, id }
  }
}

/**
 * The first of these by seq, as many as `max`; of those that share a seq all or none, so that they end at
 * one.
 */
function firstOf(unfinished: Known[], max: number): Known[] {
  unfinished.sort((a, b) => a.seq - b.seq)
  const nextSeq = unfinished[max]!.seq
  let end = max
  while (end > 0 && unfinished[end - 1]!.seq === nextSeq) end--
  return unfinished.slice(0, end)
}
