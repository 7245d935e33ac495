// Which replies of the delivery queue are due now, and when the next one is.
import type { QueuedReply } from './delivery.ts'
import type { HostFile } from './file.ts'

/**
 * The first due reply of each lane, up to `limit`, round robin after the lane `after`. A reply that waits for
 * a retry blocks its lane; one that is not due yet does not.
 */
export function headsOf(
  file: HostFile,
  { after, busy, limit, nowMs }: { after: string; busy: ReadonlySet<string>; limit: number; nowMs: number },
): QueuedReply[] {
  return file.use((db) => {
    if (limit <= 0) return []
    const nextLane = db
      .prepare('select min(lane) from nanoclaw_outgoing where lane > ? and due_at is not null')
      .pluck()
    const head = db.prepare(
      `select message_out_id as id, lane, attempts, due_at as "dueAtMs" from nanoclaw_outgoing
       where lane = ? and due_at is not null and (attempts > 0 or due_at <= ?) order by position limit 1`,
    )
    const heads: QueuedReply[] = []
    const walk = (from: string, upTo: string | undefined) => {
      let lane = nextLane.get(from) as string | null
      while (lane !== null && (upTo === undefined || lane <= upTo) && heads.length < limit) {
        const parcel = busy.has(lane) ? undefined : (head.get(lane, nowMs) as QueuedReply | undefined)
        if (parcel && parcel.dueAtMs <= nowMs) heads.push(parcel)
        lane = nextLane.get(lane) as string | null
      }
    }
    walk(after, undefined)
    walk('', after)
    return heads
  })
}

export interface QueueTimes {
  /** The queue is empty. */
  readonly isEmpty: boolean
  /**
   * When the next scheduled reply becomes due. Replies that are due now wait for their lane or a slot, not
   * for a time.
   */
  readonly nextDueMs: number
}

export function queueTimes(file: HostFile, nowMs: number): QueueTimes {
  return file.use((db) => {
    const [first, next] = db
      .prepare(
        `select min(due_at), (select min(due_at) from nanoclaw_outgoing where due_at > ?)
         from nanoclaw_outgoing where due_at is not null`,
      )
      .raw()
      .get(nowMs) as [number | null, number | null]
    return { isEmpty: first === null, nextDueMs: next ?? Number.POSITIVE_INFINITY }
  })
}
