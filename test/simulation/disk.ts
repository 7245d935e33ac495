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
  /** Messages between two runs because of a wait. */
  waiting(): readonly string[]
  /** How this one waits; undefined: it does not. */
  suspended(id: string): string | undefined
  /** Its steps and waits: name, state, value. */
  named(id: string): readonly string[]
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

  waiting(): readonly string[] {
    return this.#outbound.prepare(SQL.waiting).pluck().all() as string[]
  }

  suspended(id: string): string | undefined {
    return this.#outbound.prepare(SQL.suspended).pluck().get(id) as string | undefined
  }

  named(id: string): readonly string[] {
    return this.#outbound.prepare(SQL.named).pluck().all(id) as string[]
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

const UNCHARGED = ['interrupted', 'cancelled', 'rejected', 'suspended', 'answered', 'late-answer']

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

  waiting(): readonly string[] {
    return [...this.#file.contents.waiting.keys()]
  }

  suspended(id: string): string | undefined {
    const waiting = this.#file.contents.waiting.get(id)
    return waiting && `${waiting.wakeAtMs} ready: ${waiting.ready} holds: ${waiting.holds}`
  }

  named(id: string): readonly string[] {
    const { steps = [], waits = [] } = this.#file.contents.journals.get(id) ?? {}
    return [...steps, ...waits].map(({ name, state, value }) => `${name} ${state} ${value}`)
  }

  unclaim(id: string): void {
    if (this.ack(id) === 'processing') this.#file.contents.acks.delete(id)
  }
}

const CHARGED = `outcome is not null and reason is not 'retry_after'
  and outcome not in (${UNCHARGED.map((outcome) => `'${outcome}'`)})`
const SQL = {
  ack: 'select status from processing_ack where message_id = ?',
  acks: 'select message_id, status from processing_ack',
  replies: 'select in_reply_to, seq, content from messages_out where seq > ? order by seq',
  charged: `select message_id, count(*) from nanoclaw_run where ${CHARGED} group by message_id`,
  waits: 'select message_id, next_at, next_at - ended_at from nanoclaw_run where next_at is not null',
  waiting: 'select message_id from nanoclaw_waiting',
  suspended: `select wake_at || ' ready: ' || iif(ready, 'true', 'false') || ' holds: ' || iif(holds, 'true', 'false')
    from nanoclaw_waiting where message_id = ?`,
  named: `select name || ' ' || state || ' ' || coalesce(value, 'null') from nanoclaw_step where message_id = ?`,
  unclaim: "delete from processing_ack where message_id = ? and status = 'processing'",
}

/** The replies of each message, in the order of their numbers, which must be odd and rise. */
export function byMessage(
  rows: readonly StoredReply[],
  fail: (fault: string) => never,
): { readonly replies: ReadonlyMap<string, string[]>; readonly lastSeq: number } {
  const replies = new Map<string, string[]>()
  let lastSeq = 0
  for (const [id, seq, content] of rows) {
    if (seq % 2 !== 1 || seq <= lastSeq) fail(`a reply to ${id} has seq ${seq}, after ${lastSeq}`)
    lastSeq = seq
    const known = replies.get(id)
    if (known) known.push(content)
    else replies.set(id, [content])
  }
  return { replies, lastSeq }
}
