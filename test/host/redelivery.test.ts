// deliver when sending fails: retries, giving up, sending again; and a crash between a send and its record.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { renameSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Adapter, NonRetryableError, RetryAfterError } from 'nanoclaw-functions/host'
import { expect, test } from 'vitest'
import { compiled } from '../support/compiled.ts'
import { delivered, reply, settled, start } from '../support/deliver.ts'
import { hostFixture } from '../support/host.ts'

test('a failed reply is retried later, is not overtaken, and does not delay other destinations [W18]', async () => {
  const fixture = hostFixture()
  for (const id of ['a-0', 'a-1']) reply(fixture, id, { thread_id: 'a' })
  reply(fixture, 'b-0', { thread_id: 'b' })
  let broken = true
  const { sent, events } = start(fixture, (out) => {
    if (out.threadId === 'a' && broken) throw new Error('503')
  })

  await settled(() =>
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'retry', id: 'a-0', attempt: 1, error: '503' }),
    ),
  )
  await settled(() => expect(delivered(fixture)).toEqual([['b-0', 'delivered', null]]))
  expect(sent.filter((id) => id === 'a-0')).toHaveLength(1)
  fixture.setTime('2026-11-24T06:02:22Z')
  await settled(() =>
    expect(events).toContainEqual(expect.objectContaining({ type: 'retry', id: 'a-0', attempt: 2 })),
  )
  broken = false
  fixture.setTime('2026-11-24T06:03:00Z')
  await settled(() => expect(delivered(fixture)).toHaveLength(3))
  expect(sent.filter((id) => id !== 'b-0')).toEqual(['a-0', 'a-0', 'a-0', 'a-1'])
})

test('the attempt count survives the host; after the last attempt the reply is given up, listed, and can be sent again [W33]', async () => {
  const fixture = hostFixture()
  reply(fixture, 'bad')
  reply(fixture, 'good')
  let broken = true
  const adapter: Adapter = (out) => {
    if (out.id === 'bad' && broken) throw new Error('no such channel')
    return `platform-${out.id}`
  }
  const retry = { attempts: 2, minDelay: '1s' } as const
  const first = start(fixture, adapter, { retry })
  await settled(() => expect(first.events).toHaveLength(1))
  await first.stop()
  fixture.setTime('2026-11-24T06:03:00Z')

  const second = start(fixture, adapter, { retry })
  await settled(() => expect(delivered(fixture)).toHaveLength(2))
  expect(second.events).toEqual([
    { type: 'dead', id: 'bad', attempt: 2, error: 'no such channel' },
    { type: 'delivered', id: 'good', attempt: 1, platformId: 'platform-good' },
  ])
  expect(fixture.host.deadLetters()).toEqual([
    { id: 'bad', failedAt: '2026-11-24 06:03:00.000', error: 'no such channel', attempts: 2 },
  ])

  broken = false
  expect(fixture.host.redeliver('bad')).toBe(true)
  await settled(() =>
    expect(second.events).toContainEqual({
      type: 'delivered',
      id: 'bad',
      attempt: 1,
      platformId: 'platform-bad',
    }),
  )
  expect(fixture.host.deadLetters()).toEqual([])
  expect(fixture.host.redeliver('bad')).toBe(false)
  expect(() => fixture.host.redeliver('nobody')).toThrow(/there is no reply "nobody"/)
})

test('an adapter may give a reply up, or set the time of the retry [W34]', async () => {
  const fixture = hostFixture()
  reply(fixture, 'never', { thread_id: 'a' })
  reply(fixture, 'later', { thread_id: 'b' })
  const { events } = start(fixture, (out) => {
    throw out.id === 'never' ? new NonRetryableError('banned') : new RetryAfterError('slow down', '90s')
  })

  await settled(() => expect(events).toHaveLength(2))
  expect(events).toContainEqual({ type: 'dead', id: 'never', attempt: 1, error: 'NonRetryableError: banned' })
  expect(events).toContainEqual({
    type: 'retry',
    id: 'later',
    attempt: 1,
    error: 'RetryAfterError: slow down',
    nextAtMs: Date.parse('2026-11-24T06:03:50.123Z'),
  })
})

test('an attempt that takes too long is aborted and counts as failed', async () => {
  const fixture = hostFixture()
  reply(fixture, 'r')
  let aborted = false
  const { events } = start(
    fixture,
    (_, { signal }) => {
      signal.addEventListener('abort', () => {
        aborted = true
      })
      return new Promise(() => {})
    },
    { timeout: 20 },
  )
  await settled(() =>
    expect(events).toMatchObject([{ type: 'retry', id: 'r', error: 'no answer within 20 ms' }]),
  )
  expect(aborted).toBe(true)
})

test('a host that is killed after a send and before its record sends again under the same key, and no other reply twice [W35]', async () => {
  const fixture = hostFixture()
  for (let n = 0; n < 6; n++) reply(fixture, `r-${n}`)
  const script = await compiled(fileURLToPath(new URL('../support/deliver-child.ts', import.meta.url)))
  const run = async (killAt: string) => {
    const child = spawn(process.execPath, [script, fixture.dir, killAt], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let keys = ''
    child.stdout.on('data', (chunk) => {
      keys += chunk
    })
    expect((await once(child, 'close'))[1]).toBe('SIGKILL')
    return keys
      .trim()
      .split('\n')
      .map((key) => key.replace(`${basename(fixture.dir)}/`, ''))
  }

  expect(await run('r-2')).toEqual(['r-0', 'r-1', 'r-2'])
  expect(await run('r-5')).toEqual(['r-2', 'r-3', 'r-4', 'r-5'])
  const { sent } = start(fixture)
  await settled(() => expect(delivered(fixture)).toHaveLength(6))
  expect(sent).toEqual(['r-5'])
})

test('a delivery result that cannot be written for a while is written later; the reply is not sent again', async () => {
  const fixture = hostFixture()
  const path = join(fixture.dir, 'inbound.db')
  reply(fixture, 'r')
  const { sent, events } = start(fixture, () => renameSync(path, `${path}.away`))

  await settled(() =>
    expect(events).toMatchObject([
      { type: 'blocked', error: expect.stringMatching(/inbound\.db does not exist any more/) },
    ]),
  )
  renameSync(`${path}.away`, path)
  await settled(() => expect(delivered(fixture)).toEqual([['r', 'delivered', null]]))
  expect(sent).toEqual(['r'])
  expect(events.map(({ type }) => type)).toEqual(['blocked', 'delivered'])
})
