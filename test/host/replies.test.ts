// replies: each row of messages_out once, in order, across everything that makes the file unreadable for a
// while.
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type HostReply, openHost } from 'nanoclaw-functions/host'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type Clock, realClock } from '../../runtime/protocol/clock.ts'
import { type Db, insertRow, openDb, tempDir, wireOutbound } from '../support/files.ts'
import { leaveHotJournal } from '../support/hot-journal.ts'

/** `waits()`: how often a stream has found nothing and waited again. */
function open() {
  const dir = tempDir()
  let waits = 0
  const clock: Clock = {
    ...realClock,
    after: (delayMs, fn) => {
      waits += 1
      return realClock.after(delayMs, fn)
    },
  }
  const host = openHost(dir, { clock })
  onTestFinished(() => host.close())
  return { dir, host, outbound: openDb(join(dir, 'outbound.db')), waits: () => waits }
}

function reply(db: Db, seq: number, content = `{"text":"reply ${seq}"}`): void {
  insertRow(db, 'messages_out', {
    id: `r-${seq}`,
    seq,
    in_reply_to: 'm',
    timestamp: '2026-11-24 06:02:20.123',
    kind: 'chat',
    content,
  })
}

/** The next `count` replies of a stream; the test's own time limit is the deadline. */
async function take(stream: AsyncIterableIterator<HostReply>, count: number): Promise<(number | null)[]> {
  const seqs = []
  while (seqs.length < count) {
    const { value, done } = await stream.next()
    if (done) throw new Error(`the stream ended after ${seqs.length} of ${count} replies`)
    seqs.push(value.seq)
  }
  return seqs
}

test('a reply has every column, its content parsed and raw', async () => {
  const { host, outbound } = open()
  insertRow(outbound, 'messages_out', {
    id: 'r',
    seq: 3,
    in_reply_to: 'm',
    timestamp: '2026-11-24 06:02:20.123',
    deliver_after: '2026-11-24 07:00:00',
    kind: 'chat',
    platform_id: 'p',
    channel_type: 'c',
    thread_id: 't',
    content: '{ "text": "hi" }',
  })

  const { value } = await host.replies().next()

  expect(value).toEqual({
    id: 'r',
    seq: 3,
    inReplyTo: 'm',
    timestamp: '2026-11-24 06:02:20.123',
    deliverAfter: '2026-11-24 07:00:00',
    kind: 'chat',
    platformId: 'p',
    channelType: 'c',
    threadId: 't',
    content: { text: 'hi' },
    rawContent: '{ "text": "hi" }',
  })
})

test('content that is not JSON arrives as text', async () => {
  const { host, outbound } = open()
  reply(outbound, 1, 'not json')
  expect((await host.replies().next()).value).toMatchObject({ content: undefined, rawContent: 'not json' })
})

test('replies come in the order of their commits, each once, also while they are being written', async () => {
  const { host, outbound } = open()
  const stream = host.replies({ pollMs: 1 })
  for (let seq = 1; seq <= 901; seq += 2) reply(outbound, seq)
  expect(await take(stream, 451)).toEqual(Array.from({ length: 451 }, (_, n) => 2 * n + 1))

  const next = take(stream, 2)
  reply(outbound, 905) // a second writer may number its rows before an earlier one commits
  reply(outbound, 903)
  expect(await next).toEqual([905, 903])
})

test('a reopened host continues after the given seq', async () => {
  const { dir, host, outbound } = open()
  for (const seq of [1, 3, 7]) reply(outbound, seq)
  const [, seen] = await take(host.replies(), 2)
  host.close()

  const again = openHost(dir)
  const stream = again.replies({ since: seen! })
  expect(await take(stream, 1)).toEqual([7])
  const next = take(stream, 1)
  reply(outbound, 9)
  expect(await next).toEqual([9])
  expect(await take(again.replies({ since: 5 }), 2)).toEqual([7, 9]) // a seq that no reply has
  expect(await take(again.replies({ since: 0 }), 4)).toEqual([1, 3, 7, 9])
  again.close()
})

test('a stream keeps its place when old replies are gone and rows have other numbers, as after a vacuum', async () => {
  const { host, outbound } = open()
  for (const seq of [1, 3, 5, 7]) reply(outbound, seq)
  const stream = host.replies({ pollMs: 1 })
  await take(stream, 4)

  outbound.exec('begin; delete from messages_out where seq < 7; update messages_out set rowid = 1; commit')
  reply(outbound, 9)

  expect(await take(stream, 1)).toEqual([9])
})

test('a stream waits for an outbound.db that is missing, empty, locked, or left with a hot journal [50]', async () => {
  const { dir, host, outbound, waits } = open()
  const path = outbound.name
  outbound.close()
  renameSync(path, join(dir, 'away'))
  const stream = host.replies({ pollMs: 1 })
  const first = take(stream, 1)
  const empty = openDb(path)
  empty.exec('begin exclusive; commit')
  empty.close()
  const db = wireOutbound(path)
  db.exec('create table filler (text)')
  db.prepare('insert into filler select hex(zeroblob(500)) from json_each(?)').run(
    JSON.stringify(Array(500).fill(0)),
  )
  db.exec('begin exclusive')
  reply(db, 1)
  db.exec('commit')
  expect(await first).toEqual([1])

  reply(db, 3)
  db.close()
  await leaveHotJournal(path, `update filler set text = 'torn'; delete from messages_out`)
  let early = false
  const second = take(stream, 1).finally(() => {
    early = true
  })
  const looked = waits()
  await vi.waitFor(() => expect(waits()).toBeGreaterThan(looked + 5), { timeout: 60_000 })
  expect(early).toBe(false)
  openDb(path).prepare('select count(*) from filler').get()
  expect(await second).toEqual([3])
})

test('a damaged outbound.db ends the stream with an error that names the file', async () => {
  const { dir, host, outbound } = open()
  outbound.close()
  writeFileSync(join(dir, 'outbound.db'), 'no database, but long enough to look at')

  await expect(host.replies().next()).rejects.toMatchObject({
    code: 'outbound_unusable',
    message: expect.stringMatching(/outbound\.db/),
  })
})

test('a stream ends when its signal aborts or the host closes, also in the middle of a wait', async () => {
  const { host } = open()
  const abort = new AbortController()
  const one = host.replies({ signal: abort.signal, pollMs: 60_000 }).next()
  const two = host.replies({ pollMs: 60_000 }).next()
  abort.abort()
  expect(await one).toEqual({ done: true, value: undefined })
  host.close()
  expect(await two).toEqual({ done: true, value: undefined })
})

test.each([{ since: -1 }, { since: 1.5 }, { pollMs: 0 }, { pollMs: Number.NaN }])(
  'replies(%o) is rejected',
  (options) => {
    const { host } = open()
    expect(() => host.replies(options)).toThrow(expect.objectContaining({ code: 'bad_usage' }))
  },
)
