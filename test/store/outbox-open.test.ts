// Opening outbound.db: what is made, what is kept, what is refused and left alone.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { OWN_VERSION } from '../../runtime/protocol/schema.ts'
import { Outbox } from '../../runtime/store/sqlite/outbox.ts'
import { type Db, insertRow, openDb, runnerTables, tempDir, wireOutbound } from '../support/files.ts'
import { leaveHotJournal } from '../support/hot-journal.ts'
import { acks, claim, completed, NOW, openOutbox, reply, turn } from '../support/outbox.ts'

const shapeOf = (db: Db, table: string) => [
  db.pragma(`table_info(${table})`),
  db.pragma(`index_list(${table})`),
  db.prepare('select type from sqlite_schema where name = ?').pluck().get(table),
]

test('a new file has the tables that hosts know, in exactly their shape', () => {
  const { db } = openOutbox()
  const host = wireOutbound(join(tempDir(), 'outbound.db'))
  runnerTables(host)
  const tables = ['container_state', 'messages_out', 'processing_ack', 'session_state']
  for (const table of tables) expect(shapeOf(db, table)).toEqual(shapeOf(host, table))
  const others =
    "select name from sqlite_schema where type = 'table' and name not like 'nanoclaw_%' order by name"
  expect(db.prepare(others).pluck().all()).toEqual(tables)
  expect(db.pragma('journal_mode', { simple: true })).toBe('delete')
})

test('a file that a host has made is used as it is: its rows stay, only claims of a runner that is gone go', () => {
  const path = join(tempDir(), 'outbound.db')
  const host = wireOutbound(path)
  for (const status of ['processing', 'completed', 'failed'])
    insertRow(host, 'processing_ack', { message_id: status, status, status_changed: '2026-04-09 10:00:00' })
  insertRow(host, 'messages_out', {
    id: 'old',
    seq: 41,
    timestamp: '2026-04-09 10:00:00',
    kind: 'chat',
    content: '{}',
  })

  const { outbox, db } = openOutbox(path)
  expect(acks(db)).toEqual({ completed: 'completed', failed: 'failed' })
  outbox.commit(turn({ claims: [claim('processing')] }))
  outbox.commit(turn({ results: [completed('processing', reply())] }))
  expect(db.prepare('select id, seq from messages_out order by seq').raw().all()).toEqual([
    ['old', 41],
    ['processing:0', 43],
  ])
})

test('claims are not thrown away by a second opening: recovery deals with them, and counts', () => {
  const { path, outbox, db } = openOutbox()
  outbox.commit(turn({ claims: [claim('a')] }))
  outbox.close()
  new Outbox(path, 'delete').close()
  expect(acks(db)).toEqual({ a: 'processing' })
})

test('what a killed writer left half written is undone by the opening [W14]', async () => {
  const { path, outbox, db } = openOutbox()
  const ids = Array.from({ length: 2_000 }, (_, n) => `message-${n}`)
  outbox.commit(turn({ claims: ids.map((id) => claim(id)) }))
  outbox.commit(turn({ results: ids.map((id) => completed(id, reply(id))) }))
  outbox.close()
  await leaveHotJournal(
    path,
    `update messages_out set content = 'torn'; update processing_ack set status = 'torn'`,
  )
  const look = openDb(path, { readonly: true })
  expect(() => look.prepare('select 1 from messages_out')).toThrow(
    expect.objectContaining({ code: 'SQLITE_READONLY_ROLLBACK' }),
  )

  openOutbox(path)
  const torn = `select (select count(*) from messages_out where content = 'torn'), (select count(*) from processing_ack where status = 'torn')`
  expect(db.prepare(torn).raw().get()).toEqual([0, 0])
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok')
  expect(db.prepare(`select count(*) from processing_ack where status = 'completed'`).pluck().get()).toBe(
    2_000,
  )
})

test.each([
  [99, 'a newer version of nanoclaw-functions', 'Start that version or a newer one'],
  [1, 'a version that was never published', 'Move the file away'],
])(
  'a file whose tables are version %i is refused, and not one byte of it changes [181]',
  (version, by, remedy) => {
    const path = join(tempDir(), 'outbound.db')
    const other = wireOutbound(path)
    other.exec(`
    create table nanoclaw_runtime (id integer primary key, version integer not null, shape text);
    create table nanoclaw_run (message_id text, shape text);
    insert into nanoclaw_runtime values (1, ${version}, 'another');
    insert into processing_ack values ('a', 'processing', '2026-11-24T06:00:00.000Z');
  `)
    other.close()
    const before = readFileSync(path)

    expect(() => new Outbox(path, 'delete')).toThrow(
      expect.objectContaining({
        code: 'outbound_unusable',
        message: `${path} was written by ${by} (its tables are version ${version}, this one knows ${OWN_VERSION}). ${remedy}, or use a new workspace.`,
      }),
    )
    expect(readFileSync(path).equals(before)).toBe(true)
  },
)

describe('in the place of outbound.db is refused at once, and left alone:', () => {
  test.each<[string, (path: string) => void]>([
    ['a folder', (path) => mkdirSync(path)],
    ['a FIFO', (path) => execFileSync('mkfifo', [path])],
    ['a link to nowhere', (path) => symlinkSync('elsewhere.db', path)],
    ['a link to a database', (path) => symlinkSync(wireOutbound(`${path}.real`).name, path)],
    ['a link to itself', (path) => symlinkSync(path, path)],
  ])('%s', (_, make) => {
    const dir = tempDir()
    const path = join(dir, 'outbound.db')
    make(path)
    const startMs = performance.now()
    expect(() => new Outbox(path, 'delete')).toThrow(
      expect.objectContaining({
        code: 'outbound_unusable',
        message: expect.stringContaining(`${path} is not a regular file`),
      }),
    )
    expect(performance.now() - startMs).toBeLessThan(1_000)
    expect(existsSync(join(dir, 'elsewhere.db')), 'nothing is made behind a link').toBe(false)
  })

  test('something that is no database', () => {
    const path = join(tempDir(), 'outbound.db')
    writeFileSync(path, 'notes of a user that are kept here, and that are longer than any header of a file')
    expect(() => new Outbox(path, 'delete')).toThrow(expect.objectContaining({ code: 'SQLITE_NOTADB' }))
    expect(readFileSync(path, 'utf8')).toMatch(/^notes/)
  })
})

test('opening and closing any number of times changes nothing but who holds the file', () => {
  const { path, outbox, db } = openOutbox()
  outbox.commit(turn({ claims: [claim('a')], checkpoint: { seq: 8, id: null, unfinished: ['x'] } }))
  outbox.commit(turn({ results: [completed('a', reply())] }))
  outbox.close()
  const before = db.prepare('select * from messages_out').all()
  for (let n = 2; n < 6; n++) {
    const again = openOutbox(path, NOW + n)
    expect(again.recovery).toMatchObject({
      epoch: n,
      checkpoint: { seq: 8, id: null, unfinished: ['x'] },
      interrupted: 0,
      quarantined: [],
    })
    again.outbox.close()
  }
  expect(db.prepare('select * from messages_out').all()).toEqual(before)
})
