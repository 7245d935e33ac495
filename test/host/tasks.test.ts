// host.tasks: pause, resume, cancel, update, list, by series.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hostFixture } from '../support/host.ts'

const daily = { id: 'digest', kind: 'task', content: { prompt: 'digest' }, recurrence: '0 9 * * *' } as const

const rows = ({ inbound }: ReturnType<typeof hostFixture>) =>
  inbound
    .prepare('select id, seq, status, process_after, recurrence, content from messages_in order by rowid')
    .all()

test('a paused task waits; resumed, it is queued after messages that waited meanwhile', () => {
  const fixture = hostFixture()
  const { host } = fixture
  host.enqueue(daily)
  host.enqueue({ id: 'other', kind: 'chat', content: 0 })

  expect(host.tasks.pause('digest')).toBe(1)
  expect(host.tasks.pause('digest')).toBe(0)
  expect(host.status('digest')?.state).toBe('paused')
  expect(host.sync().pending).toBe(1)

  expect(host.tasks.resume('digest')).toBe(1)
  expect(host.tasks.resume('digest')).toBe(0)
  expect(host.status('digest')).toMatchObject({ state: 'pending', seq: 6 })
})

test('a pause while the task runs is kept, and the series continues after the resume', () => {
  const { host, ack, setTime } = hostFixture()
  host.enqueue(daily)
  setTime('2026-11-24T09:00:01Z')
  ack('digest', 'processing')
  host.tasks.pause('digest')
  ack('digest', 'completed')

  expect(host.sync()).toMatchObject({ completed: 0, recurred: 0 })
  expect(host.tasks.list()).toMatchObject([{ seriesId: 'digest', state: 'paused' }])
  host.tasks.resume('digest')
  expect(host.sync()).toMatchObject({ completed: 1, recurred: 1 })
})

test('a series keeps its name over its occurrences, and cancelling ends the live one', () => {
  const fixture = hostFixture()
  const { host, ack, setTime } = fixture
  host.enqueue(daily)
  setTime('2026-11-24T09:00:01Z')
  ack('digest', 'completed')
  host.sync()

  expect(host.tasks.cancel('digest')).toBe(1)
  expect(rows(fixture)).toMatchObject([
    { id: 'digest', status: 'completed', recurrence: null },
    { status: 'completed', recurrence: null },
  ])
  expect(host.tasks.list()).toEqual([])
  expect(host.sync()).toMatchObject({ pending: 0, recurred: 0 })
})

test('a series that is cancelled between its end and the next occurrence has none', () => {
  const { host, ack, inbound } = hostFixture()
  host.enqueue(daily)
  ack('digest', 'completed')
  inbound.exec(`update messages_in set status = 'completed'`)

  expect(host.tasks.cancel('digest')).toBe(1)
  expect(host.sync().recurred).toBe(0)
})

test('an update changes what it names, and the message takes a new number', () => {
  const fixture = hostFixture()
  const { host } = fixture
  host.enqueue(daily)

  expect(host.tasks.update('digest', { content: { prompt: 'short' } })).toBe(1)
  expect(rows(fixture)).toMatchObject([
    {
      seq: 4,
      process_after: '2026-11-24 09:00:00.000',
      recurrence: '0 9 * * *',
      content: '{"prompt":"short"}',
    },
  ])
  host.tasks.update('digest', { recurrence: { cron: '0 8 * * *', timeZone: 'Europe/Berlin' } })
  expect(rows(fixture)).toMatchObject([
    { seq: 6, process_after: '2026-11-24 07:00:00.000', recurrence: 'CRON_TZ=Europe/Berlin 0 8 * * *' },
  ])
  host.tasks.update('digest', { processAfter: '1h', recurrence: null })
  expect(rows(fixture)).toMatchObject([
    { seq: 8, process_after: '2026-11-24 07:02:20.123', recurrence: null },
  ])
  host.tasks.update('digest', { processAfter: null })
  expect(rows(fixture)).toMatchObject([{ seq: 10, process_after: null }])
  expect(host.tasks.update('nobody', { processAfter: null })).toBe(0)
})

test('an update finds the occurrence that follows a run which has just ended', () => {
  const fixture = hostFixture()
  const { host, ack, setTime } = fixture
  host.enqueue(daily)
  setTime('2026-11-24T09:00:01Z')
  ack('digest', 'completed')

  expect(host.tasks.update('digest', { processAfter: '2026-11-24T12:00:00Z' })).toBe(1)
  expect(rows(fixture)).toMatchObject([
    { id: 'digest', status: 'completed', process_after: '2026-11-24 09:00:00.000' },
    { status: 'pending', process_after: '2026-11-24 12:00:00.000' },
  ])
})

test('a run that has begun keeps its time and its number; a new recurrence counts from the next occurrence on', () => {
  const fixture = hostFixture()
  const { host, ack, setTime } = fixture
  host.enqueue(daily)
  setTime('2026-11-24T09:00:01Z')
  ack('digest', 'processing')

  expect(host.tasks.update('digest', { recurrence: '0 10 * * *' })).toBe(1)
  expect(rows(fixture)).toMatchObject([
    { seq: 2, process_after: '2026-11-24 09:00:00.000', recurrence: '0 10 * * *' },
  ])
  ack('digest', 'completed')
  host.sync()
  expect(rows(fixture).at(-1)).toMatchObject({
    process_after: '2026-11-24 10:00:00.000',
    recurrence: '0 10 * * *',
  })
})

test('an update repairs a series that was stopped by its expression', () => {
  const fixture = hostFixture()
  const { host, inbound, ack } = fixture
  host.enqueue(daily)
  inbound.exec(`update messages_in set recurrence = 'every monday'`)
  ack('digest', 'completed')
  expect(host.sync().stopped).toHaveLength(1)

  expect(host.tasks.update('digest', { recurrence: '0 7 * * *' })).toBe(1)
  expect(host.sync().recurred).toBe(1)
  expect(rows(fixture).at(-1)).toMatchObject({
    process_after: '2026-11-24 07:00:00.000',
    recurrence: '0 7 * * *',
  })
})

test('a new recurrence goes to one message of the series, whatever else of it waits', () => {
  const fixture = hostFixture()
  const { host, ack, setTime } = fixture
  host.enqueue(daily)
  setTime('2026-11-24T09:00:01Z')
  ack('digest', 'failed')
  host.sync()
  host.redrive('digest')

  expect(host.tasks.update('digest', { recurrence: '0 7 * * *' })).toBe(2)
  expect(rows(fixture)).toMatchObject([
    { id: 'digest', recurrence: null },
    { status: 'pending', recurrence: '0 7 * * *' },
    { id: expect.stringMatching(/^digest.redrive-/), status: 'pending', recurrence: null },
  ])
})

test.each([
  [{ prompt: 'x' }, /no field "prompt"; expected content, processAfter, recurrence/],
  [{ processAfter: 'soon' }, /processAfter is "soon"/],
  [{ recurrence: '0 0 31 2 *' }, /has no occurrence/],
  [{ content: 1n }, /content is a BigInt; use String/],
  [{ content: { at: new Date(Number.NaN) } }, /content\.at is an invalid Date/],
])('update(%o) is rejected', (update, text) => {
  const { host } = hostFixture()
  host.enqueue(daily)
  expect(() => host.tasks.update('digest', update as never)).toThrow(
    expect.objectContaining({ code: 'bad_message', message: expect.stringMatching(text) }),
  )
})

test('the list shows what waits and what repeats, and nothing else', () => {
  const { host, ack } = hostFixture()
  host.enqueue({ id: 'chat', kind: 'chat', content: 0 })
  host.enqueue({ id: 'once', kind: 'task', content: { prompt: 'once' }, processAfter: '1h', threadId: 't' })
  host.enqueue({ id: 'ended', kind: 'task', content: 0 })
  host.enqueue({ id: 'hourly', kind: 'report', content: 0, recurrence: { cron: '@hourly', timeZone: 'UTC' } })
  ack('ended', 'failed')
  host.sync()
  host.tasks.pause('hourly')

  expect(host.tasks.list()).toEqual([
    {
      seriesId: 'once',
      id: 'once',
      kind: 'task',
      state: 'pending',
      processAfter: '2026-11-24 07:02:20.123',
      recurrence: null,
      platformId: null,
      channelType: null,
      threadId: 't',
      rawContent: '{"prompt":"once"}',
    },
    expect.objectContaining({
      seriesId: 'hourly',
      state: 'paused',
      recurrence: { cron: '@hourly', timeZone: 'UTC' },
    }),
  ])
})

test('the calls on a closed host throw', () => {
  const { host } = hostFixture()
  host.close()
  expect(() => host.tasks.list()).toThrow(/is closed/)
})

test('while outbound.db cannot be read, a task is not changed: the occurrence that has ended would be lost [155]', () => {
  const { host, inbound, outbound, ack } = hostFixture()
  host.enqueue({ id: 'digest', kind: 'task', content: 0, recurrence: '0 9 * * *' })
  ack('digest', 'completed')
  const before = inbound.prepare('select * from messages_in').all()
  outbound.exec('begin exclusive')
  const notYet = expect.objectContaining({ code: 'not_readable_yet' })
  expect(() => host.tasks.update('digest', { content: 1 })).toThrow(notYet)
  expect(() => host.status('digest')).toThrow(notYet)
  expect(() => host.redrive('digest')).toThrow(notYet)
  expect(inbound.prepare('select * from messages_in').all()).toEqual(before)

  outbound.exec('commit')
  expect(host.tasks.update('digest', { content: 1 })).toBe(1)
  expect(inbound.prepare('select status, content from messages_in order by seq').all()).toEqual([
    { status: 'completed', content: '0' },
    { status: 'pending', content: '1' },
  ])
})

test('a short lock is waited for [155]', async () => {
  const { dir, host, inbound, ack } = hostFixture()
  host.enqueue({ id: 'digest', kind: 'task', content: 0, recurrence: '0 9 * * *' })
  ack('digest', 'completed')
  const holds = `const db = new (require('better-sqlite3'))(process.argv[1]); db.exec('begin exclusive'); console.log('locked'); setTimeout(() => db.exec('commit'), 700)`
  const child = spawn(process.execPath, ['-e', holds, join(dir, 'outbound.db')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  expect(host.tasks.update('digest', { content: 1 })).toBe(1)
  expect(inbound.prepare('select status, content from messages_in order by seq').all()).toEqual([
    { status: 'completed', content: '0' },
    { status: 'pending', content: '1' },
  ])
})
