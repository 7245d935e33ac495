// deliver: every reply reaches its adapter, in order per destination, at least once.
import { existsSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type DeliverOptions, openHost } from 'nanoclaw-functions/host'
import { expect, test } from 'vitest'
import { delivered, reply, settled, settledAll, start } from '../support/deliver.ts'
import { insertRow, openDb, tempDir } from '../support/files.ts'
import { hostFixture } from '../support/host.ts'

test('a reply for a year with five digits waits and is not sent at once [107]', async () => {
  const fixture = hostFixture()
  reply(fixture, 'far', { deliver_after: '+012026-11-24T06:02:20.000Z' })
  reply(fixture, 'now', {})
  const sent: string[] = []
  start(fixture, ({ id }) => void sent.push(id))
  await settled(() => expect(delivered(fixture)).toEqual([['now', 'delivered', null]]))
  expect(sent).toEqual(['now'])
})

test('a reply is passed on whole, and its platform id is recorded', async () => {
  const fixture = hostFixture()
  reply(fixture, 'm:0', { channel_type: 'slack', thread_id: 't', in_reply_to: 'm', content: '{"text":"hi"}' })
  const calls: unknown[] = []
  start(fixture, (out, { idempotencyKey, attempt }) => {
    calls.push({ ...out, idempotencyKey, attempt })
    return 1234.5678
  })

  await settled(() => expect(delivered(fixture)).toEqual([['m:0', 'delivered', '1234.5678']]))
  expect(calls).toEqual([
    {
      id: 'm:0',
      seq: 1,
      inReplyTo: 'm',
      timestamp: '2026-11-24 06:02:20',
      deliverAfter: null,
      kind: 'chat',
      platformId: 'p',
      channelType: 'slack',
      threadId: 't',
      content: { text: 'hi' },
      rawContent: '{"text":"hi"}',
      files: [],
      idempotencyKey: `${basename(fixture.dir)}/m:0`,
      attempt: 1,
    },
  ])
  expect(fixture.inbound.prepare('select delivered_at from delivered').pluck().get()).toBe(
    '2026-11-24 06:02:20.123',
  )
})

test('thousands of replies keep their order in each destination, and no more are sent at a time than allowed [W18]', async () => {
  const fixture = hostFixture()
  const sentTo: Record<string, number[]> = {}
  let inFlight = 0
  let most = 0
  fixture.outbound.transaction(() => {
    for (let n = 0; n < 1_200; n++) reply(fixture, `r-${n}`, { platform_id: `p-${n % 40}`, content: `${n}` })
  })()
  start(
    fixture,
    async (out) => {
      most = Math.max(most, ++inFlight)
      await new Promise((resolve) => setImmediate(resolve))
      inFlight--
      const to = (sentTo[out.platformId!] ??= [])
      to.push(out.content)
    },
    { concurrency: 7 },
  )

  await settledAll(fixture, 1_200)
  expect(delivered(fixture)).toHaveLength(1_200)
  expect(most).toBe(7)
  for (let to = 0; to < 40; to++)
    expect(sentTo[`p-${to}`]).toEqual(Array.from({ length: 30 }, (_, n) => n * 40 + to))
}, 300_000)

test.each([
  ['SQLite’s form', '2026-11-24 06:01:20', '2026-11-24 06:03:20'],
  ['ISO', '2026-11-24T06:01:20Z', '2026-11-24T06:03:20Z'],
  ['another zone', '2026-11-24T08:01:20+02:00', '2026-11-24T08:03:20+02:00'],
])(
  'deliver_after in %s: a past time is sent at once, a future one waits and does not block others [W17]',
  async (_, past, future) => {
    const fixture = hostFixture()
    reply(fixture, 'later', { deliver_after: future })
    reply(fixture, 'past', { deliver_after: past })
    reply(fixture, 'unreadable', { deliver_after: 'in a while' })
    const { sent } = start(fixture)

    await settled(() => expect(delivered(fixture)).toHaveLength(2))
    expect(sent).toEqual(['past', 'unreadable'])
    fixture.setTime('2026-11-24T06:03:19Z')
    reply(fixture, 'marker')
    await settled(() => expect(sent).toContain('marker'))
    expect(sent).not.toContain('later')
    fixture.setTime('2026-11-24T06:03:20Z')
    await settled(() => expect(sent).toContain('later'))
  },
)

test('a destination that never answers delays no other [W32]', async () => {
  const fixture = hostFixture()
  for (const n of [0, 1, 2]) {
    reply(fixture, `slow-${n}`, { thread_id: 'slow' })
    reply(fixture, `quick-${n}`, { thread_id: 'quick' })
  }
  let answer = () => {}
  const { sent } = start(fixture, (out) =>
    out.threadId === 'slow' ? new Promise<void>((resolve) => (answer = resolve)) : undefined,
  )

  await settled(() => expect(delivered(fixture)).toHaveLength(3))
  expect(sent.filter((id) => id.startsWith('slow'))).toEqual(['slow-0'])
  answer()
  await settled(() => expect(sent).toContain('slow-1'))
  answer()
  await settled(() => expect(sent).toContain('slow-2'))
  answer()
  await settled(() => expect(delivered(fixture)).toHaveLength(6))
})

test('what another host has delivered is not sent again, and neither is anything after a restart', async () => {
  const fixture = hostFixture()
  for (const id of ['theirs', 'given-up', 'ours']) reply(fixture, id)
  const at = '2026-11-24 06:00:00'
  insertRow(fixture.inbound, 'delivered', { message_out_id: 'theirs', delivered_at: at })
  insertRow(fixture.inbound, 'delivered', { message_out_id: 'given-up', delivered_at: at, status: 'failed' })
  const first = start(fixture)
  await settled(() => expect(delivered(fixture)).toHaveLength(3))
  await first.stop()
  reply(fixture, 'new')
  const second = start(fixture)
  await settled(() => expect(delivered(fixture)).toHaveLength(4))

  expect([first.sent, second.sent]).toEqual([['ours'], ['new']])
  expect(fixture.host.deadLetters()).toEqual([{ id: 'given-up', failedAt: at, error: null, attempts: null }])
})

test('a recreated outbound.db is delivered from its start, without the earlier replies', async () => {
  const fixture = hostFixture()
  for (const id of ['a', 'b']) reply(fixture, id)
  const { sent } = start(fixture)
  await settled(() => expect(delivered(fixture)).toHaveLength(2))
  fixture.outbound.exec('delete from messages_out')
  reply(fixture, 'a')
  reply(fixture, 'c')

  await settled(() => expect(sent).toEqual(['a', 'b', 'c']))
})

test('files of a reply are passed on, and removed after it was sent; links and names that leave the folder are not', async () => {
  const fixture = hostFixture()
  const outside = join(tempDir(), 'secret')
  writeFileSync(outside, '')
  const folder = join(fixture.dir, 'outbox', 'r')
  mkdirSync(join(folder, 'folder'), { recursive: true })
  writeFileSync(join(folder, 'a.txt'), 'a')
  symlinkSync(outside, join(folder, 'link'))
  const files = ['a.txt', 'link', '../../inbound.db', '/etc/passwd', 'missing', 'folder', 7]
  reply(fixture, 'r', { content: JSON.stringify({ text: 'see', files }) })
  const handed: unknown[] = []
  start(fixture, async (out) => {
    for (const file of out.files) handed.push([file.name, file.size, String(await file.bytes())])
  })

  await settled(() => expect(delivered(fixture)).toHaveLength(1))
  expect(handed).toEqual([['a.txt', 1, 'a']])
  await settled(() => expect(existsSync(folder)).toBe(false))
  expect(existsSync(outside)).toBe(true)
})

test('replies in an unreadable outbound.db are sent once it is readable', async () => {
  const fixture = hostFixture()
  const path = join(fixture.dir, 'outbound.db')
  reply(fixture, 'r')
  fixture.outbound.close()
  renameSync(path, `${path}.away`)
  const { sent, events } = start(fixture)
  await settled(() => expect(fixture.waits()).toBeGreaterThan(3))
  expect(sent).toEqual([])
  renameSync(`${path}.away`, path)
  const db = openDb(path)
  db.exec('begin exclusive')
  const waited = fixture.waits()
  await settled(() => expect(fixture.waits()).toBeGreaterThan(waited + 3))
  expect(sent).toEqual([])
  db.exec('commit')

  await settled(() => expect(events).toMatchObject([{ type: 'delivered', id: 'r' }]))
})

test('stop() waits for running sends, and no send follows', async () => {
  const fixture = hostFixture()
  for (const id of ['r-0', 'r-1']) reply(fixture, id)
  let answer = () => {}
  const { sent, stop } = start(fixture, () => new Promise<void>((resolve) => (answer = resolve)))
  await settled(() => expect(sent).toEqual(['r-0']))
  let stopped = false
  const stopping = stop().then(() => {
    stopped = true
  })
  reply(fixture, 'r-2')
  await new Promise((resolve) => setImmediate(resolve))
  expect(stopped).toBe(false)
  answer()
  await stopping
  expect(sent).toEqual(['r-0'])
  expect(delivered(fixture)).toEqual([['r-0', 'delivered', null]])
})

test('a folder is delivered once at a time', async () => {
  const fixture = hostFixture()
  const first = start(fixture)
  expect(() => fixture.host.deliver(() => undefined)).toThrow(/delivers .* already; stop\(\) that first/)
  await first.stop()
  await fixture.host.deliver(() => undefined).stop()
})

test('an error in onEvent ends the delivery with that error', async () => {
  const fixture = hostFixture()
  reply(fixture, 'r')
  const delivery = fixture.host.deliver(() => undefined, {
    onEvent: () => {
      throw new Error('mistake')
    },
  })
  await expect(delivery.done).rejects.toThrow('mistake')
  expect(delivery.running).toBe(false)
})

test.each([
  [{ timeout: 'soon' }, /deliver: timeout is soon; expected a number of milliseconds/],
  [{ concurrency: 0 }, /deliver: concurrency is 0; expected a number, 1 or more/],
  [{ pollMs: Number.NaN }, /deliver: pollMs is NaN/],
  [{ retry: { attempts: 0 } }, /deliver: retry\.attempts is 0/],
  [{ retry: { minDelay: -1 } }, /deliver: retry\.minDelay is -1/],
])('deliver with %o is rejected', (options, text) => {
  const { host } = hostFixture()
  expect(() => host.deliver(() => undefined, options as DeliverOptions)).toThrow(
    expect.objectContaining({ code: 'bad_usage', message: expect.stringMatching(text) }),
  )
})

test('closing the host stops its delivery', async () => {
  const dir = tempDir()
  const host = openHost(dir)
  const delivery = host.deliver(() => undefined, { pollMs: 60_000 })
  host.close()
  await delivery.done
})
