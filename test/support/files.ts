// Real files in the shapes that hosts in the field make, for every test that needs one.
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { onTestFinished } from 'vitest'
import type { MessageColumn } from '../../runtime/protocol/schema.ts'
import { HEAD_INBOUND, RUNNER_OUTBOUND, SEED_INBOUND, WIRE_OUTBOUND } from './shapes.ts'

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
/** The files that a process has open. */
export function descriptors(pid: number | 'self' = 'self'): string[] {
  const folder = `/proc/${pid}/fd`
  return readdirSync(folder).flatMap((name) => {
    try {
      return readlinkSync(join(folder, name))
    } catch {
      // The one of the folder itself.
      return []
    }
  })
}

export function openDb(path: string, options: Database.Options = {}, atEnd: AtEnd = endOfTest): Db {
  const db = new Database(path, options)
  atEnd(() => db.close())
  return db
}

/**
 * inbound.db as the first hosts made it: no series, trigger, source session, on_wake; `delivered` has two
 * columns.
 */
export function seedInbound(path: string): Db {
  const db = openDb(path)
  db.exec(SEED_INBOUND)
  return db
}

/** inbound.db as the newest known hosts make it. */
export function headInbound(path: string, atEnd: AtEnd = endOfTest): Db {
  const db = openDb(path, {}, atEnd)
  db.exec(HEAD_INBOUND)
  return db
}

/** outbound.db as hosts make it, before any runtime has seen it. */
export function wireOutbound(path: string): Db {
  const db = openDb(path)
  db.exec(WIRE_OUTBOUND)
  return db
}

/** The tables that the newest runners add to it themselves. */
export function runnerTables(db: Db): void {
  db.exec(RUNNER_OUTBOUND)
}

/** Values of columns of messages_in; what is left out takes the value that a host would write. */
export type MessageColumns = Readonly<Partial<Record<MessageColumn, unknown>>>

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
