// Decisions of the newest host of the replaced runner about this runtime: no message is lost or repeated, and
// no running message counts as stuck. Time zones of the host are in zones.test.ts.
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

  it('cannot read the hot journal of a killed runtime; the next start rolls it back [W14, 50]', async () => {
    await expect(host.sweep()).rejects.toMatchObject({ code: 'SQLITE_READONLY_ROLLBACK' })
    host.insert({ id: 'first', kind: 'chat', content: { text: 'first' }, ...CHAT })
    await host.wake()
    await ended('first')
    host.deliver()
    expect(texts()).toEqual(['said first'])
  })

  it('has thirty messages answered in order, although it copies no ack meanwhile [W1]', async () => {
    const ids = Array.from({ length: 30 }, (_, n) => `line-${n}`)
    for (const [n, id] of ids.entries()) host.insert({ id, kind: 'line', content: { n }, ...CHAT })
    await acked(...ids)
    expect(answers('line')).toEqual(ids.map((_, n) => n))
    expect(host.statuses().pending).toHaveLength(30)
    await ended(...ids)
  })

  it('has a message with ten context rows behind it answered; those end without an answer [W2]', async () => {
    const ids = ['asked', ...Array.from({ length: 10 }, (_, n) => `context-${n}`)]
    for (const [n, id] of ids.entries())
      host.insert({ id, kind: 'chat', content: { text: id }, trigger: n === 0 ? 1 : 0, ...CHAT })
    await ended(...ids)
    expect(host.dueCount()).toBe(0)
    host.deliver()
    expect(host.sent.filter(({ in_reply_to }) => ids.includes(in_reply_to ?? '')).length).toBe(1)
  })

  it('does not start runtimes for ever for an answer to a question that was withdrawn [W24]', async () => {
    const content = { type: 'question_response', questionId: 'long-ago', selectedOption: 'yes', userId: 'u' }
    host.insert({ id: 'orphan', kind: 'system', content, ...CHAT })
    expect(host.dueCount()).toBe(1)
    await ended('orphan')
    expect(host.dueCount()).toBe(0)
  })

  it('never sees a claim of a message that waits for a retry [W5]', async () => {
    host.insert({ id: 'unlucky', kind: 'unlucky', content: {}, ...CHAT, thread_id: 'other' })
    const threw = `select 1 from nanoclaw_run where message_id = 'unlucky' and outcome = 'threw'`
    const outbound = openDb(join(host.dir, 'outbound.db'), { readonly: true })
    await until(() => outbound.prepare(threw).get() !== undefined)
    expect(host.claims()).toEqual([])
    host.aheadMs = 90_000
    expect(await host.sweep()).toEqual({ woken: false, killed: null, reset: [] })
    host.aheadMs = 0
  })

  it('does not get a message to run that another runner has ended with its own status [151]', async () => {
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

  it('removes the claim of a live container that it considers dead: one answer, after another run [W12]', async () => {
    host.insert({ id: 'slow', kind: 'slow', content: {}, ...CHAT })
    await until(() => host.claims().length === 1)
    host.dropClaims()
    await ended('slow')
    expect(answers('slow')).toHaveLength(1)
  })

  it('reads the declaration of a run of ten minutes, and waits that long with a frozen heartbeat', async () => {
    host.insert({ id: 'patient', kind: 'patient', content: {}, ...CHAT })
    await frozenSinceItsClaim('patient')
    host.aheadMs = 9 * MINUTE_MS
    expect(await host.sweep()).toMatchObject({ killed: null })
    host.aheadMs = 11 * MINUTE_MS
    // A stop releases its messages: the host has no claim to reset, and no attempt is charged.
    expect(await host.sweep()).toMatchObject({ killed: 'claim', reset: [] })
    host.aheadMs = 0
    expect(host.status('patient')).toMatchObject({ status: 'pending', tries: 0 })
    host.forget('patient')
  })

  it('waits a minute for an undeclared run, and longer while the heartbeat continues', async () => {
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

  /**
   * Waits until it is claimed, and removes every later sign of life. Returns a function that writes a
   * heartbeat.
   */
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

it('a container that dies at any moment, or is killed right after its start, loses and repeats no message [W3, W4, W27]', async () => {
  const root = newProject()
  const dir = join(root, 'session')
  const container = new ProcessContainer(root, dir)
  const host = new HeadHost(dir, container, CHAT)
  ends.push(() => container.kill())
  host.insert({ id: 'm', kind: 'chat', content: { text: 'hello' }, ...CHAT })
  // A runner died two minutes ago. The host starts another one, finds the old claim, and kills the new one
  // for it.
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
  // It is idle, and stays until it is stopped: a reply of a stopped container would wait a minute.
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
