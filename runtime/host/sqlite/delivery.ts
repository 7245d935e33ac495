// The host's delivery state, in inbound.db. `delivered` belongs to the protocol: a reply in it is finished,
// sent or given up. `nanoclaw_outgoing` is the queue before it: every reply enters once, in commit order, in
// the same transaction as the position up to which messages_out has been read.
import type { HostFile } from './file.ts'

/** A queued reply, without its content. */
export interface QueuedReply {
  readonly id: string
  /** Its destination; replies of one lane are sent one after the other. */
  readonly lane: string
  readonly attempts: number
  readonly dueAtMs: number
}

export interface NewQueuedReply {
  readonly id: string
  readonly lane: string
  readonly dueAtMs: number
}

/** The result of one attempt to send a reply. */
export type DeliveryAttempt =
  | {
      readonly type: 'delivered'
      readonly id: string
      readonly attempt: number
      readonly platformId: string | null
    }
  | {
      readonly type: 'retry'
      readonly id: string
      readonly attempt: number
      readonly error: string
      readonly nextAtMs: number
    }
  | { readonly type: 'dead'; readonly id: string; readonly attempt: number; readonly error: string }

/** A reply whose delivery was given up. */
export interface DeadLetter {
  readonly id: string
  readonly failedAt: string
  /** null: another host gave it up. */
  readonly error: string | null
  readonly attempts: number | null
}

/** The newest reply that has been queued. */
export function queuedUpTo(file: HostFile): string | undefined {
  return file.use(
    (db) => db.prepare('select message_out_id from nanoclaw_taken').pluck().get() as string | undefined,
  )
}

/** Inserts replies and moves the read position behind them, in one transaction; known replies are skipped. */
export function queueReplies(file: HostFile, parcels: readonly NewQueuedReply[]): void {
  file.transact((db) => {
    const insert = db.prepare(
      `insert into nanoclaw_outgoing (message_out_id, lane, due_at)
       select @id, @lane, @dueAtMs where not exists (select 1 from delivered where message_out_id = @id)
       on conflict (message_out_id) do nothing`,
    )
    for (const parcel of parcels) insert.run(parcel)
    db.prepare(
      `insert into nanoclaw_taken (id, message_out_id) values (1, ?)
       on conflict (id) do update set message_out_id = excluded.message_out_id`,
    ).run(parcels.at(-1)!.id)
  })
}

/**
 * Writes the results of attempts in one transaction. Sent: the reply leaves the queue and enters `delivered`.
 * Given up: it enters `delivered` as failed, and its error is kept.
 */
export function recordAttempt(file: HostFile, tried: readonly DeliveryAttempt[], at: string): void {
  file.transact((db) => {
    const leave = db.prepare('delete from nanoclaw_outgoing where message_out_id = ?')
    const wait = db.prepare(
      'update nanoclaw_outgoing set due_at = ?, attempts = ?, error = ? where message_out_id = ?',
    )
    const end = db.prepare(
      `insert into delivered (message_out_id, platform_message_id, status, delivered_at) values (?, ?, ?, ?)
       on conflict (message_out_id) do nothing`,
    )
    for (const one of tried) {
      switch (one.type) {
        case 'delivered':
          leave.run(one.id)
          end.run(one.id, one.platformId, 'delivered', at)
          break
        case 'retry':
          wait.run(one.nextAtMs, one.attempt, one.error, one.id)
          break
        case 'dead':
          wait.run(null, one.attempt, one.error, one.id)
          end.run(one.id, null, 'failed', at)
          break
        default:
          one satisfies never
      }
    }
  })
}

export function listDeadLetters(file: HostFile): DeadLetter[] {
  return file.use(
    (db) =>
      db
        .prepare(
          `select d.message_out_id as id, d.delivered_at as "failedAt", o.error, o.attempts
           from delivered d left join nanoclaw_outgoing o on o.message_out_id = d.message_out_id
           where d.status = 'failed' order by d.delivered_at`,
        )
        .all() as DeadLetter[],
  )
}

/** Queues a given-up reply again, in its old position where that is known; false when it was not given up. */
export function redeliver(file: HostFile, { id, lane, dueAtMs }: NewQueuedReply): boolean {
  return file.transact((db) => {
    const { changes } = db
      .prepare(`delete from delivered where message_out_id = ? and status = 'failed'`)
      .run(id)
    if (changes === 0) return false
    db.prepare(
      `insert into nanoclaw_outgoing (message_out_id, lane, due_at) values (?, ?, ?)
       on conflict (message_out_id) do update set due_at = excluded.due_at, attempts = 0, error = null`,
    ).run(id, lane, dueAtMs)
    return true
  })
}
