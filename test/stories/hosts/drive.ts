// A process in a time zone of its own that drives our runtime as the first and as the newest host do, each on
// a folder of its own below ROOT, and tells as JSON what became of everything. To be compared between zones:
// nothing in it depends on one.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { RuntimeContainer } from './container.ts'
import { HeadHost } from './head.ts'
import { SeedHost } from './seed.ts'
import { sqliteForm, type UpstreamHost } from './upstream.ts'

const CHAT = { channel_type: 'slack', platform_id: 'C1', thread_id: 't' }
const HOUR_MS = 3_600_000

/** `ends`: what must have ended; the time of its making may stand behind an id. */
async function drive(host: UpstreamHost, ends: readonly string[], between: () => void = () => {}) {
  const [past, future] = [Date.now() - 60_000, Date.now() + HOUR_MS]
  const task = (id: string, process_after: string) =>
    host.insert({ id, kind: 'task', timestamp: host.now, content: { prompt: id }, process_after, ...CHAT })
  const chat = (id: string, content: object) => host.insert({ id, kind: 'chat', content, ...CHAT })
  task('past-sqlite', sqliteForm(past))
  task('past-iso', new Date(past).toISOString())
  task('future-sqlite', sqliteForm(future))
  task('future-iso', new Date(future).toISOString())
  for (const action of ['fail', 'later', 'plan']) chat(action, { do: action })
  chat('hello', { text: 'hello' })

  const { woken } = await host.sweep()
  await until(async () => {
    host.deliver()
    await host.sweep()
    between()
    const { completed = [] } = host.statuses()
    return ends.every((id) => completed.some((done) => done === id || done.startsWith(`${id}-`)))
  })
  host.deliver()

  chat('hold', { do: 'hold' })
  await until(() => host.claims().length === 1)
  const claimedMs = Date.parse(host.claims()[0]!.status_changed)
  await until(() => statSync(join(host.dir, '.heartbeat')).mtimeMs > claimedMs)
  host.aheadMs = 90_000
  const judged = await host.sweep()
  host.aheadMs = 0
  await host.container.stop()
  return {
    woken,
    judged,
    claimsAfterStop: host.claims(),
    statuses: host.statuses(),
    sent: host.sent.map(({ content }) => JSON.parse(content).text).sort(),
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 60_000
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`not in time: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
}

async function main(root: string): Promise<unknown> {
  const change = { concurrency: 1, heartbeatMs: 100, drainMs: 100, abortGraceMs: 100 }
  const at = (name: string) => join(root, name)
  const ends = ['past-sqlite', 'past-iso', 'fail', 'later', 'plan', 'planned', 'hello']
  const seed = new SeedHost(at('seed'), new RuntimeContainer(root, at('seed'), change))

  process.env.NANOCLAW_WORKSPACE = at('head')
  const container = new RuntimeContainer(root, at('head'), { ...change, env: ['NANOCLAW_WORKSPACE'] })
  const head = new HeadHost(at('head'), container, CHAT)
  const options = [{ label: 'Yes', selectedLabel: 'Yes!', value: 'yes' }]
  head.insert({ id: 'context', kind: 'chat', content: { text: 'context' }, trigger: 0, ...CHAT })
  head.insert({ id: 'restarted', kind: 'chat', content: { text: 'go on' }, on_wake: 1, ...CHAT })
  head.insert({ id: 'daily', kind: 'task', content: { prompt: 'daily' }, recurrence: '0 9 * * *', ...CHAT })
  head.insert({ id: 'ask', kind: 'chat', content: { do: 'ask', options }, ...CHAT })
  head.insert({ id: 'order', kind: 'chat', content: { do: 'order' }, ...CHAT })
  head.insert({ id: 'stranger', kind: 'chat', content: { do: 'stranger' }, ...CHAT })
  const files = { 'a.txt': Buffer.from('text').toString('base64') }
  head.receive({ id: 'copy', kind: 'chat', ...CHAT }, { do: 'copy' }, files)
  const headEnds = [
    'context',
    'restarted',
    'daily',
    'ask',
    'qr-q',
    'order',
    'stranger',
    'copy',
    'cli-resp-r-1',
  ]

  const [first, newest] = await Promise.all([
    drive(seed, ends),
    drive(head, [...ends, ...headEnds], () => head.asked.forEach((id) => head.click(id, 'yes'))),
  ])
  const next = newest.statuses.pending?.find((id) => id.startsWith('task-daily')) ?? ''
  return {
    behindMinutes: new Date(Date.UTC(2026, 11)).getTimezoneOffset(),
    seed: first,
    head: withoutTimes(newest),
    nextHour: new Date(head.status(next)?.process_after ?? '').getHours(),
    files: head.files,
  }
}

/** Ids of this host that have the time of their making in them. */
function withoutTimes<T extends object>(report: T): T {
  return JSON.parse(JSON.stringify(report).replace(/(qr-q|task-daily)-[\w-]*\d+/g, '$1'))
}

process.stdout.write(JSON.stringify(await main(process.argv[2] ?? '')))
