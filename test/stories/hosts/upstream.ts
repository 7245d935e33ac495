// A host of the runner that this project replaces, as its documents and its running program say that it
// behaves: its files, its questions to them, its forms of time, what it concludes and what it does then.
// Written anew, and independent of our own host library. What the first and the newest host do differently
// stands in seed.ts and head.ts. Every operation opens the file, does its work and closes it. The clock of
// the host can be set ahead of the runtime's.
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { WIRE_OUTBOUND } from '../../support/shapes.ts'

/** What the host starts and stops: one container, with the folder mounted. */
export interface Container {
  readonly running: boolean
  start(): Promise<void>
  stop(): Promise<unknown>
}

/** A row of messages_in, as far as the host says something about it. */
export interface Incoming {
  readonly id: string
  readonly kind: string
  readonly content: unknown
  readonly timestamp?: string
  readonly process_after?: string | null
  readonly recurrence?: string | null
  readonly trigger?: 0 | 1
  readonly on_wake?: 0 | 1
  readonly platform_id?: string | null
  readonly channel_type?: string | null
  readonly thread_id?: string | null
}

/** A row of messages_out. */
export interface Outgoing {
  readonly id: string
  readonly seq: number
  readonly in_reply_to: string | null
  readonly kind: string
  readonly platform_id: string | null
  readonly channel_type: string | null
  readonly thread_id: string | null
  readonly content: string
}

export interface Claim {
  readonly message_id: string
  readonly status_changed: string
}

/** What one sweep did. */
export interface Swept {
  readonly woken: boolean
  readonly killed: string | null
  /** Messages set back for another try. */
  readonly reset: readonly string[]
}

const MAX_TRIES = 5
const BACKOFF_BASE_S = 5

export abstract class UpstreamHost {
  readonly dir: string
  readonly container: Container
  /** How far this host's clock is ahead, milliseconds. */
  aheadMs = 0
  /** Everything that an adapter has got. */
  readonly sent: Outgoing[] = []
  readonly #attempts = new Map<string, number>()

  constructor(dir: string, container: Container, inboundTables: string) {
    this.dir = dir
    this.container = container
    mkdirSync(dir, { recursive: true })
    const tables = { 'inbound.db': inboundTables, 'outbound.db': WIRE_OUTBOUND }
    for (const [name, sql] of Object.entries(tables))
      if (!existsSync(join(dir, name))) open(join(dir, name), {}, (db) => db.exec(sql))
  }

  /** One pass of the loop that runs once a minute. */
  abstract sweep(): Promise<Swept>
  protected abstract readonly dueSql: string
  protected abstract insertRow(db: Database.Database, row: Incoming, seq: number): void
  /** @throws when it was not sent */
  protected abstract handOver(row: Outgoing): void
  protected abstract carryOut(action: Record<string, any>): void
  protected abstract noteDelivered(id: string, now: string): void
  /** What follows when an adapter threw, the nth time. */
  protected abstract notSent(id: string, attempts: number): void

  /** The one action that both kinds of host carry out alike. */
  protected schedule(action: Record<string, any>): void {
    this.insert({
      id: action.taskId,
      kind: 'task',
      timestamp: this.now,
      content: { prompt: action.prompt, script: action.script ?? null },
      process_after: action.processAfter,
      recurrence: action.recurrence ?? null,
      platform_id: action.platformId,
      channel_type: action.channelType,
      thread_id: action.threadId,
    })
  }

  get nowMs(): number {
    return Date.now() + this.aheadMs
  }

  /** As SQLite's datetime('now') would say it. */
  get now(): string {
    return sqliteForm(this.nowMs)
  }

  /** An id that is there already is an exception. */
  insert(message: Incoming): string {
    this.inbound((db) => {
      const last = (db.prepare('SELECT MAX(seq) FROM messages_in').pluck().get() as number | null) ?? 0
      this.insertRow(db, message, last < 2 ? 2 : last + 2 - (last % 2))
    })
    return message.id
  }

  /**
   * The loop that runs once a second: what is due and stands in no list of delivered rows goes out, ordered
   * by the text of its time.
   */
  deliver(): void {
    const due = this.outbound((db) =>
      db
        .prepare(
          'SELECT id, seq, in_reply_to, kind, platform_id, channel_type, thread_id, content FROM messages_out WHERE deliver_after IS NULL OR deliver_after <= ? ORDER BY timestamp',
        )
        .all(this.now),
    ) as Outgoing[]
    const delivered = new Set(
      this.inbound((db) => db.prepare('SELECT message_out_id FROM delivered').pluck().all()),
    )
    for (const row of due) {
      if (delivered.has(row.id)) continue
      try {
        if (row.kind === 'system') this.carryOut(JSON.parse(row.content))
        else {
          this.handOver(row)
          this.sent.push(row)
        }
        this.noteDelivered(row.id, this.now)
      } catch {
        const attempts = (this.#attempts.get(row.id) ?? 0) + 1
        this.#attempts.set(row.id, attempts)
        this.notSent(row.id, attempts)
      }
    }
  }

  status(id: string): { status: string; tries: number; process_after: string | null } | undefined {
    return this.inbound((db) =>
      db.prepare('SELECT status, tries, process_after FROM messages_in WHERE id = ?').get(id),
    ) as ReturnType<UpstreamHost['status']>
  }

  /** Ids by status. */
  statuses(): Record<string, string[]> {
    const rows = this.inbound((db) =>
      db.prepare('SELECT status, id FROM messages_in ORDER BY id').raw().all(),
    ) as [string, string][]
    const ids: Record<string, string[]> = {}
    for (const [status, id] of rows) (ids[status] ??= []).push(id)
    return ids
  }

  dueCount(): number {
    return this.inbound((db) => db.prepare(this.dueSql).pluck().get(this.now)) as number
  }

  claims(): Claim[] {
    return this.outbound((db) =>
      db.prepare(`SELECT message_id, status_changed FROM processing_ack WHERE status = 'processing'`).all(),
    ) as Claim[]
  }

  /** A user takes a message back. */
  forget(id: string): void {
    this.inbound((db) => db.prepare('DELETE FROM messages_in WHERE id = ?').run(id))
  }

  /** What stands in the file when a runner died in the middle of this message. */
  claimAsARunnerThatDied(id: string, atMs: number): void {
    open(this.path('outbound.db'), {}, (db) =>
      db
        .prepare(
          `INSERT INTO processing_ack (message_id, status, status_changed) VALUES (?, 'processing', ?)`,
        )
        .run(id, new Date(atMs).toISOString()),
    )
  }

  /** Whatever the end was, it is completed here; and so is what was paused or failed meanwhile. */
  protected copyAcks(): void {
    const ended = this.outbound((db) =>
      db
        .prepare(`SELECT message_id FROM processing_ack WHERE status IN ('completed', 'failed')`)
        .pluck()
        .all(),
    )
    this.inbound((db) => {
      const set = db.prepare(
        `UPDATE messages_in SET status = 'completed' WHERE id = ? AND status != 'completed'`,
      )
      for (const id of ended) set.run(id)
    })
  }

  /** Another try later, or the end of all tries. */
  protected setBack(id: string): void {
    const tries = this.status(id)?.tries
    if (tries === undefined) return
    this.inbound((db) => {
      if (tries >= MAX_TRIES)
        return db.prepare(`UPDATE messages_in SET status = 'failed' WHERE id = ?`).run(id)
      const later = sqliteForm(this.nowMs + BACKOFF_BASE_S * 2 ** tries * 1000)
      return db
        .prepare('UPDATE messages_in SET tries = tries + 1, process_after = ? WHERE id = ?')
        .run(later, id)
    })
  }

  /** undefined: there is no such file. */
  protected heartbeatMs(): number | undefined {
    return statSync(this.path('.heartbeat'), { throwIfNoEntry: false })?.mtimeMs
  }

  protected forgetHeartbeat(): void {
    rmSync(this.path('.heartbeat'), { force: true })
  }

  protected path(name: string): string {
    return join(this.dir, name)
  }

  protected inbound<T>(work: (db: Database.Database) => T): T {
    return open(this.path('inbound.db'), {}, work)
  }

  /** For reading only: a journal that its writer left behind makes this throw. */
  protected outbound<T>(work: (db: Database.Database) => T): T {
    return open(this.path('outbound.db'), { readonly: true }, work)
  }

  /** When no container runs, as far as the host knows. */
  dropClaims(): void {
    open(this.path('outbound.db'), {}, (db) =>
      db.prepare(`DELETE FROM processing_ack WHERE status = 'processing'`).run(),
    )
  }
}

/** UTC without saying so, whole seconds. */
export function sqliteForm(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 19).replace('T', ' ')
}

function open<T>(path: string, options: Database.Options, work: (db: Database.Database) => T): T {
  const db = new Database(path, options)
  try {
    if (!options.readonly) db.pragma('journal_mode = DELETE')
    db.pragma('busy_timeout = 5000')
    return work(db)
  } finally {
    db.close()
  }
}
