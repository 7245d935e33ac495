// What stands in the store of a folder, read past the runtime: in outbound.db, or in memory.
import type { MemoryFile } from '../support/memory-store.ts'
import type { Outbound } from './files.ts'

export type StoredReply = readonly [inReplyTo: string, seq: number, content: string]

export interface Disk {
  ack(id: string): string | undefined
  acks(): ReadonlyMap<string, string>
  repliesBehind(seq: number): readonly StoredReply[]
  /** How many runs have been charged to each message. */
  charged(): ReadonlyMap<string, number>
  /** Those that may not run yet: until when, and how long the pause was. */
  waits(): readonly (readonly [id: string, nextAtMs: number, waitMs: number])[]
  /** Deletes the claim of a message, as a host does. */
  unclaim(id: string): void
}

export class SqliteDisk implements Disk {
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

  charged(): ReadonlyMap<string, number> {
    return new Map(this.#all('charged') as [string, number][])
  }

  waits(): readonly (readonly [id: string, nextAtMs: number, waitMs: number])[] {
    return this.#all('waits') as [string, number, number][]
  }

  unclaim(id: string): void {
    this.#outbound.prepare(SQL.unclaim).run(id)
  }

  #all(what: keyof typeof SQL, ...values: unknown[]): unknown[] {
    return this.#outbound
      .prepare(SQL[what])
      .raw()
      .all(...values)
  }
}

const UNCHARGED: readonly string[] = ['interrupted', 'cancelled', 'rejected']

export class MemoryDisk implements Disk {
  readonly #file: MemoryFile

  constructor(file: MemoryFile) {
    this.#file = file
  }

  ack(id: string): string | undefined {
    return this.#file.contents.acks.get(id)?.status
  }

  acks(): ReadonlyMap<string, string> {
    return new Map([...this.#file.contents.acks].map(([id, { status }]) => [id, status]))
  }

  repliesBehind(seq: number): readonly StoredReply[] {
    return this.#file.contents.replies
      .filter((reply) => reply.seq > seq)
      .map((reply) => [reply.inReplyTo, reply.seq, reply.content])
  }

  charged(): ReadonlyMap<string, number> {
    const runs = [...this.#file.contents.runs]
    return new Map(
      runs.map(([id, all]) => [
        id,
        all.filter(({ outcome, reason }) => !UNCHARGED.includes(outcome) && reason !== 'retry_after').length,
      ]),
    )
  }

  waits(): readonly (readonly [id: string, nextAtMs: number, waitMs: number])[] {
    return [...this.#file.contents.runs].flatMap(([id, all]) =>
      all.flatMap(({ nextAtMs, endedAtMs }) =>
        nextAtMs === null ? [] : [[id, nextAtMs, nextAtMs - endedAtMs] as const],
      ),
    )
  }

  unclaim(id: string): void {
    if (this.ack(id) === 'processing') this.#file.contents.acks.delete(id)
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
  unclaim: "delete from processing_ack where message_id = ? and status = 'processing'",
}
