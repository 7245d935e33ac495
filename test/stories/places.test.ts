// The runtime's state about inbound.db between two polls, or two starts: position, file, tables. None of it
// may apply to a replaced file or table.
import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openHost } from 'nanoclaw-functions/host'
import { expect, test } from 'vitest'
import { headInbound, insertMessage, openDb, seedInbound, tempDir } from '../support/files.ts'
import { benchOf, project, testConfig, until, type Workbench, workbenchAt } from '../support/runtime.ts'

const completed = (bench: Workbench) =>
  bench.outbound.prepare("select count(*) from processing_ack where status = 'completed'").pluck().get()

const runsInOrder = (bench: Workbench) =>
  bench.outbound.prepare('select in_reply_to from messages_out order by rowid').pluck().all().map(String)

/** As a host makes the table that says nothing of unique numbers. */
const LOOSE = `create table messages_in (id text primary key, seq integer, kind text, timestamp text, status text default 'pending', content text)`

function insertLoose(
  db: ReturnType<typeof openDb>,
  ids: readonly string[],
  seq: unknown,
  firstRowid?: number | bigint,
) {
  const insert = db.prepare(
    `insert into messages_in (rowid, id, seq, kind, timestamp, content) values (?, ?, ?, 'echo', '2026-11-24 06:02:20', '{}')`,
  )
  db.transaction(() =>
    ids.forEach((id, n) => {
      insert.run(firstRowid === undefined ? null : BigInt(firstRowid) + BigInt(n), id, seq)
    }),
  )()
}

const names = (prefix: string, many: number) => Array.from({ length: many }, (_, n) => `${prefix}-${n}`)

test.each(['', '; create index by_seq on messages_in (seq)'])(
  '1,200 rows of one seq, in a table where numbers need not be unique, all run, before and after a restart%s [139]',
  async (index) => {
    const root = project(['echo'])
    const { paths } = testConfig(root)
    const inbound = openDb(paths.inbound)
    inbound.exec(LOOSE + index)
    insertLoose(inbound, names('a', 1_200), 0)
    insertLoose(inbound, names('low', 3), 0, -2)
    const first = await workbenchAt(root)
    await until(() => completed(first) === 1_203)
    await first.runtime.stop()
    insertLoose(inbound, names('b', 600), 0)
    const second = await workbenchAt(root)
    await until(() => completed(second) === 1_803)
    insertLoose(inbound, names('c', 600), 0)
    await until(() => completed(second) === 2_403)
  },
)

test('rows whose rowid is zero or less run like any other, those without a number too [139]', async () => {
  const root = project(['echo'])
  const inbound = openDb(testConfig(root).paths.inbound)
  inbound.exec(LOOSE)
  insertLoose(inbound, ['lowest'], null, -(2n ** 63n))
  insertLoose(inbound, ['minus', 'zero', 'one'], null, -1)
  const bench = await workbenchAt(root)
  await bench.ended('lowest', 'minus', 'zero', 'one')
})

test('in another file that is put in place while no runtime runs, a conversation begins at its first row [140]', async () => {
  const root = project(['echo'])
  const { paths } = testConfig(root)
  const first = await workbenchAt(root)
  const ids = names('old', 20).map((id) => first.send('echo', {}, { id, thread_id: 't' }))
  await first.ended(...ids)
  await first.runtime.stop()
  first.inbound.close()

  const next = join(tempDir(), 'inbound.db')
  const longer = headInbound(next)
  const fresh = names('new', 40).map((id) => insertMessage(longer, { id, kind: 'echo', thread_id: 't' }).id)
  longer.close()
  rmSync(paths.inbound)
  renameSync(next, paths.inbound)
  const second = await workbenchAt(root)
  await second.ended(...fresh)
  expect(runsInOrder(second).slice(20)).toEqual(fresh)
})

test('a checkpoint without the id of its row is used [140]', async () => {
  const root = project(['echo'])
  const first = await workbenchAt(root)
  const done = first.send('echo')
  await first.ended(done)
  await first.runtime.stop()
  const outbound = openDb(first.config.paths.outbound)
  outbound.exec('update nanoclaw_runtime set checkpoint_id = null')
  outbound.close()
  // Behind the checkpoint, and neither unfinished nor acked: a start that reads from the beginning would run
  // it.
  insertMessage(first.inbound, { id: 'past', seq: 1, kind: 'echo' })
  const reads: string[] = []
  const second = benchOf(first.config)
  second.events.on('claimed', ({ ids }) => reads.push(...ids))
  await second.runtime.start()
  const next = second.send('echo')
  await second.ended(next)
  expect(reads[0]).toBe(next)
  await second.runtime.stop()
})

test('columns that a host adds under a running runtime are read at once [141]', async () => {
  const root = project(['echo'], {
    'what.js': `export default {
      on: { trigger: false },
      handler: (message) => ({ trigger: message.trigger, series: message.seriesId }),
    }`,
  })
  const { paths, workspace } = testConfig(root)
  seedInbound(paths.inbound)
  const bench = await workbenchAt(root)
  await bench.ended(bench.send('echo'))
  openHost(workspace).close()
  const onWake = bench.send('echo', {}, { on_wake: 1 })
  const id = bench.send('what', {}, { trigger: 0, series_id: 's' })
  await bench.ended(id)
  expect(bench.replies(id)[0]?.content).toMatchObject({ trigger: false, series: 's' })
  expect(bench.ack(onWake)).toBeUndefined()
})

test('a time and a status that a host adds under a running runtime are used [141]', async () => {
  const root = project(['echo'])
  const inbound = openDb(testConfig(root).paths.inbound)
  inbound.exec(
    'create table messages_in (id text primary key, seq integer unique, kind text, timestamp text, content text)',
  )
  const bench = await workbenchAt(root)
  await bench.ended(bench.send('echo'))
  inbound.exec(
    `alter table messages_in add column process_after text; alter table messages_in add column status text default 'pending'`,
  )
  const later = bench.send('echo', {}, { process_after: '2099-01-01 00:00:00' })
  const paused = bench.send('echo', {}, { status: 'paused' })
  await bench.ended(bench.send('echo'))
  expect([bench.ack(later), bench.ack(paused)]).toEqual([undefined, undefined])
})

test('a view in place of messages_in that raises is waited for, with its message, and read when it no longer raises [143]', async () => {
  const root = project(['echo'])
  const inbound = headInbound(testConfig(root).paths.inbound)
  const bench = benchOf(testConfig(root))
  const waits: string[] = []
  bench.events.on('waiting', ({ reason }) => waits.push(reason))
  bench.events.on('fatal', ({ error }) => waits.push(`fatal: ${error}`))
  inbound.exec(`alter table messages_in rename to real_in;
    create view messages_in as select rowid, *, json_extract(content, '$.x') as x from real_in where x is null`)
  inbound.exec(
    `insert into real_in (id, seq, kind, timestamp, content) values ('bad', 2, 'echo', '', 'no json')`,
  )
  await bench.runtime.start()
  await until(() => waits.length > 0)
  expect(waits).toEqual([expect.stringContaining('malformed JSON')])
  inbound.exec(`update real_in set content = '{}'`)
  await bench.ended('bad')
  await bench.runtime.stop()
})
