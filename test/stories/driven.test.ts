// What the newest host of the replaced runner concludes about ours, and does then: nothing is lost, nothing comes twice, and
// nothing that works is called stuck. The zones in which it may stand are in zones.test.ts.
import { statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDb } from '../support/files.ts'
import { leaveHotJournal } from '../support/hot-journal.ts'
import { project, until } from '../support/runtime.ts'
import { HANDLER, ProcessContainer, RuntimeContainer } from './hosts/container.ts'
import { HeadHost } from './hosts/head.ts'

const CHAT = { channel_type: 'slack', platform_id: 'C1', thread_id: 't' }
const MINUTE_MS = 60_000

const ends: (() => unknown)[] = []
const newProject = (sources = {}) =>
  project([], { 'all.js': HANDLER, ...sources }, (end) => void ends.push(end))
afterAll(async () => {
  for (const end of ends.reverse()) await end()
})

describe('the newest host', () => {
  let host: HeadHost

  beforeAll(async () => {
    const root = newProject({
      'slow.js': `export default () => new Promise((resolve) => setTimeout(resolve, 200, 'at last'))`,
      'line.js': `export default (message) => message.content.n`,
      'patient.js': `export default { timeout: '10m', handler: (_, { signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())) }`,
      'unlucky.js': `export default { retry: { minDelay: '1h' }, handler: () => { throw new Error('no') } }`,
    })
    const quiet = { heartbeatMs: MINUTE_MS, drainMs: 100, abortGraceMs: 100, warmMax: 1 }
    const dir = join(root, 'session')
    host = new HeadHost(dir, new RuntimeContainer(root, dir, quiet), CHAT)
    ends.push(() => host.container.stop())
    await leaveHotJournal(join(dir, 'outbound.db'), SPILL)
  })

  it('W14, 50: cannot read what a killed runtime left half written; the next start heals it', async () => {
    await expect(host.sweep()).rejects.toMatchObject({ code: 'SQLITE_READONLY_ROLLBACK' })
    host.insert({ id: 'first', kind: 'chat', content: { text: 'first' }, ...CHAT })
    await host.wake()
    await ended('first')
    host.deliver()
    expect(texts()).toEqual(['said first'])
  })

  it('W1: has thirty messages answered in their order, though it copies no ack meanwhile', async () => {
    const ids = Array.from({ length: 30 }, (_, n) => `line-${n}`)
    for (const [n, id] of ids.entries()) host.insert({ id, kind: 'line', content: { n }, ...CHAT })
    await acked(...ids)
    expect(answers('line')).toEqual(ids.map((_, n) => n))
    expect(host.statuses().pending).toHaveLength(30)
    await ended(...ids)
  })

  it('W2: has a message answered that ten context rows stand behind; those end without an answer', async () => {
    const ids = ['asked', ...Array.from({ length: 10 }, (_, n) => `context-${n}`)]
    for (const [n, id] of ids.entries())
      host.insert({ id, kind: 'chat', content: { text: id }, trigger: n === 0 ? 1 : 0, ...CHAT })
    await ended(...ids)
    expect(host.dueCount()).toBe(0)
    host.deliver()
    expect(host.sent.filter(({ in_reply_to }) => ids.includes(in_reply_to ?? '')).length).toBe(1)
  })

  it('W24: is not woken for ever by an answer to a question that nobody asks any more', async () => {
    const content = { type: 'question_response', questionId: 'long-ago', selectedOption: 'yes', userId: 'u' }
    host.insert({ id: 'orphan', kind: 'system', content, ...CHAT })
    expect(host.dueCount()).toBe(1)
    await ended('orphan')
    expect(host.dueCount()).toBe(0)
  })

  it('W5: never sees a claim that nobody works on: not of a message that waits for its next attempt', async () => {
    host.insert({ id: 'unlucky', kind: 'unlucky', content: {}, ...CHAT, thread_id: 'other' })
    const threw = `select 1 from nanoclaw_run where message_id = 'unlucky' and outcome = 'threw'`
    const outbound = openDb(join(host.dir, 'outbound.db'), { readonly: true })
    await until(() => outbound.prepare(threw).get() !== undefined)
    expect(host.claims()).toEqual([])
    host.aheadMs = 90_000
    expect(await host.sweep()).toEqual({ woken: false, killed: null, reset: [] })
    host.aheadMs = 0
  })

  it('151: is not asked to run again what another runner has ended in a word of its own', async () => {
    const outbound = openDb(join(host.dir, 'outbound.db'))
    outbound
      .prepare(`insert into processing_ack values ('skipped', 'script-skip:error', '2026-11-24 06:00:00')`)
      .run()
    host.insert({ id: 'skipped', kind: 'chat', content: { text: 'no' }, ...CHAT })
    host.insert({ id: 'behind', kind: 'chat', content: { text: 'behind' }, ...CHAT })
    await acked('behind')
    expect(
      outbound.prepare(`select count(*) from nanoclaw_run where message_id = 'skipped'`).pluck().get(),
    ).toBe(0)
    host.forget('skipped')
  })

  it('W12: takes the claim of a container that it believes dead and that lives: one answer, after another run', async () => {
    host.insert({ id: 'slow', kind: 'slow', content: {}, ...CHAT })
    await until(() => host.claims().length === 1)
    host.dropClaims()
    await ended('slow')
    expect(answers('slow')).toHaveLength(1)
  })

  it('is told of a run that may take ten minutes, and waits so long when the heartbeat is frozen', async () => {
    host.insert({ id: 'patient', kind: 'patient', content: {}, ...CHAT })
    await frozenSinceItsClaim('patient')
    host.aheadMs = 9 * MINUTE_MS
    expect(await host.sweep()).toMatchObject({ killed: null })
    host.aheadMs = 11 * MINUTE_MS
    // It is told to stop, and hands back what it has: nothing is left for the host to set back, and no try is charged.
    expect(await host.sweep()).toMatchObject({ killed: 'claim', reset: [] })
    host.aheadMs = 0
    expect(host.status('patient')).toMatchObject({ status: 'pending', tries: 0 })
    host.forget('patient')
  })

  it('waits a minute for one that said nothing, and longer as long as the heartbeat goes on', async () => {
    host.insert({ id: 'hold', kind: 'chat', content: { do: 'hold' }, ...CHAT })
    await host.sweep()
    const beat = await frozenSinceItsClaim('hold')
    host.aheadMs = 1.5 * MINUTE_MS
    beat(Date.now())
    expect(await host.sweep()).toMatchObject({ killed: null })
    beat(Date.now() - MINUTE_MS)
    expect(await host.sweep()).toMatchObject({ killed: 'claim' })
    host.aheadMs = 0
  })

  /** Waits until it is claimed, and takes every later sign of life away. Returns the pen of a heartbeat. */
  async function frozenSinceItsClaim(id: string): Promise<(atMs: number) => void> {
    const heartbeat = join(host.dir, '.heartbeat')
    const beat = (atMs: number) => utimesSync(heartbeat, atMs / 1000, atMs / 1000)
    await until(() => host.claims().some(({ message_id }) => message_id === id))
    const claimedMs = Date.parse(host.claims()[0]!.status_changed)
    // On a quick disk both fall into one millisecond.
    await until(() => statSync(heartbeat).mtimeMs >= claimedMs - 1)
    beat(claimedMs - 1_000)
    return beat
  }

  /** Waits for the acks, and has the host copy them. */
  async function ended(...ids: string[]): Promise<void> {
    await acked(...ids)
    await host.sweep()
    expect(host.statuses().completed).toEqual(expect.arrayContaining(ids))
  }

  async function acked(...ids: string[]): Promise<void> {
    const outbound = openDb(join(host.dir, 'outbound.db'), { readonly: true })
    const of = `select count(*) from processing_ack where status = 'completed' and message_id in (select value from json_each(?))`
    const count = outbound.prepare(of).pluck()
    await until(() => count.get(JSON.stringify(ids)) === ids.length)
  }

  const texts = () => host.sent.map(({ content }) => JSON.parse(content).text)
  /** What the replies to messages of this kind say. */
  function answers(kind: string): unknown[] {
    host.deliver()
    return host.sent.filter((row) => row.kind === kind).map(({ content }) => JSON.parse(content))
  }
})

it('W3, W4, W27: a container that dies at the wrong moment, or is killed as soon as it is born, loses nothing and repeats nothing', async () => {
  const root = newProject()
  const dir = join(root, 'session')
  const container = new ProcessContainer(root, dir)
  const host = new HeadHost(dir, container, CHAT)
  ends.push(() => container.kill())
  host.insert({ id: 'm', kind: 'chat', content: { text: 'hello' }, ...CHAT })
  // A runner died two minutes ago. The host starts another one, finds the old claim, and kills the new one for it.
  host.claimAsARunnerThatDied('m', Date.now() - 2 * MINUTE_MS)
  host.aheadMs = -10_000
  expect(await host.sweep()).toEqual({ woken: true, killed: 'claim', reset: ['m'] })
  host.aheadMs = 0

  container.crashAt = 'in-finish-before-commit:1'
  await host.wake()
  await until(() => !container.running)
  container.crashAt = 'after-commit:1'
  await host.wake()
  await until(() => !container.running)

  container.crashAt = undefined
  host.deliver()
  expect(host.sent.map(({ content }) => JSON.parse(content).text)).toEqual(['said hello'])
  expect(await host.sweep()).toEqual({ woken: false, killed: null, reset: [] })
  expect(host.statuses()).toEqual({ completed: ['m'] })

  // As a container is stopped: SIGTERM, and SIGKILL later. It does not come to that.
  container.env = { NANOCLAW_DRAIN: '400ms', NANOCLAW_ABORT_GRACE: '300ms' }
  host.insert({ id: 'again', kind: 'chat', content: { text: 'again' }, ...CHAT })
  expect((await host.sweep()).woken).toBe(true)
  await until(() => {
    host.deliver()
    return host.sent.length === 2
  })
  // It has nothing to do, and stays until it is stopped: a reply of a container that has gone would wait a minute.
  host.insert({ id: 'hold', kind: 'chat', content: { do: 'hold' }, ...CHAT })
  await until(() => host.claims().length === 1)
  expect(await container.stop()).toBe(0)
  expect(container.said).toBe('')
  expect(host.claims()).toEqual([])
})

/** More than fits into a cache of five pages. */
const SPILL = `
  insert into messages_out (id, timestamp, kind, content)
  with recursive n (i) as (select 1 union all select i + 1 from n where i < 300)
  select 'torn-' || i, '2026-11-24 06:02:20', 'chat', '{"pad":"' || hex(zeroblob(200)) || '"}' from n`
