// Real files in the shapes that hosts in the field make, for every test that needs one. The two schemas below are written
// out here and not taken from the source, so a slip in the source cannot hide in the tests.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { onTestFinished } from 'vitest'

export type Db = Database.Database

/** Where to put what must happen at the end: of the running test, unless several tests share the thing. */
export type AtEnd = (end: () => unknown) => void
const endOfTest: AtEnd = (end) =>
  onTestFinished(async () => {
    await end()
  })

/** A fresh folder, removed at the end. */
export function tempDir(atEnd: AtEnd = endOfTest): string {
  const dir = mkdtempSync(join(tmpdir(), 'nanoclaw-test-'))
  atEnd(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Any database file; the handle is closed at the end, if it is still open then. */
export function openDb(path: string, options: Database.Options = {}, atEnd: AtEnd = endOfTest): Db {
  const db = new Database(path, options)
  atEnd(() => db.close())
  return db
}

/** inbound.db as the first hosts made it: no series, trigger, source session, on_wake; `delivered` has two columns. */
export function seedInbound(path: string): Db {
  const db = openDb(path)
  db.exec(`
    CREATE TABLE messages_in (
      id TEXT PRIMARY KEY, seq INTEGER UNIQUE, kind TEXT NOT NULL, timestamp TEXT NOT NULL,
      status TEXT DEFAULT 'pending', process_after TEXT, recurrence TEXT, tries INTEGER DEFAULT 0,
      platform_id TEXT, channel_type TEXT, thread_id TEXT, content TEXT NOT NULL
    );
    CREATE TABLE delivered (message_out_id TEXT PRIMARY KEY, delivered_at TEXT NOT NULL);
  `)
  return db
}

/** inbound.db as the newest known hosts make it. */
export function headInbound(path: string, atEnd: AtEnd = endOfTest): Db {
  const db = openDb(path, {}, atEnd)
  db.exec(`
    CREATE TABLE messages_in (
      id TEXT PRIMARY KEY, seq INTEGER UNIQUE, kind TEXT NOT NULL, timestamp TEXT NOT NULL,
      status TEXT DEFAULT 'pending', process_after TEXT, recurrence TEXT, series_id TEXT, tries INTEGER DEFAULT 0,
      trigger INTEGER NOT NULL DEFAULT 1, platform_id TEXT, channel_type TEXT, thread_id TEXT, content TEXT NOT NULL,
      source_session_id TEXT, on_wake INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX idx_messages_in_series ON messages_in(series_id);
    CREATE TABLE delivered (
      message_out_id TEXT PRIMARY KEY, platform_message_id TEXT, status TEXT NOT NULL DEFAULT 'delivered',
      delivered_at TEXT NOT NULL
    );
    CREATE TABLE destinations (
      name TEXT PRIMARY KEY, display_name TEXT, type TEXT NOT NULL, channel_type TEXT, platform_id TEXT, agent_group_id TEXT
    );
    CREATE TABLE session_routing (
      id INTEGER PRIMARY KEY CHECK (id = 1), channel_type TEXT, platform_id TEXT, thread_id TEXT
    );
  `)
  return db
}

/** outbound.db as hosts make it, before any runtime has seen it. */
export function wireOutbound(path: string): Db {
  const db = openDb(path)
  db.exec(`
    CREATE TABLE messages_out (
      id TEXT PRIMARY KEY, seq INTEGER UNIQUE, in_reply_to TEXT, timestamp TEXT NOT NULL, deliver_after TEXT,
      recurrence TEXT, kind TEXT NOT NULL, platform_id TEXT, channel_type TEXT, thread_id TEXT, content TEXT NOT NULL
    );
    CREATE TABLE processing_ack (message_id TEXT PRIMARY KEY, status TEXT NOT NULL, status_changed TEXT NOT NULL);
  `)
  return db
}

/** The tables that the newest runners add to it themselves. */
export function runnerTables(db: Db): void {
  db.exec(`
    CREATE TABLE session_state (key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at TEXT NOT NULL);
    CREATE TABLE container_state (
      id INTEGER PRIMARY KEY CHECK (id = 1), current_tool TEXT, tool_declared_timeout_ms INTEGER, tool_started_at TEXT,
      updated_at TEXT NOT NULL
    );
  `)
}

/** One value per column of messages_in; what is left out takes the value that a host would write. */
export interface MessageColumns {
  readonly id?: unknown
  readonly seq?: unknown
  readonly kind?: string
  readonly timestamp?: string
  readonly status?: string
  readonly process_after?: string | null
  readonly recurrence?: string | null
  readonly series_id?: string | null
  readonly tries?: number
  readonly trigger?: number
  readonly platform_id?: string | null
  readonly channel_type?: string | null
  readonly thread_id?: string | null
  /** Text is stored as it is; anything else as its JSON. */
  readonly content?: unknown
  readonly source_session_id?: string | null
  readonly on_wake?: number
}

/** Inserts a row as a host of either shape would: next even seq, pending, `{"text":"hello"}`. */
export function insertMessage(
  db: Db,
  columns: MessageColumns = {},
): { readonly id: string; readonly seq: number } {
  const last = db.prepare('select coalesce(max(seq), 0) from messages_in').pluck().get() as number
  const seq = last + 2 - (last % 2)
  const { id = `m-${seq}`, content = { text: 'hello' }, ...rest } = columns
  insertRow(db, 'messages_in', {
    id,
    seq,
    kind: 'chat',
    timestamp: new Date().toISOString(),
    ...rest,
    content: typeof content === 'string' ? content : JSON.stringify(content),
  })
  return { id: id as string, seq: ('seq' in rest ? rest.seq : seq) as number }
}

/** One row from column names and values; columns left out take the table's own defaults. */
export function insertRow(db: Db, table: string, row: Readonly<Record<string, unknown>>): void {
  const names = Object.keys(row)
  db.prepare(`insert into ${table} (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`).run(
    ...names.map((name) => row[name]),
  )
}
