// enqueue and enqueueMany: stored forms, rejections, and two hosts at the same time.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Host, type HostOptions, openHost } from 'nanoclaw-functions/host'
import { expect, onTestFinished, test } from 'vitest'
import { compiled } from '../support/compiled.ts'
import { type Db, openDb, tempDir } from '../support/files.ts'

const NOW = Date.UTC(2026, 10, 24, 6, 2, 20, 123)
const clock = {
  now: () => NOW,
  monotonic: () => 0,
  after: () => ({ cancel() {} }),
  soon: () => ({ cancel() {} }),
}

function open(options: HostOptions = {}): { host: Host; db: Db; dir: string } {
  const dir = tempDir()
  const host = openHost(dir, options)
  onTestFinished(() => host.close())
  return { host, db: openDb(join(dir, 'inbound.db')), dir }
}

const row = (db: Db, id: string) =>
  db.prepare('select * from messages_in where id = ?').get(id) as Record<string, unknown>

test.each([false, true])('every column takes its field of the message (keepOpen: %s)', (keepOpen) => {
  const { host, db } = open({ clock, keepOpen })
  const full = {
    id: 'wamid.1:group',
    kind: 'webhook',
    content: { action: 'opened', n: [1, null, true] },
    platformId: 'p',
    channelType: 'github',
    threadId: 't',
    processAfter: '10s',
    trigger: false,
    onWake: true,
    seriesId: 's',
    sourceSessionId: 'other',
    timestamp: new Date(0),
  } as const

  expect(host.enqueue(full)).toEqual({ id: full.id, seq: 2, duplicate: false })
  expect(row(db, full.id)).toEqual({
    id: full.id,
    seq: 2,
    kind: 'webhook',
    timestamp: '1970-01-01T00:00:00.000Z',
    status: 'pending',
    process_after: '2026-11-24 06:02:30.123',
    recurrence: null,
    series_id: 's',
    tries: 0,
    trigger: 0,
    platform_id: 'p',
    channel_type: 'github',
    thread_id: 't',
    content: '{"action":"opened","n":[1,null,true]}',
    source_session_id: 'other',
    on_wake: 1,
  })
})

test('a message needs only kind and content; the rest has its default', () => {
  const { host, db } = open({ clock })
  const { id, seq } = host.enqueue({ kind: 'chat', content: null })

  expect(row(db, id)).toMatchObject({
    seq,
    timestamp: '2026-11-24T06:02:20.123Z',
    process_after: null,
    series_id: id,
    trigger: 1,
    platform_id: null,
    source_session_id: null,
    on_wake: 0,
    content: 'null',
  })
})

test('generated ids are unique and sort in creation order, also when the clock does not advance', () => {
  const { host } = open({ clock })
  const ids = host
    .enqueueMany(Array.from({ length: 10_000 }, () => ({ kind: 'chat', content: 0 })))
    .map(({ id }) => id)

  expect(new Set(ids).size).toBe(10_000)
  expect([...ids].sort()).toEqual(ids)
  expect(ids[0]).toMatch(/^msg-[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test.each([
  ['text becomes { text }', 'hello', '{"text":"hello"}'],
  ['the empty text too', '', '{"text":""}'],
  ['an object stays', { a: { b: [] } }, '{"a":{"b":[]}}'],
  ['a list stays', [1, 'two'], '[1,"two"]'],
  ['a number stays', 4.5, '4.5'],
  ['false stays', false, 'false'],
  ['half a surrogate pair is escaped', { text: '\ud83d' }, '{"text":"\\ud83d"}'],
  ['a date is its ISO text', { at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
])('content: %s', (_, content, stored) => {
  const { host, db } = open()
  const { id } = host.enqueue({ kind: 'chat', content })
  expect(row(db, id).content).toBe(stored)
})

test('numbers are even and rise, whatever numbers the file has', () => {
  const { host, db } = open()
  const next = () => host.enqueue({ kind: 'chat', content: 0 }).seq
  expect([next(), next()]).toEqual([2, 4])
  const plant = db.prepare(
    `insert into messages_in (id, seq, kind, timestamp, content) values (?, ?, 'chat', '', '{}')`,
  )
  plant.run('odd', 101)
  expect(next()).toBe(102)
  plant.run('text', 'not a number')
  plant.run('none', null)
  expect(next()).toBe(104)
  plant.run('too large to count on', 2n ** 60n)
  expect(next()).toBe(106)
})

test('an existing id changes nothing and returns duplicate [W36]', () => {
  const { host, db } = open()
  const first = host.enqueue({ id: 'x', kind: 'chat', content: 'first' })

  expect(host.enqueue({ id: 'x', kind: 'chat', content: 'second' })).toEqual({ ...first, duplicate: true })
  expect(
    host.enqueueMany([
      { id: 'y', kind: 'chat', content: 1 },
      { id: 'x', kind: 'chat', content: 2 },
      { id: 'y', kind: 'chat', content: 3 },
    ]),
  ).toEqual([
    { id: 'y', seq: 4, duplicate: false },
    { id: 'x', seq: 2, duplicate: true },
    { id: 'y', seq: 4, duplicate: true },
  ])
  expect(host.enqueue({ kind: 'chat', content: 0 }).seq).toBe(6)
  expect(row(db, 'x').content).toBe('{"text":"first"}')
  expect(row(db, 'y').content).toBe('1')
})

test.each([
  'spaces and\ttabs\nand lines',
  "'; drop table messages_in; --",
  '%', // means everything where a reader compares by pattern
  '../../etc/passwd',
  '😀 emoji, ß, ﬁ',
  'e\u0301', // not the same id as é in one character
  '-rf',
  'x'.repeat(1024),
])('an id may be any text: %j [84]', (id) => {
  const { host, db } = open()
  expect(host.enqueue({ id, kind: 'chat', content: 0 })).toEqual({ id, seq: 2, duplicate: false })
  expect(host.enqueue({ id: `${id.slice(0, 1000)}.`, kind: 'chat', content: 0 }).duplicate).toBe(false)
  expect(row(db, id).id).toBe(id)
  expect(host.status(id)?.state).toBe('pending')
})

const cyclic: Record<string, unknown> = {}
cyclic.self = cyclic

test.each([
  [{ content: 0 }, /kind is undefined; expected non-empty text/],
  [{ kind: '', content: 0 }, /kind is ""; expected non-empty text/],
  [{ kind: 'chat' }, /content is undefined; expected a JSON value/],
  [{ kind: 'chat', content: 0, id: '' }, /id is ""/],
  [{ kind: 'chat', content: 0, id: 7 }, /id is 7; expected non-empty text/],
  [{ kind: 'chat', content: 0, id: 'a\0b' }, /id is "a\\u0000b"; expected non-empty text without NUL/],
  [{ kind: 'chat', content: 0, id: 'a\ud800' }, /id is .*; expected non-empty text/],
  [
    { kind: 'chat', content: 0, id: 'a\ufffd' },
    /id is .*; expected text of 1 to 1024 characters without U\+FFFD/,
  ],
  [{ kind: 'chat', content: 0, id: 'x'.repeat(1025) }, /id is "x+…; expected text of 1 to 1024/],
  [{ kind: 'chat', content: 0, threadId: 12 }, /threadId is 12; expected non-empty text/],
  [{ kind: 'chat', content: 0, trigger: 1 }, /trigger is 1; expected true or false/],
  [
    { kind: 'chat', content: 0, processAfter: 'tomorrow' },
    /processAfter is "tomorrow"; expected a Date, or ISO 8601 text .* or a length of time/,
  ],
  [{ kind: 'chat', content: 0, processAfter: '2026-02-30' }, /processAfter is "2026-02-30"/],
  [{ kind: 'chat', content: 0, processAfter: -5 }, /processAfter is -5/],
  [{ kind: 'chat', content: 0, processAfter: new Date(Number.NaN) }, /processAfter is Invalid Date/],
  [{ kind: 'chat', content: 0, processAfter: '90000000d' }, /processAfter is "90000000d"/],
  [
    { kind: 'chat', content: 0, timestamp: 1_790_000_000_000 },
    /timestamp is 1790000000000; .* Did you mean new Date\(1790000000000\)\?/,
  ],
  [{ kind: 'chat', content: 0, timestamp: 5 }, /timestamp is 5; expected a Date, or ISO 8601 text/],
  [{ kind: 'chat', content: 0, process_after: '1s' }, /no field "process_after"; expected id, kind, content/],
  ['hello', /the message is "hello"; expected an object/],
  [null, /the message is null; expected an object/],
])('%o is rejected with the field, the value and the legal values [80, 83, 84]', (message, text) => {
  const { host, db } = open()
  expect(() => host.enqueue(message as never)).toThrow(
    expect.objectContaining({ code: 'bad_message', message: expect.stringMatching(text) }),
  )
  expect(db.prepare('select count(*) from messages_in').pluck().get()).toBe(0)
})

test.each([
  [1n, /content is a BigInt; use String/],
  [cyclic, /content\.self refers back to content/],
  [() => 1, /content is a function/],
  [{ items: [{ price: Number.NaN }] }, /content\.items\[0\]\.price is NaN/],
  [{ tags: new Set(['x']) }, /content\.tags is a Set/],
  [Promise.resolve('x'), /content is a Promise; await it/],
])('content that JSON would change (%o) is rejected with its path [102]', (content, text) => {
  const { host, db } = open()
  const good = { kind: 'chat', content: 0 }
  const refused = { code: 'bad_message', message: expect.stringMatching(text) }
  expect(() => host.enqueue({ kind: 'chat', content })).toThrow(expect.objectContaining(refused))
  expect(() => host.enqueueMany([good, { kind: 'chat', content }])).toThrow(/^messages\[1\]: content/)
  expect(db.prepare('select count(*) from messages_in').pluck().get()).toBe(0)
})

test.each([1_790_000_000_000, '1790000000000', 366 * 86_400_000 + 1])(
  'processAfter: %j is an instant passed as a duration, and is rejected [152]',
  (processAfter) => {
    const { host, db } = open()
    const refusal = {
      code: 'bad_message',
      message: expect.stringMatching(/processAfter is .*; expected .*Did you mean new Date\(\d+\)\?$/),
    }
    expect(() => host.enqueue({ kind: 'chat', content: 0, processAfter })).toThrow(
      expect.objectContaining(refusal),
    )
    expect(db.prepare('select count(*) from messages_in').pluck().get()).toBe(0)
    host.enqueue({ id: 'task', kind: 'task', content: 0, processAfter: '1d' })
    expect(() => host.tasks.update('task', { processAfter })).toThrow(expect.objectContaining(refusal))
    expect(() => host.prune({ olderThan: processAfter })).toThrow(/olderThan is .*Did you mean new Date/)
    expect(host.enqueue({ kind: 'chat', content: 0, processAfter: 365 * 86_400_000 }).duplicate).toBe(false)
  },
)

test('enqueueMany writes all of its messages or none, and names the bad one', () => {
  const { host, db } = open()
  const good = { kind: 'chat', content: 0 }
  expect(() => host.enqueueMany([good, good, { kind: 'chat', content: 0, threadId: '' }])).toThrow(
    /^messages\[2\]: threadId is ""/,
  )
  expect(db.prepare('select count(*) from messages_in').pluck().get()).toBe(0)
  expect(host.enqueueMany([])).toEqual([])
})

test.each(['UTC', 'America/New_York', 'Asia/Kolkata'])(
  'times without a zone mean UTC on a machine in %s',
  (zone) => {
    const before = process.env.TZ
    process.env.TZ = zone
    onTestFinished(() => {
      if (before === undefined) delete process.env.TZ
      else process.env.TZ = before
    })
    const { host, db } = open({ clock })
    const stored = (processAfter: Date | string | number) =>
      row(db, host.enqueue({ kind: 'chat', content: 0, processAfter }).id).process_after

    expect(stored('2026-11-24 07:00:00')).toBe('2026-11-24 07:00:00.000')
    expect(stored('2026-11-24T07:00')).toBe('2026-11-24 07:00:00.000')
    expect(stored('2026-11-24T07:00:00Z')).toBe('2026-11-24 07:00:00.000')
    expect(stored('2026-11-24T07:00:00.5+02:00')).toBe('2026-11-24 05:00:00.500')
    expect(stored(new Date(Date.UTC(2026, 10, 24, 7)))).toBe('2026-11-24 07:00:00.000')
    expect(stored(90_000)).toBe('2026-11-24 06:03:50.123')
    expect(stored('2h')).toBe('2026-11-24 08:02:20.123')
    expect(stored('2001-01-01')).toBe('2001-01-01 00:00:00.000')
  },
)

test('process_after is due by the text comparison of the oldest hosts and by the one of today', () => {
  const { host, db } = open()
  host.enqueue({ id: 'past', kind: 'chat', content: 0, processAfter: new Date(Date.now() - 1_500) })
  host.enqueue({ id: 'future', kind: 'chat', content: 0, processAfter: '1h' })
  const due = (test: string) => db.prepare(`select id from messages_in where ${test}`).pluck().all()

  expect(due(`process_after <= datetime('now')`)).toEqual(['past'])
  expect(due(`datetime(process_after) <= datetime('now')`)).toEqual(['past'])
})

test('two hosts in two processes that enqueue at the same time lose nothing and never share a number [W9]', async () => {
  const dir = tempDir()
  const script = await compiled(fileURLToPath(new URL('../support/enqueue-child.ts', import.meta.url)))
  const exits = ['a', 'b'].map(async (name) => {
    const child = spawn(process.execPath, [script, dir, name, '150'], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    return (await once(child, 'exit'))[0]
  })
  expect(await Promise.all(exits)).toEqual([0, 0])

  const db = openDb(join(dir, 'inbound.db'))
  expect(
    db
      .prepare('select count(*), count(distinct seq), min(seq), max(seq), sum(seq % 2) from messages_in')
      .raw()
      .get(),
  ).toEqual([300, 300, 2, 600, 0])
  const order = (name: string) =>
    db.prepare('select id from messages_in where id like ? order by seq').pluck().all(`${name}-%`)
  for (const name of ['a', 'b'])
    expect(order(name)).toEqual(Array.from({ length: 150 }, (_, n) => `${name}-${n}`))
})
