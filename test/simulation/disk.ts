// What stands in outbound.db, read past the runtime.
import type { Outbound } from './files.ts'

export type StoredReply = readonly [inReplyTo: string, seq: number, content: string]

export class Disk {
  readonly #outbound: Outbound

  constructor(outbound: Outbound) {
    this.#outbound = outbound
  }

  ack(id: string): string | undefined {
    return this.#outbound.prepare(SQL.ack).pluck().get(id) as string | undefined
  }

  acks(): ReadonlyMap<string, string> {
    return new Map(this.#all('acks') as [string, string][])
  }

  repliesBehind(seq: number): readonly StoredReply[] {
    return this.#all('replies', seq) as StoredReply[]
  }

  /** How many runs have been charged to each message. */
  charged(): ReadonlyMap<string, number> {
    return new Map(this.#all('charged') as [string, number][])
  }

  /** Those that may not run yet: until when, and how long the pause was. */
  waits(): readonly (readonly [id: string, nextAtMs: number, waitMs: number])[] {
    return this.#all('waits') as [string, number, number][]
  }

  #all(what: keyof typeof SQL, ...values: unknown[]): unknown[] {
    return this.#outbound
      .prepare(SQL[what])
      .raw()
      .all(...values)
  }
}

const CHARGED =
  "outcome is not null and outcome not in ('interrupted', 'cancelled', 'rejected') and reason is not 'retry_after'"
const SQL = {
  ack: 'select status from processing_ack where message_id = ?',
  acks: 'select message_id, status from processing_ack',
  replies: 'select in_reply_to, seq, content from messages_out where seq > ? order by seq',
  charged: `select message_id, count(*) from nanoclaw_run where ${CHARGED} group by message_id`,
  waits: 'select message_id, next_at, next_at - ended_at from nanoclaw_run where next_at is not null',
}
