// What both files together must say: of single messages (cheap, after every kill, for those that have ended
// since) and of all of them (now and then, from the beginning, remembering nothing but how each message had
// ended before).
import type { Db } from './files.ts'
import type { About, Trace } from './trace.ts'
import type { Violation } from './violation.ts'
import { CRASHES_MAX, endOf, type Task } from './workload.ts'

interface Ack {
  readonly rowid: number
  readonly id: string
  readonly status: string
  readonly changed: string
}

const FINAL = new Set(['completed', 'failed'])
/** Runs without an end, as docs/protocol.md says where they stand. */
const RUNNING = `
  select json_extract(value, '$[0]') as message_id from nanoclaw_batch, json_each(runs)
  where not exists (select 1 from nanoclaw_run r
    where r.message_id = json_extract(value, '$[0]') and r.run = json_extract(value, '$[1]'))`

export class Books {
  readonly #inbound: Db
  readonly #outbound: Db
  readonly #violations: Violation[]

  constructor(inbound: Db, outbound: Db, violations: Violation[]) {
    this.#inbound = inbound
    this.#outbound = outbound
    this.#violations = violations
  }

  about(id: string): About | undefined {
    const row = this.#inbound
      .prepare('select seq, thread_id, process_after from messages_in where id = ?')
      .raw()
      .get(id) as [number, string | null, string | null] | undefined
    return row && { seq: row[0], key: row[1], dueAtMs: row[2] === null ? 0 : Date.parse(row[2]) || 0 }
  }

  /** Acks of messages behind `rowid`, oldest first. */
  acksAfter(rowid: number): Ack[] {
    return this.#outbound
      .prepare(
        'select rowid, message_id as id, status, status_changed as changed from processing_ack where rowid > ? order by rowid',
      )
      .all(rowid) as Ack[]
  }

  /**
   * I1, I2, I3, I11 of these messages.
   * @param known how messages had ended at the last check; those that have ended since are added
   */
  checkAcks(acks: readonly Ack[], known: Map<string, string>): void {
    for (const { id, status, changed } of acks) {
      const before = known.get(id)
      if (before !== undefined && before !== `${status} ${changed}`)
        this.#say('I1', `${id} was ${before}, and is ${status} ${changed}`)
      if (!FINAL.has(status)) continue
      known.set(id, `${status} ${changed}`)
      if (before === undefined) this.#checkEnd(id, status)
    }
  }

  /** I3 of the replies behind `rowid`. @returns the last one's */
  checkReplies(rowid: number): number {
    const rows = this.#outbound
      .prepare(
        `select o.rowid, o.id, o.in_reply_to, a.status from messages_out o
         left join processing_ack a on a.message_id = o.in_reply_to where o.rowid > ? order by o.rowid`,
      )
      .raw()
      .all(rowid) as [number, string, string, string | null][]
    for (const [, id, message, status] of rows) {
      if (status !== 'completed')
        this.#say('I3', `reply ${id} is there, its message is ${status ?? 'not acked'}`)
      if (!id.startsWith(`${message}:`)) this.#say('I2', `reply ${id} is not one of ${message}`)
    }
    return rows.at(-1)?.[0] ?? rowid
  }

  /** I7: the starts that handlers have written down are on record. */
  checkStarts(ids: Iterable<string>, trace: Trace): void {
    const runs = this.#outbound
      .prepare(`select (select count(*) from nanoclaw_run where message_id = :id)
        + (select count(*) from (${RUNNING}) where message_id = :id)`)
      .pluck()
    for (const id of ids) {
      const started = trace.startsToAccountFor(id)
      const recorded = runs.get({ id }) as number
      if (recorded < started)
        this.#say('I7', `lost attempt: ${id} has started ${started} times, ${recorded} runs are on record`)
    }
  }

  epoch(): number {
    return this.#outbound.prepare('select epoch from nanoclaw_runtime').pluck().get() as number
  }

  counts(): { messages: number; ended: number; runs: number; replies: number } {
    const count = (db: Db, sql: string) => db.prepare(sql).pluck().get() as number
    return {
      messages: count(this.#inbound, 'select count(*) from messages_in'),
      ended: count(
        this.#outbound,
        "select count(*) from processing_ack where status in ('completed', 'failed')",
      ),
      runs: count(this.#outbound, 'select count(*) from nanoclaw_run'),
      replies: count(this.#outbound, 'select count(*) from messages_out'),
    }
  }

  failed(): string[] {
    return this.#outbound
      .prepare("select message_id from processing_ack where status = 'failed'")
      .pluck()
      .all() as string[]
  }

  checkIntegrity(): void {
    const verdict = this.#outbound.pragma('integrity_check', { simple: true })
    if (verdict !== 'ok') this.#say('I10', `integrity_check of outbound.db: ${verdict}`)
  }

  /** I4: in each key, what has ended stands before what has not, and ended in order. */
  checkKeys(): void {
    const acks = new Map(this.acksAfter(0).map((ack) => [ack.id, ack]))
    const rows = this.#inbound
      .prepare('select thread_id, id from messages_in where thread_id is not null order by thread_id, seq')
      .raw()
      .all() as [string, string][]
    let last: { key: string; id: string; changed: string | undefined } | undefined
    for (const [key, id] of rows) {
      const ack = acks.get(id)
      const changed = ack && FINAL.has(ack.status) ? ack.changed : undefined
      if (
        last?.key === key &&
        changed !== undefined &&
        (last.changed === undefined || last.changed > changed)
      )
        this.#say('I4', `${id} ended ${changed}, ${last.id} before it in ${key} ${last.changed ?? 'has not'}`)
      last = { key, id, changed }
    }
  }

  /**
   * I7: charged attempts are numbered 1, 2, 3 …; deaths stay within their limit; no run of a message that is
   * not there.
   */
  checkRuns(): void {
    const rows = this.#outbound
      .prepare(
        `select message_id, attempt, outcome, alone from nanoclaw_run
         where outcome not in ('cancelled', 'rejected') order by message_id, run`,
      )
      .raw()
      .all() as [string, number, string, number][]
    const exists = this.#inbound.prepare('select 1 from messages_in where id = ?')
    let of: { id: string; charged: number; deaths: number } | undefined
    for (const [id, attempt, outcome, alone] of rows) {
      if (of?.id !== id) {
        of = { id, charged: 0, deaths: 0 }
        if (!exists.get(id)) this.#say('I1', `a run of ${id}; inbound.db has no such message`)
      }
      if (attempt !== of.charged + 1)
        this.#say('I7', `${id} has a run of attempt ${attempt} after ${of.charged} charged ones`)
      if (outcome !== 'interrupted') of.charged++
      if (alone === 1 && ['interrupted', 'exited', 'killed'].includes(outcome)) of.deaths++
      if (of.deaths > CRASHES_MAX) this.#say('I7', `${id} has brought down ${of.deaths} processes`)
    }
  }

  /** I6: nothing is left open. */
  checkNothingOpen(known: ReadonlyMap<string, string>): void {
    const ids = this.#inbound.prepare('select id from messages_in').pluck().all() as string[]
    for (const id of ids) if (!known.has(id)) this.#say('I6', `${id} has not ended`)
    const open = this.#outbound.prepare(`select message_id from (${RUNNING})`).pluck()
    for (const id of open.all()) this.#say('I6', `a run of ${id} is still open`)
  }

  #checkEnd(id: string, status: string): void {
    const row = this.#inbound
      .prepare('select content, process_after from messages_in where id = ?')
      .raw()
      .get(id) as [string, string | null] | undefined
    if (!row) return this.#say('I1', `ack of ${id}; inbound.db has no such message`)
    const end = endOf(id, JSON.parse(row[0]) as Task, row[1])
    const reason = this.#outbound
      .prepare('select reason from nanoclaw_run where message_id = ? order by run desc limit 1')
      .pluck()
      .get(id)
    if (status !== end.status)
      this.#say('I11', `${id} is ${status} (${reason}); expected ${end.status}: ${row[0]}`)
    else if (end.status === 'failed' && reason !== end.reason)
      this.#say('I11', `${id} failed for ${reason}; expected ${end.reason}`)
    const replies = this.#outbound
      .prepare('select content from messages_out where id > ? and id < ? order by seq')
      .pluck()
      .all(`${id}:`, `${id};`) as string[]
    const expected = status === 'completed' && end.status === 'completed' ? end.replies : []
    if (replies.join() !== expected.join())
      this.#say('I2', `${id} is ${status} with replies [${replies}]; expected [${expected}]`)
  }

  #say(invariant: Violation['invariant'], text: string): void {
    this.#violations.push({ invariant, text })
  }
}
