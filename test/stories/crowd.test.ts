// More messages of one function than a runtime keeps in memory: other functions are not affected.
import { expect, test } from 'vitest'
import { INBOUND_LIMITS } from '../../runtime/sources/inbound.ts'
import { readStatus } from '../../runtime/store/sqlite/inspect.ts'
import { until, type Workbench, workbench } from '../support/runtime.ts'

const { readyMax } = INBOUND_LIMITS
/** As at any other time, but for a busy machine. */
const AT_ONCE_MS = 10_000

function fill(bench: Workbench, kind: string, rows: number): void {
  bench.inbound.pragma('synchronous = off')
  bench.inbound
    .prepare(
      `insert into messages_in (id, seq, kind, timestamp, thread_id, content)
       with recursive n (i) as (select 1 union all select i + 1 from n where i < ?)
       select ? || '-' || i, 2 * i, ?, '2026-11-24 06:02:20', ? || '-' || i, '{}' from n`,
    )
    .run(rows, kind, kind, kind)
}

const countRuns = (bench: Workbench) =>
  bench.outbound.prepare('select count(*) from nanoclaw_run').pluck().get() as number

const crowdedOf = ({ config }: Workbench) =>
  readStatus(config.paths, { nowMs: Date.now() }).runtime.note?.crowded

test('20,500 messages in a retry pause delay no other function, and `status` names the waiting one [137]', async () => {
  const source = `export default { retry: { attempts: 2, minDelay: '1h' }, handler() { throw new Error('not now') } }`
  const bench = await workbench(['echo'], {}, { 'later.js': source })
  fill(bench, 'later', readyMax + 500)
  await until(() => countRuns(bench) >= readyMax)
  const echo = bench.send('echo', { text: 'hello' }, { thread_id: 'another' })
  await until(() => bench.ack(echo) === 'completed', undefined, AT_ONCE_MS)
  await until(() => {
    const [crowded] = crowdedOf(bench) ?? []
    return crowded !== undefined && crowded.retrying === crowded.ready
  })
  expect(crowdedOf(bench)).toMatchObject([{ name: 'later' }])
})

test('a backlog of 21,000 of one slow function delays no other function [138]', async () => {
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
