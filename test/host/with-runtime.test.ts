// This host library and this runtime on one folder.
import { type Host, openHost } from 'nanoclaw-functions/host'
import { expect, onTestFinished, test } from 'vitest'
import { until, workbench } from '../support/runtime.ts'

async function both(): Promise<{ host: Host; workspace: string }> {
  const bench = await workbench(['echo', 'throw'], {
    retry: { attempts: 1, minDelayMs: 1, maxDelayMs: 1, factor: 1 },
  })
  const host = openHost(bench.config.workspace)
  onTestFinished(() => host.close())
  return { host, workspace: bench.config.workspace }
}

const state = (host: Host, id: string) => host.status(id)?.state

test('messages are answered, states are correct, replies arrive once and in order', async () => {
  const { host } = await both()
  const sent = host.enqueueMany(
    Array.from({ length: 30 }, (_, n) => ({ kind: 'echo', content: { n }, threadId: 't' })),
  )
  host.enqueue({ id: 'bad', kind: 'throw', content: {} })
  const answered: unknown[] = []
  for await (const reply of host.replies()) {
    answered.push(reply.content.echo.n)
    if (answered.length === 30) break
  }
  await until(() => state(host, 'bad') === 'failed')

  expect(answered).toEqual(Array.from({ length: 30 }, (_, n) => n))
  await until(() => sent.every(({ id }) => state(host, id) === 'completed'))
  expect(host.sync()).toMatchObject({ readable: true, completed: 30, failed: 1, pending: 0 })
})

test('a task that was paused, passed by the scan and resumed runs; so does one that was moved forward', async () => {
  const { host } = await both()
  host.enqueue({ id: 'held', kind: 'echo', content: {}, processAfter: '1h' })
  host.enqueue({ id: 'later', kind: 'echo', content: { text: 'old' }, processAfter: '1h' })
  host.tasks.pause('held')
  const { id } = host.enqueue({ kind: 'echo', content: {} })
  await until(() => state(host, id) === 'completed')
  expect([state(host, 'held'), state(host, 'later')]).toEqual(['paused', 'pending'])

  host.tasks.resume('held')
  host.tasks.update('held', { processAfter: null })
  host.tasks.update('later', { processAfter: 0, content: { text: 'new' } })

  await until(() => state(host, 'held') === 'completed' && state(host, 'later') === 'completed')
  for await (const reply of host.replies())
    if (reply.inReplyTo === 'later') {
      expect(reply.content.echo).toEqual({ text: 'new' })
      break
    }
})

test('a task that is cancelled before its time does not run', async () => {
  const { host } = await both()
  host.enqueue({ id: 'cancelled', kind: 'echo', content: {}, processAfter: '300ms' })
  host.enqueue({ id: 'after it', kind: 'echo', content: {}, processAfter: '400ms' })
  host.tasks.cancel('cancelled')

  const { value: first } = await host.replies().next()

  expect(first?.inReplyTo).toBe('after it')
})

test('a recurring message runs at each of its times', async () => {
  const { host } = await both()
  host.enqueue({ id: 'tick', kind: 'echo', content: {}, recurrence: '* * * * * *' })
  let recurred = 0
  await until(() => {
    recurred += host.sync().recurred
    return recurred >= 3
  })
  host.tasks.cancel('tick')

  expect(host.tasks.list()).toEqual([])
})

test('a failed message is redriven and delivered under its new id', async () => {
  const { host } = await both()
  host.enqueue({ id: 'm', kind: 'throw', content: {} })
  await until(() => state(host, 'm') === 'failed')
  const again = host.redrive('m')
  await until(() => state(host, again.id) === 'failed')
  expect(host.sync()).toMatchObject({ failed: 2 })
})
