// A busy server names the time of the next request; a handler that passes it on is not charged. A real server
// with a rate limit.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { openDb } from '../support/files.ts'
import { project, until, workbenchAt } from '../support/runtime.ts'

const ASK = `import { RetryAfterError } from 'nanoclaw-functions'
  export default {
    key: null,
    timeout: '60s',
    retry: { attempts: 1 },
    async handler({ content: { url } }, ctx) {
      const response = await fetch(url, { headers: { connection: 'close' } })
      const seconds = Number(response.headers.get('retry-after'))
      if (response.status === 429) throw new RetryAfterError('busy', seconds * 1_000)
      return { attempt: ctx.attempt }
    },
  }`

/** Answers so many requests in each tenth of a second; the others get 429. */
async function serverOf(most: { perTenth: number }): Promise<{ url: string; turnedAway: () => number }> {
  let answered: number[] = []
  let turnedAway = 0
  const server = createServer((_, response) => {
    const nowMs = performance.now()
    answered = answered.filter((atMs) => nowMs - atMs < 100)
    const busy = answered.length >= most.perTenth
    if (busy) turnedAway++
    else answered.push(nowMs)
    response.writeHead(busy ? 429 : 200, busy ? { 'retry-after': '0.1' } : {}).end()
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    turnedAway: () => turnedAway,
  }
}

test('sixty messages for a server that takes five at a time all complete, at their first attempt [158]', async () => {
  const most = { perTenth: 0 }
  const { url, turnedAway } = await serverOf(most)
  const { send, ended, ack, runs, replies } = await workbenchAt(project([], { 'ask.js': ASK }), {
    concurrency: 4,
  })
  const ids = Array.from({ length: 60 }, () => send('ask', { url }))
  await until(() => turnedAway() >= 60)
  most.perTenth = 5
  await ended(...ids)
  expect(ids.flatMap((id) => (ack(id) === 'completed' ? [] : runs(id)))).toEqual([])
  expect(new Set(ids.map((id) => replies(id)[0]?.content.attempt))).toEqual(new Set([1]))
})

test('a message that was turned away stays uncharged across restarts, and is shown so [158]', async () => {
  const most = { perTenth: 0 }
  const { url } = await serverOf(most)
  const root = project([], { 'ask.js': ASK })
  const first = await workbenchAt(root)
  const id = first.send('ask', { url })
  await until(() => first.runs(id).length >= 3)
  await first.runtime.stop()
  const second = await workbenchAt(root)
  const before = second.runs(id).length
  await until(() => second.runs(id).length > before)
  most.perTenth = 5
  await second.ended(id)
  expect(second.replies(id)[0]?.content).toEqual({ attempt: 1 })
  const turnedAway = second.runs(id).filter(({ reason }) => reason === 'retry_after')
  expect(turnedAway.length).toBeGreaterThanOrEqual(3)
})

test('a message that has been turned away for a day is charged again, and fails [158]', async () => {
  const { url } = await serverOf({ perTenth: 0 })
  const root = project([], { 'ask.js': ASK })
  const first = await workbenchAt(root)
  const id = first.send('ask', { url })
  await until(() => first.runs(id).some(({ reason }) => reason === 'retry_after'))
  await first.runtime.stop()
  const outbound = openDb(first.config.paths.outbound)
  outbound.exec('update nanoclaw_run set started_at = started_at - 90000000, ended_at = ended_at - 90000000')
  outbound.close()
  const second = await workbenchAt(root)
  await second.ended(id)
  expect([second.ack(id), second.runs(id).at(-1)?.reason]).toEqual(['failed', 'handler_error'])
})
