// openHost: what it creates, upgrades, and leaves unchanged.
import { existsSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openHost } from 'nanoclaw-functions/host'
import { expect, test } from 'vitest'
import { insertMessage, insertRow, openDb, seedInbound, tempDir, wireOutbound } from '../support/files.ts'
import { leaveHotJournal } from '../support/hot-journal.ts'

const columnsOf = (path: string, table: string) =>
  openDb(path).prepare('select name from pragma_table_info(?) order by name').pluck().all(table)

test('a new folder is readable by its owner alone and holds both files in the newest shape', () => {
  const dir = join(tempDir(), 'data', 'session')
  openHost(dir).close()

  expect(statSync(dir).mode & 0o777).toBe(0o700)
  const inbound = openDb(join(dir, 'inbound.db'))
  expect(inbound.pragma('journal_mode', { simple: true })).toBe('delete')
  expect(columnsOf(inbound.name, 'messages_in')).toEqual(
    [
      ...[
        'id',
        'seq',
        'kind',
        'timestamp',
        'status',
        'process_after',
        'recurrence',
        'series_id',
        'tries',
        'trigger',
      ],
      ...['platform_id', 'channel_type', 'thread_id', 'content', 'source_session_id', 'on_wake'],
    ].sort(),
  )
  const tables = inbound
    .prepare(`select name from sqlite_master where type = 'table' order by name`)
    .pluck()
    .all()
  expect(tables).toEqual([
    ...[
      'delivered',
      'destinations',
      'messages_in',
      'nanoclaw_outgoing',
      'nanoclaw_series',
      'nanoclaw_taken',
      'session_routing',
    ],
  ])
  expect(columnsOf(join(dir, 'outbound.db'), 'processing_ack')).toEqual([
    'message_id',
    'status',
    'status_changed',
  ])
  expect(columnsOf(join(dir, 'outbound.db'), 'messages_out')).toContain('in_reply_to')
})

test('an existing outbound.db belongs to the runtime: no byte of it changes [W16]', () => {
  const dir = tempDir()
  wireOutbound(join(dir, 'outbound.db')).exec('drop table processing_ack').close()
  const before = readFileSync(join(dir, 'outbound.db'))

  openHost(dir).close()

  expect(readFileSync(join(dir, 'outbound.db')).equals(before)).toBe(true)
})

test('an outbound.db whose creation was cut short gets its tables', () => {
  const dir = tempDir()
  writeFileSync(join(dir, 'outbound.db'), '')

  openHost(dir).close()

  expect(columnsOf(join(dir, 'outbound.db'), 'messages_out')).toContain('id')
})

test('an inbound.db of the first shape gains the new columns, and its rows mean what they meant [W43]', () => {
  const dir = tempDir()
  const old = seedInbound(join(dir, 'inbound.db'))
  insertMessage(old, { id: 'a', recurrence: '0 9 * * *', kind: 'task' })
  insertMessage(old, { id: 'b', status: 'completed' })
  insertRow(old, 'delivered', { message_out_id: 'r-1', delivered_at: '2026-04-09 10:00:00' })
  old.close()

  const host = openHost(dir)
  const after = host.enqueue({ id: 'c', kind: 'chat', content: 'new' })
  host.close()

  expect(after).toEqual({ id: 'c', seq: 6, duplicate: false })
  const db = openDb(join(dir, 'inbound.db'))
  expect(
    db
      .prepare('select id, status, series_id, trigger, on_wake, recurrence from messages_in order by seq')
      .all(),
  ).toEqual([
    { id: 'a', status: 'pending', series_id: 'a', trigger: 1, on_wake: 0, recurrence: '0 9 * * *' },
    { id: 'b', status: 'completed', series_id: 'b', trigger: 1, on_wake: 0, recurrence: null },
    { id: 'c', status: 'pending', series_id: 'c', trigger: 1, on_wake: 0, recurrence: null },
  ])
  expect(db.prepare('select * from delivered').all()).toEqual([
    {
      message_out_id: 'r-1',
      delivered_at: '2026-04-09 10:00:00',
      platform_message_id: null,
      status: 'delivered',
    },
  ])
})

test('opening a folder that is up to date writes nothing', () => {
  const dir = tempDir()
  openHost(dir).close()
  const before = readFileSync(join(dir, 'inbound.db'))

  openHost(dir).close()

  expect(readFileSync(join(dir, 'inbound.db')).equals(before)).toBe(true)
})

test('the next open rolls back the journal of a host that was killed in mid-transaction', async () => {
  const dir = tempDir()
  const path = join(dir, 'inbound.db')
  const first = openHost(dir)
  first.enqueueMany(
    Array.from({ length: 2_000 }, (_, n) => ({ id: `m-${n}`, kind: 'chat', content: 'x'.repeat(200) })),
  )
  first.close()
  await leaveHotJournal(path, `update messages_in set content = 'torn', status = 'failed'`)
  const reader = openDb(path, { readonly: true })
  expect(() => reader.prepare('select 1 from messages_in')).toThrow(
    expect.objectContaining({ code: 'SQLITE_READONLY_ROLLBACK' }),
  )

  const host = openHost(dir)
  host.enqueue({ id: 'after', kind: 'chat', content: 'still here' })
  host.close()

  expect(
    reader.prepare(`select count(*) as n, sum(content = 'torn') as torn from messages_in`).get(),
  ).toEqual({ n: 2_001, torn: 0 })
})

test.each([
  ['a text file', 'just some notes, certainly no database file at all', /not an SQLite database/],
  ['a header with garbage behind it', `SQLite format 3\0${'\xff'.repeat(4096)}`, /inbound\.db/],
])('%s in place of inbound.db is rejected by name and not changed', (_, bytes, text) => {
  const dir = tempDir()
  const path = join(dir, 'inbound.db')
  writeFileSync(path, bytes)

  expect(() => openHost(dir)).toThrow(
    expect.objectContaining({ code: 'inbound_unusable', message: expect.stringMatching(text) }),
  )
  expect(readFileSync(path, 'utf8')).toBe(bytes)
})

test('an inbound.db that is deleted under an open host is an error, not an empty new file', () => {
  const dir = tempDir()
  const host = openHost(dir)
  unlinkSync(join(dir, 'inbound.db'))

  expect(() => host.enqueue({ kind: 'chat', content: 'x' })).toThrow(
    /inbound\.db does not exist any more; call openHost again/,
  )
  expect(existsSync(join(dir, 'inbound.db'))).toBe(false)
})

test('calls on a closed host throw, and closing it twice is legal', () => {
  const host = openHost(tempDir(), { keepOpen: true })
  host.close()
  host.close()

  expect(() => host.enqueue({ kind: 'chat', content: 'x' })).toThrow(/is closed; call openHost again/)
})

test('a folder that cannot be created is an error with a code and its path', () => {
  const dir = tempDir()
  writeFileSync(join(dir, 'file'), '')
  expect(() => openHost(join(dir, 'file/session'))).toThrow(
    expect.objectContaining({
      code: 'bad_config',
      message: expect.stringContaining('file/session: ENOTDIR'),
    }),
  )
})
