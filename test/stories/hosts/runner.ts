// A runner of the kind that this project replaces, as far as the two files are concerned: what it reads, what
// it writes, in which order, with its own slips. Written anew. One call of turn() is one round of its loop;
// what it does with a batch is to answer with what it was given, as a provider would that repeats everything.
import { utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { RUNNER_OUTBOUND } from '../../support/shapes.ts'

export interface Taken {
  readonly id: string
  readonly kind: string
  readonly content: any
  readonly trigger: number
}

interface Routing {
  readonly channel_type: string | null
  readonly platform_id: string | null
  readonly thread_id: string | null
}

const MESSAGES_PER_PROMPT = 10

export class UpstreamRunner {
  readonly #dir: string
  readonly #shape: 'seed' | 'head'
  readonly #out: Database.Database
  #firstPoll = true
  #sent = 0

  /** @throws where the newest one ends at its start: a table of the host is missing */
  constructor(dir: string, shape: 'seed' | 'head') {
    this.#dir = dir
    this.#shape = shape
    this.#out = new Database(join(dir, 'outbound.db'))
    this.#out.pragma('journal_mode = DELETE')
    this.#out.pragma('busy_timeout = 5000')
    this.#out.prepare(`DELETE FROM processing_ack WHERE status = 'processing'`).run()
    if (shape === 'seed') return
    this.#out.exec(RUNNER_OUTBOUND.replaceAll('CREATE TABLE', 'CREATE TABLE IF NOT EXISTS'))
    this.#in((db) => db.prepare('SELECT name FROM destinations').all())
  }

  /**
   * Takes what is due, answers it, and says so. Returns what it took; none of it is answered in `onlyClaim`.
   */
  turn({ onlyClaim = false } = {}): Taken[] {
    const batch = this.#pending()
    this.#firstPoll = false
    if (batch.length === 0) return []
    for (const { id } of batch) this.#ack(id, 'processing')
    this.#beat()
    if (onlyClaim) return batch
    const said = batch.map(({ content }) => content.prompt ?? content.text).join(', ')
    // The first one answers and says later that it is done; the newest one does it the other way round.
    if (this.#shape === 'seed') this.write('chat', { text: said }, this.#routingOf(batch[0]!))
    for (const { id } of batch) this.#ack(id, 'completed')
    if (this.#shape === 'head') this.write('chat', { text: said })
    return batch
  }

  /** By the name of a destination; false when there is none of that name. */
  writeTo(name: string, text: string): boolean {
    const to = this.#in((db) =>
      db
        .prepare('SELECT channel_type, platform_id, NULL AS thread_id FROM destinations WHERE name = ?')
        .get(name),
    ) as Routing | undefined
    if (to) this.write('chat', { text }, to)
    return to !== undefined
  }

  /**
   * The number is one more, or two, than the highest in both files: always odd. It answers to nothing by id.
   */
  write(kind: string, content: object, to = this.#ownRouting(), id = this.newId()): string {
    const highest = (db: Database.Database, table: string) =>
      (db.prepare(`SELECT MAX(seq) FROM ${table}`).pluck().get() as number | null) ?? 0
    const last = Math.max(
      this.#in((db) => highest(db, 'messages_in')),
      highest(this.#out, 'messages_out'),
    )
    this.#out
      .prepare(
        `INSERT INTO messages_out (id, seq, in_reply_to, timestamp, deliver_after, recurrence, kind, platform_id, channel_type, thread_id, content)
         VALUES (?, ?, NULL, datetime('now'), NULL, NULL, ?, ?, ?, ?, ?)`,
      )
      .run(
        id,
        last % 2 === 0 ? last + 1 : last + 2,
        kind,
        to.platform_id,
        to.channel_type,
        to.thread_id,
        JSON.stringify(content),
      )
    return id
  }

  ask(question: string, options: readonly string[]): string {
    const questionId = this.newId()
    const choices = options.map((value) => ({ label: value, selectedLabel: value, value }))
    const content = { type: 'ask_question', questionId, title: question, question, options: choices }
    return this.write('chat-sdk', content, this.#ownRouting(), questionId)
  }

  /** What its tools wait for, each half second or second; undefined: not there yet. */
  waitedFor(key: 'questionId' | 'requestId', id: string): any {
    const row = this.#in((db) =>
      db
        .prepare(`SELECT id, content FROM messages_in WHERE status = 'pending' AND content LIKE ?`)
        .get(`%"${key}":"${id}"%`),
    ) as { id: string; content: string } | undefined
    const acked = row && this.#out.prepare('SELECT 1 FROM processing_ack WHERE message_id = ?').get(row.id)
    if (!row || acked) return undefined
    this.#ack(row.id, 'completed')
    return JSON.parse(row.content)
  }

  close(): void {
    this.#out.close()
  }

  newId(): string {
    return `msg-${Date.now()}-${(++this.#sent).toString(36).padStart(6, '0')}`
  }

  #pending(): Taken[] {
    const columns = 'id, kind, content, platform_id, channel_type, thread_id'
    const rows = this.#in((db) =>
      this.#shape === 'seed'
        ? db
            .prepare(
              `SELECT ${columns}, 1 AS trigger FROM messages_in WHERE status = 'pending' AND (process_after IS NULL OR process_after <= datetime('now')) ORDER BY timestamp`,
            )
            .all()
        : db
            .prepare(
              `SELECT ${columns}, trigger FROM messages_in WHERE status = 'pending' AND (process_after IS NULL OR datetime(process_after) <= datetime('now')) AND (on_wake = 0 OR ?) ORDER BY seq DESC LIMIT ?`,
            )
            .all(this.#firstPoll ? 1 : 0, MESSAGES_PER_PROMPT)
            .reverse(),
    ) as (Taken & { content: string })[]
    const acked = new Set(this.#out.prepare('SELECT message_id FROM processing_ack').pluck().all())
    const left = rows.filter(({ id, kind }) => !acked.has(id) && kind !== 'system')
    const batch = left.map((row) => ({ ...row, content: JSON.parse(row.content) }))
    return batch.some(({ trigger }) => trigger === 1) ? batch : []
  }

  #ack(id: string, status: string): void {
    this.#out.prepare(`INSERT OR REPLACE INTO processing_ack VALUES (?, ?, datetime('now'))`).run(id, status)
  }

  #ownRouting(): Routing {
    const row = this.#in((db) =>
      db.prepare('SELECT channel_type, platform_id, thread_id FROM session_routing WHERE id = 1').get(),
    ) as Routing | undefined
    return row ?? { channel_type: null, platform_id: null, thread_id: null }
  }

  #routingOf(message: Taken): Routing {
    return message as unknown as Routing
  }

  #beat(): void {
    const path = join(this.#dir, '.heartbeat')
    const now = new Date()
    try {
      utimesSync(path, now, now)
    } catch {
      writeFileSync(path, '')
    }
  }

  /** A fresh handle for each read: one that stays open went stale on some mounts. */
  #in<T>(work: (db: Database.Database) => T): T {
    const db = new Database(join(this.#dir, 'inbound.db'), { readonly: true })
    try {
      db.pragma('mmap_size = 0')
      return work(db)
    } finally {
      db.close()
    }
  }
}
