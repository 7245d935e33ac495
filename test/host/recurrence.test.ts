// Messages that repeat: the next occurrence, missed occurrences, series without a next one.
import { openHost } from 'nanoclaw-functions/host'
import { expect, onTestFinished, test } from 'vitest'
import { realClock } from '../../runtime/protocol/clock.ts'
import { insertMessage } from '../support/files.ts'
import { hostFixture, START_TIME } from '../support/host.ts'

type Fixture = ReturnType<typeof hostFixture>

const series = ({ inbound }: Fixture) =>
  inbound
    .prepare(
      'select status, process_after, recurrence, series_id, seq, tries from messages_in order by rowid',
    )
    .all()

/** Runs the series' live message to its end. */
function finish(fixture: Fixture, status: 'completed' | 'failed' = 'completed'): void {
  const id = fixture.inbound
    .prepare(`select id from messages_in where status = 'pending'`)
    .pluck()
    .get() as string
  fixture.ack(id, status)
}

const daily = {
  id: 'digest',
  kind: 'task',
  content: { prompt: 'digest' },
  threadId: 't',
  recurrence: '0 9 * * *',
} as const

test('a recurring message runs first at its first occurrence, unless it sets processAfter', () => {
  const { host, inbound } = hostFixture()
  host.enqueue(daily)
  host.enqueue({ ...daily, id: 'now', processAfter: 0 })

  expect(inbound.prepare('select process_after from messages_in order by seq').pluck().all()).toEqual([
    '2026-11-24 09:00:00.000',
    '2026-11-24 06:02:20.123',
  ])
})

test('the next occurrence takes over all fields and the old one loses its recurrence', () => {
  const fixture = hostFixture()
  fixture.host.enqueue(daily)
  fixture.setTime('2026-11-24T09:00:03Z')
  finish(fixture)

  expect(fixture.host.sync()).toEqual({
    readable: true,
    completed: 1,
    failed: 0,
    pending: 0,
    recurred: 1,
    stopped: [],
  })
  expect(fixture.host.sync()).toMatchObject({ completed: 0, pending: 1, recurred: 0 })
  expect(series(fixture)).toEqual([
    {
      status: 'completed',
      process_after: '2026-11-24 09:00:00.000',
      recurrence: null,
      series_id: 'digest',
      seq: 2,
      tries: 0,
    },
    {
      status: 'pending',
      process_after: '2026-11-25 09:00:00.000',
      recurrence: '0 9 * * *',
      series_id: 'digest',
      seq: 4,
      tries: 0,
    },
  ])
  const next = fixture.inbound.prepare('select * from messages_in where seq = 4').get()
  expect(next).toMatchObject({
    kind: 'task',
    content: '{"prompt":"digest"}',
    thread_id: 't',
    timestamp: '2026-11-24T09:00:03.000Z',
  })
})

test('a failed occurrence does not end its series [W21]', () => {
  const fixture = hostFixture()
  fixture.host.enqueue(daily)
  fixture.setTime('2026-11-24T09:00:03Z')
  finish(fixture, 'failed')

  expect(fixture.host.sync()).toMatchObject({ failed: 1, recurred: 1 })
})

test('occurrences are computed from the scheduled time: a late run does not shift the next', () => {
  const fixture = hostFixture()
  fixture.host.enqueue({ ...daily, recurrence: '*/10 * * * *' })
  fixture.setTime('2026-11-24T06:19:59Z')
  finish(fixture)
  fixture.host.sync()
  expect(series(fixture).at(-1)).toMatchObject({ process_after: '2026-11-24 06:20:00.000' })
})

test('after a long absence only the last missed occurrence runs', () => {
  const fixture = hostFixture()
  fixture.host.enqueue(daily)
  finish(fixture)
  fixture.setTime('2026-12-24T12:00:00Z')
  fixture.host.sync()
  expect(series(fixture).at(-1)).toMatchObject({ process_after: '2026-12-24 09:00:00.000' })

  finish(fixture)
  expect(fixture.host.sync()).toMatchObject({ completed: 1, recurred: 1 })
  expect(series(fixture).at(-1)).toMatchObject({ process_after: '2026-12-25 09:00:00.000' })
})

test('a run that is ahead of the host clock by a moment does not run twice', () => {
  const fixture = hostFixture()
  fixture.host.enqueue(daily)
  fixture.setTime('2026-11-24T08:59:59.700Z')
  finish(fixture)
  fixture.host.sync()
  expect(series(fixture).at(-1)).toMatchObject({ process_after: '2026-11-25 09:00:00.000' })
})

test('a zone of its own is kept through the series; without one the host’s zone counts', () => {
  const fixture = hostFixture({ timeZone: 'Asia/Kolkata' })
  fixture.host.enqueue({
    ...daily,
    id: 'own',
    recurrence: { cron: '0 9 * * *', timeZone: 'America/New_York' },
  })
  fixture.host.enqueue({ ...daily, id: 'hosts' })
  for (const id of ['own', 'hosts']) fixture.ack(id, 'completed')
  fixture.setTime('2026-11-25T04:00:00Z')
  fixture.host.sync()

  expect(series(fixture)).toMatchObject([
    { process_after: '2026-11-24 14:00:00.000' },
    { process_after: '2026-11-25 03:30:00.000' },
    {
      process_after: '2026-11-25 14:00:00.000',
      recurrence: 'CRON_TZ=America/New_York 0 9 * * *',
      series_id: 'own',
    },
    { process_after: '2026-11-26 03:30:00.000', recurrence: '0 9 * * *', series_id: 'hosts' },
  ])
})

test.each([
  ['* * * *', /recurrence: "\* \* \* \*" is not a cron expression.*; expected five fields/],
  ['0 0 31 2 *', /recurrence: "0 0 31 2 \*" has no occurrence: it names a date that does not exist/],
  [{ cron: '0 9 * * *', timeZone: 'Mars/Olympus' }, /recurrence: "Mars\/Olympus" is not a time zone/],
  ['CRON_TZ=Nowhere 0 9 * * *', /recurrence: "Nowhere" is not a time zone/],
  [{ every: '1h' }, /recurrence is \[object Object\]; expected five fields .* or \{ cron, timeZone \}/],
  [3600, /recurrence is 3600; expected five fields/],
])('enqueue rejects the recurrence %j [88]', (recurrence, text) => {
  const { host, inbound } = hostFixture()
  expect(() => host.enqueue({ ...daily, recurrence: recurrence as never })).toThrow(
    expect.objectContaining({ code: 'bad_message', message: expect.stringMatching(text) }),
  )
  expect(inbound.prepare('select count(*) from messages_in').pluck().get()).toBe(0)
})

test('an invalid recurrence of another program is reported once and stays visible [W23]', () => {
  const { host, inbound } = hostFixture()
  insertMessage(inbound, { id: 'broken', kind: 'task', status: 'completed', recurrence: 'every monday' })
  insertMessage(inbound, { id: 'never', kind: 'task', status: 'completed', recurrence: '0 0 31 2 *' })

  const { stopped, recurred } = host.sync()

  expect(recurred).toBe(0)
  expect(stopped).toEqual([
    {
      seriesId: 'broken',
      recurrence: 'every monday',
      reason: expect.stringMatching(/"every monday" is not a cron expression/),
    },
    { seriesId: 'never', recurrence: '0 0 31 2 *', reason: '"0 0 31 2 *" has no further occurrence' },
  ])
  expect(host.sync().stopped).toEqual([])
  expect(host.tasks.list()).toMatchObject([
    { seriesId: 'broken', state: 'stopped', recurrence: { cron: 'every monday' } },
    { seriesId: 'never', state: 'stopped', recurrence: { cron: '0 0 31 2 *' } },
  ])
})

test('two hosts that sync the same end make one next occurrence [W22]', () => {
  const fixture = hostFixture()
  fixture.host.enqueue(daily)
  finish(fixture)
  const second = openHost(fixture.dir, { timeZone: 'UTC' })
  expect([fixture.host.sync().recurred, second.sync().recurred]).toEqual([1, 0])
  second.close()
  expect(series(fixture)).toHaveLength(2)
})

test('an occurrence without a series of its own starts one', () => {
  const { host, inbound } = hostFixture()
  insertMessage(inbound, {
    id: 'old',
    kind: 'task',
    status: 'completed',
    recurrence: '0 9 * * *',
    series_id: null,
    timestamp: START_TIME,
  })
  expect(host.sync().recurred).toBe(1)
  expect(inbound.prepare('select series_id from messages_in order by seq desc').pluck().get()).toBe('old')
})

test('the zone of the host that enqueued a task stays with it, whichever host makes the next occurrence [153]', () => {
  const fixture = hostFixture({ timeZone: 'Asia/Tokyo' })
  const { dir, host, inbound } = fixture
  host.enqueue(daily)
  expect(series(fixture)).toMatchObject([
    { process_after: '2026-11-25 00:00:00.000', recurrence: '0 9 * * *' },
  ])
  const other = openHost(dir, {
    timeZone: 'UTC',
    clock: { ...realClock, now: () => Date.parse('2026-11-25T00:00:03Z') },
  })
  onTestFinished(() => other.close())
  finish(fixture)
  expect(other.sync()).toMatchObject({ recurred: 1 })
  expect(series(fixture).at(-1)).toMatchObject({
    process_after: '2026-11-26 00:00:00.000',
    recurrence: '0 9 * * *',
  })
  expect(other.tasks.list()[0]?.recurrence).toEqual({ cron: '0 9 * * *', timeZone: 'Asia/Tokyo' })

  // A changed recurrence uses the zone of the host that changes it, or its own, if it names one.
  other.tasks.update('digest', { content: 'new' })
  expect(other.tasks.list()[0]?.recurrence).toMatchObject({ timeZone: 'Asia/Tokyo' })
  other.tasks.update('digest', { recurrence: '0 10 * * *' })
  expect(host.tasks.list()[0]?.recurrence).toEqual({ cron: '0 10 * * *', timeZone: 'UTC' })
  other.tasks.update('digest', { recurrence: { cron: '0 11 * * *', timeZone: 'Europe/Berlin' } })
  expect(host.tasks.list()[0]?.recurrence).toEqual({ cron: '0 11 * * *', timeZone: 'Europe/Berlin' })
  expect(inbound.prepare('select count(*) from nanoclaw_series').pluck().get()).toBe(0)
})
