// redrive, prune, answer.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { insertRow } from '../support/files.ts'
import { hostFixture } from '../support/host.ts'

const row = ({ inbound }: ReturnType<typeof hostFixture>, id: string) =>
  inbound.prepare('select * from messages_in where id = ?').get(id)

const ids = ({ inbound }: ReturnType<typeof hostFixture>) =>
  inbound.prepare('select id from messages_in order by seq').pluck().all()

test('a failed message is redriven as a new one that names the old one, once for each call', () => {
  const fixture = hostFixture()
  const { host, ack } = fixture
  host.enqueue({ id: 'm', kind: 'chat', content: { text: 'hi' }, threadId: 't', processAfter: '1m' })
  ack('m', 'failed')

  const id = expect.stringMatching(/^m\.redrive-[0-9a-f-]{36}$/)
  const again = host.redrive('m')
  expect(again).toEqual({ id, seq: 4, duplicate: false })
  expect(host.redrive('m')).toEqual({ id, seq: 6, duplicate: false })
  expect(row(fixture, again.id)).toMatchObject({
    kind: 'chat',
    content: '{"text":"hi"}',
    thread_id: 't',
    status: 'pending',
    process_after: null,
    recurrence: null,
    series_id: 'm',
    tries: 0,
  })
})

test('a message that is redriven, pruned and redriven again gets a new id and runs [154]', () => {
  const { host, outbound, ack, setTime } = hostFixture()
  host.enqueueMany(['m', 'last'].map((id) => ({ id, kind: 'chat', content: 0 })))
  ack('m', 'failed')
  host.sync()
  const first = host.redrive('m').id
  ack(first, 'completed')
  host.sync()
  host.enqueue({ kind: 'chat', content: 0 })
  setTime('2027-01-01T00:00:00Z')
  outbound.exec(`update processing_ack set status_changed = '2026-12-31T00:00:00Z' where message_id = 'm'`)
  expect(host.prune({ olderThan: '7d' }).messages).toBe(1)

  const second = host.redrive('m').id
  expect(second).not.toBe(first)
  expect(host.status(second)?.state).toBe('pending')
})

test('a redriven restart note does not wait for the next start [154]', () => {
  const fixture = hostFixture()
  fixture.host.enqueue({ id: 'note', kind: 'chat', content: 0, onWake: true })
  fixture.ack('note', 'failed')
  expect(row(fixture, fixture.host.redrive('note').id)).toMatchObject({ on_wake: 0 })
})

test('a redriven occurrence belongs to its series without doubling it', () => {
  const fixture = hostFixture()
  const { host, ack } = fixture
  host.enqueue({ id: 'digest', kind: 'task', content: 0, recurrence: '0 9 * * *' })
  ack('digest', 'failed')
  host.sync()
  ack(host.redrive('digest').id, 'completed')

  expect(host.sync()).toMatchObject({ completed: 1, recurred: 0 })
  expect(host.tasks.list()).toMatchObject([{ seriesId: 'digest', recurrence: { cron: '0 9 * * *' } }])
})

test.each([
  ['a message that is still to be done', 'open', /message "open" is pending; expected one that has ended/],
  ['a message that runs', 'running', /is processing/],
  ['no message', 'nobody', /message "nobody" is not there/],
])('redrive rejects %s', (_, id, text) => {
  const { host, ack } = hostFixture()
  host.enqueueMany([
    { id: 'open', kind: 'chat', content: 0 },
    { id: 'running', kind: 'chat', content: 0 },
  ])
  ack('running', 'processing')
  expect(() => host.redrive(id)).toThrow(
    expect.objectContaining({ code: 'bad_usage', message: expect.stringMatching(text) }),
  )
})

test('prune deletes messages by the time of their end, and keeps what is still needed', () => {
  const fixture = hostFixture()
  const { host, inbound, outbound, ack, setTime } = fixture
  setTime('2026-11-01T00:00:00Z')
  const chat = (id: string) => ({ id, kind: 'chat', content: 0 })
  host.enqueueMany([...['old', 'recent', 'open', 'running', 'paused', 'cancelled', 'last'].map(chat)])
  host.enqueue({ ...chat('series'), recurrence: '0 9 * * *' })
  for (const id of ['old', 'recent', 'last']) ack(id, 'completed')
  host.sync()
  inbound.exec(`update messages_in set status = 'paused' where id = 'paused'`)
  inbound.exec(`update messages_in set status = 'completed' where id in ('cancelled', 'running')`)
  ack('running', 'processing')
  inbound.exec(`update messages_in set status = 'completed' where id = 'series'`)
  inbound.exec(`update messages_in set seq = 100 where id = 'last'`)
  outbound.exec(
    `update processing_ack set status_changed = '2026-11-02 00:00:00' where message_id in ('old', 'last', 'running')`,
  )
  outbound.exec(
    `update processing_ack set status_changed = '2026-11-20T00:00:00Z' where message_id = 'recent'`,
  )
  setTime('2026-11-24T00:00:00Z')

  expect(host.prune({ olderThan: '7d' })).toEqual({ readable: true, messages: 2, deliveries: 0 })
  expect(ids(fixture)).toEqual(['recent', 'open', 'running', 'paused', 'series', 'last'])
  expect(host.enqueue(chat('next')).seq).toBe(102)
  expect(host.prune({ olderThan: new Date('2026-11-21') }).messages).toBe(2)
  expect(ids(fixture)).toEqual(['open', 'running', 'paused', 'series', 'next'])
})

test('prune takes the files of a message with it, but not those that a later message names, and follows no link', () => {
  const fixture = hostFixture()
  const { dir, host, ack, setTime } = fixture
  const withFile = (id: string) => ({
    id,
    kind: 'chat',
    content: 'see file',
    attachments: [{ name: 'a.txt', data: Buffer.from('a') }],
  })
  for (const id of ['gone', 'redriven', 'linked']) host.enqueue(withFile(id))
  for (const id of ['gone', 'redriven', 'linked']) ack(id, 'completed')
  host.sync()
  host.redrive('redriven')
  const elsewhere = join(dir, 'elsewhere')
  mkdirSync(elsewhere)
  writeFileSync(join(elsewhere, 'precious'), '')
  symlinkSync(elsewhere, join(dir, 'inbox', 'linked', 'link'))
  setTime('2027-01-01T00:00:00Z')

  expect(host.prune({ olderThan: '1d' }).messages).toBe(2)
  expect(existsSync(join(dir, 'inbox', 'gone'))).toBe(false)
  expect(existsSync(join(dir, 'inbox', 'linked'))).toBe(false)
  expect(existsSync(join(dir, 'inbox', 'redriven', 'a.txt'))).toBe(true)
  expect(existsSync(join(elsewhere, 'precious'))).toBe(true)
})

test('prune deletes nothing while outbound.db cannot be read', () => {
  const fixture = hostFixture()
  const { host, inbound, outbound, setTime } = fixture
  host.enqueueMany(['a', 'b'].map((id) => ({ id, kind: 'chat', content: 0 })))
  inbound.exec(`update messages_in set status = 'completed'`)
  setTime('2027-01-01T00:00:00Z')
  outbound.exec('begin exclusive')

  expect(host.prune({ olderThan: '1d' })).toMatchObject({
    readable: false,
    messages: 0,
    reason: expect.stringMatching(/locked/),
  })
  outbound.exec('commit')
  expect(host.prune({ olderThan: '1d' })).toEqual({ readable: true, messages: 1, deliveries: 0 })
})

test('prune deletes a delivery record only when the reply itself is gone', () => {
  const { host, inbound, outbound } = hostFixture()
  for (const id of ['there', 'gone', 'gone-lately'])
    insertRow(inbound, 'delivered', {
      message_out_id: id,
      delivered_at: id === 'gone-lately' ? '2026-11-24 06:00:00' : '2026-01-01 00:00:00',
    })
  insertRow(outbound, 'messages_out', { id: 'there', seq: 1, timestamp: '', kind: 'chat', content: '{}' })

  expect(host.prune({ olderThan: '7d' })).toEqual({ readable: true, messages: 0, deliveries: 1 })
  expect(inbound.prepare('select message_out_id from delivered order by delivered_at').pluck().all()).toEqual(
    ['there', 'gone-lately'],
  )
})

test.each(['a while', -1, new Date(Number.NaN), undefined])(
  'prune({ olderThan: %s }) is rejected',
  (olderThan) => {
    const { host } = hostFixture()
    expect(() => host.prune({ olderThan: olderThan as never })).toThrow(
      expect.objectContaining({ code: 'bad_usage' }),
    )
  },
)

function ask({ outbound }: ReturnType<typeof hostFixture>, id: string, content: object): void {
  insertRow(outbound, 'messages_out', {
    id,
    seq: 1,
    timestamp: '2026-11-24 06:02:20',
    kind: 'chat-sdk',
    platform_id: 'p',
    channel_type: 'c',
    thread_id: 't',
    content: JSON.stringify(content),
  })
}

const question = { type: 'ask_question', questionId: 'q-1', title: 'Go?', question: 'Shall we?' }

test('an answer goes to the address of its question, in the form that runners look for, once', () => {
  const fixture = hostFixture()
  const { host } = fixture
  ask(fixture, 'q-1', {
    ...question,
    options: [
      { label: 'Yes!', selectedLabel: 'Yes', value: 'yes' },
      { label: 'No', value: 'no' },
    ],
  })

  expect(host.answer('q-1', 'Yes!', { userId: 'u' })).toEqual({ id: 'qr-q-1', seq: 2, duplicate: false })
  expect(host.answer('q-1', 'no').duplicate).toBe(true)
  expect(row(fixture, 'qr-q-1')).toMatchObject({
    kind: 'system',
    trigger: 1,
    content: '{"type":"question_response","questionId":"q-1","selectedOption":"yes","userId":"u"}',
    platform_id: 'p',
    channel_type: 'c',
    thread_id: 't',
  })
})

test('options may be plain text, or left out', () => {
  const fixture = hostFixture()
  ask(fixture, 'q-1', { ...question, options: ['red', 'blue'] })
  expect(() => fixture.host.answer('q-1', 'green')).toThrow(
    /question q-1 does not offer "green"; it offers "red", "blue"/,
  )
  expect(fixture.host.answer('q-1', 'blue').duplicate).toBe(false)

  const open = hostFixture()
  ask(open, 'q-2', { ...question, questionId: 'q-2' })
  expect(open.host.answer('q-2', 'whatever').duplicate).toBe(false)
})

test.each(['nobody asked', '%', 'q'])('an answer to %j is rejected: the question does not exist', (id) => {
  const fixture = hostFixture()
  ask(fixture, 'q-1', question)
  insertRow(fixture.outbound, 'messages_out', {
    id: 'q',
    seq: 3,
    timestamp: '',
    kind: 'chat',
    content: '"a reply"',
  })
  expect(() => fixture.host.answer(id, 'yes')).toThrow(/there is no question/)
})

test('prune waits for a lock on outbound.db that another process holds for a moment [159]', async () => {
  const { dir, host, ack, setTime } = hostFixture()
  host.enqueueMany(['m', 'last'].map((id) => ({ id, kind: 'chat', content: 0 })))
  ack('m', 'completed')
  host.sync()
  setTime('2027-01-01T00:00:00Z')
  const script = `import Database from 'better-sqlite3'
    const db = new Database(process.argv[1])
    db.exec('begin exclusive')
    process.stdout.write('held')
    setTimeout(() => db.exec('commit'), 300)`
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script, join(dir, 'outbound.db')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void holder.kill('SIGKILL'))
  await once(holder.stdout, 'data')
  expect(host.prune({ olderThan: '7d' })).toMatchObject({ readable: true, messages: 1 })
})
