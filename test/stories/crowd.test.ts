// More messages than a runtime keeps in memory: whatever keeps them, every other conversation goes on.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readStatus } from '../../runtime/store/sqlite/inspect.ts'
import { tempDir } from '../support/files.ts'
import { benchOf, project, testConfig, until, type Workbench } from '../support/runtime.ts'

/** Less than a runtime has, so that its lanes are full soon. */
const LIMITS = { readyMax: 2_000, shareMax: 200 }
const { readyMax } = LIMITS
/** As at any other time, but for a busy machine. */
const AT_ONCE_MS = 10_000

async function workbenchAt(root: string, change: Parameters<typeof testConfig>[1] = {}): Promise<Workbench> {
  const bench = benchOf(testConfig(root, change), undefined, { limits: LIMITS })
  onTestFinished(() => bench.runtime.stop())
  await bench.runtime.start()
  return bench
}

function workbench(
  fixtures: readonly string[],
  change: Parameters<typeof testConfig>[1],
  sources: Readonly<Record<string, string>>,
): Promise<Workbench> {
  return workbenchAt(project(fixtures, sources), change)
}

/** `thread`: of all of them; left out, each is a conversation of its own. */
function fill(bench: Workbench, kind: string, rows: number, thread?: string): void {
  bench.inbound.pragma('synchronous = off')
  bench.inbound
    .prepare(
      `insert into messages_in (id, seq, kind, timestamp, thread_id, content)
       with recursive n (i) as (select 1 union all select i + 1 from n where i < ?)
       select ? || '-' || i, 2 * i, ?, '2026-11-24 06:02:20', coalesce(?, ? || '-' || i), '{"n":' || i || '}' from n`,
    )
    .run(rows, kind, kind, thread, kind)
}

const countRuns = (bench: Workbench) =>
  bench.outbound.prepare('select count(*) from nanoclaw_run').pluck().get() as number

const crowdedOf = ({ config }: Workbench) =>
  readStatus(config.paths, { nowMs: Date.now() }).runtime.note?.crowded

/** Every message waits for an hour after its first attempt, unless it says otherwise. */
const LATER = `export default { retry: { attempts: 2, minDelay: '1h' }, handler({ content }) {
  if (content.now) return { text: 'done' }
  throw new Error('not now')
} }`

test('2,500 messages in a retry pause keep no other conversation waiting, of another function or the same [137]', async () => {
  const bench = await workbench(['echo'], {}, { 'later.js': LATER })
  fill(bench, 'later', readyMax + 500)
  await until(() => countRuns(bench) >= readyMax)
  const echo = bench.send('echo', { text: 'hello' }, { thread_id: 'another' })
  const same = bench.send('later', { now: true }, { thread_id: 'another' })
  const behind = bench.send('later', { now: true }, { thread_id: 'later-7' })
  await until(() => bench.ack(echo) === 'completed' && bench.ack(same) === 'completed', undefined, AT_ONCE_MS)
  await until(() => countRuns(bench) === readyMax + 502)
  expect(bench.ack(behind), 'one of the same conversation comes in its turn').toBeUndefined()
  await until(() => crowdedOf(bench) === undefined)

  // A start goes on from there: it finds what waits, and lets nothing of its conversations pass it.
  await bench.runtime.stop()
  const next = await workbenchAt(join(bench.config.workspace, '..'))
  const fresh = next.send('later', { now: true }, { thread_id: 'a third' })
  const after = next.send('later', { now: true }, { thread_id: `later-${readyMax}` })
  await until(() => next.ack(fresh) === 'completed', undefined, AT_ONCE_MS)
  expect([behind, after].map((id) => next.ack(id))).toEqual([undefined, undefined])
})

test('2,500 messages behind the first of their conversation, which waits for its retry, keep no other one waiting', async () => {
  const bench = await workbench(['echo'], {}, { 'later.js': LATER })
  fill(bench, 'later', readyMax + 500, 'a long one')
  await until(() => countRuns(bench) === 1)
  const same = bench.send('later', { now: true }, { thread_id: 'another' })
  const behind = bench.send('later', { now: true }, { thread_id: 'a long one' })
  await until(() => bench.ack(same) === 'completed', undefined, AT_ONCE_MS)
  expect([bench.ack(behind), countRuns(bench)]).toEqual([undefined, 2])

  await bench.runtime.stop()
  const next = await workbenchAt(join(bench.config.workspace, '..'))
  const fresh = next.send('later', { now: true }, { thread_id: 'a third' })
  await until(() => next.ack(fresh) === 'completed', undefined, AT_ONCE_MS)
  expect([next.ack(behind), countRuns(next)]).toEqual([undefined, 3])
})

test('when the first one is through, what stood behind it in the file follows in its order', async () => {
  const source = `export default { retry: { attempts: 2, minDelay: '6s', maxDelay: '6s' }, handler({ content }, { attempt }) {
    if (content.n === 1 && attempt === 1) throw new Error('not now')
    return { text: String(content.n) }
  } }`
  const bench = await workbench([], {}, { 'later.js': source })
  const rows = readyMax + 500
  fill(bench, 'later', rows, 'a long one')
  await until(() => countRuns(bench) === 1)
  const other = bench.send('later', { n: 0 }, { thread_id: 'another' })
  await until(() => bench.ack(other) === 'completed', undefined, AT_ONCE_MS)
  expect(countRuns(bench)).toBe(2)
  await bench.ended(`later-${rows}`)
  const numbers = bench.outbound
    .prepare(`select json_extract(content, '$.text') from messages_out order by seq`)
    .pluck()
    .all()
  expect(numbers).toEqual(Array.from({ length: rows + 1 }, (_, n) => String(n)))
})

test('2,500 messages of a function whose processes do not start keep no other conversation waiting', async () => {
  const loads = join(tempDir(), 'loads')
  writeFileSync(loads, '')
  const source = `import { existsSync } from 'node:fs'
    if (!existsSync(${JSON.stringify(loads)})) process.exit(1)
    export default { retry: { attempts: 2, minDelay: '1h' }, handler() { process.exit(1) } }`
  const bench = await workbench(['echo'], {}, { 'gone.js': source })
  rmSync(loads)
  fill(bench, 'gone', readyMax + 500)
  for (let n = 0; n < 3; n++) {
    const echo = bench.send('echo', { text: 'hello' }, { thread_id: `another ${n}` })
    await until(() => bench.ack(echo) === 'completed', undefined, AT_ONCE_MS)
  }
  await until(() => crowdedOf(bench) !== undefined)
  expect(crowdedOf(bench)).toMatchObject([{ name: 'gone' }])
})

test('a backlog of 3,000 of one slow function delays no other function [138]', async () => {
  const source = `export default { handler: () => new Promise((resolve) => setTimeout(resolve, 200)) }`
  const bench = await workbench(['echo'], {}, { 'slow.js': source })
  fill(bench, 'slow', readyMax + 1_000)
  await until(() => crowdedOf(bench) !== undefined)
  const [free, behind] = ['another', `slow-${readyMax + 900}`].map((thread) =>
    bench.send('echo', { text: 'hello' }, { thread_id: thread }),
  )
  await until(() => bench.ack(free!) === 'completed', undefined, AT_ONCE_MS)
  expect(bench.ack(behind!), 'one of the same conversation comes in its turn').toBeUndefined()
  expect(crowdedOf(bench)).toMatchObject([{ name: 'slow', retrying: 0 }])
})
