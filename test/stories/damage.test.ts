// inbound.db damaged, half written or exchanged under a running runtime: unreadable messages wait, and no
// message is charged.
import { execFileSync } from 'node:child_process'
import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { headInbound, insertMessage, tempDir } from '../support/files.ts'
import { leaveHotJournal } from '../support/hot-journal.ts'
import { benchOf, project, testConfig, until, type Workbench, workbench } from '../support/runtime.ts'

const ROWS = (n: number, kind: string) => `
  insert into messages_in (id, kind, timestamp, content)
  with recursive n (i) as (select 1 union all select i + 1 from n where i < ${n})
  select '${kind}-' || i, '${kind}', '2026-11-24 06:02:20', '{"pad":"' || hex(zeroblob(200)) || '"}' from n`

it('a hot journal beside a running runtime stops new work only, and an empty one stops none [48, 49]', async () => {
  const bench = await workbench(['echo', 'slow'], { pollMs: 50 })
  const [waits, reads] = [[] as string[], [] as string[]]
  // The writer may keep its lock for more than a second before it is killed, which is an obstacle of its own.
  bench.events.on('waiting', ({ reason }) => void (reason.includes('keeps it locked') || waits.push(reason)))
  bench.events.on('readable', ({ path }) => reads.push(path))
  const { inbound } = bench.config.paths

  // Killed before it had written a page: SQLite has not filled in the head of the journal.
  await leaveHotJournal(
    inbound,
    "insert into messages_in (id, kind, timestamp, content) values ('x', 'echo', '', '{}')",
  )
  expect(existsSync(`${inbound}-journal`)).toBe(true)
  const slow = bench.send('slow', { ms: 1_000 })
  await until(() => bench.ack(slow) === 'processing')
  expect(waits).toEqual([])

  await leaveHotJournal(inbound, ROWS(2_000, 'torn'))
  await until(() => waits.length > 0)
  expect(waits[0]).toContain('journal')
  await bench.ended(slow)
  expect([bench.ack(slow), bench.replies(slow).length]).toEqual(['completed', 1])
  // The host returns: its first statement rolls the journal back.
  const after = bench.send('echo')
  await bench.ended(after)
  expect([waits.length, reads.length]).toEqual([1, 1])
  expect(
    bench.outbound.prepare("select count(*) from processing_ack where message_id like 'torn%'").pluck().get(),
  ).toBe(0)
})

it('the host never waits for the runtime, whatever amount it reads [53]', async () => {
  const bench = benchOf(testConfig(project(['echo'])))
  bench.inbound.exec(ROWS(20_000, 'nobody'))
  bench.inbound.pragma('busy_timeout = 100')
  const ids: string[] = []
  await bench.runtime.start()
  try {
    while (ids.length < 30) {
      ids.push(bench.send('echo'))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await bench.ended(...ids)
  } finally {
    await bench.runtime.stop()
  }
})

it('ids that occur again in another file are the same messages: ended ones do not run again [57]', async () => {
  const bench = await workbench(['echo'])
  const old = bench.send('echo', {}, { id: 'the-same' })
  await bench.ended(old)
  const other = join(tempDir(), 'other.db')
  const replacement = headInbound(other)
  insertMessage(replacement, { id: old, kind: 'echo' })
  const fresh = insertMessage(replacement, { id: 'another', kind: 'echo' }).id
  replacement.close()
  renameSync(other, bench.config.paths.inbound)
  await bench.ended(fresh)
  expect(bench.runs(old)).toHaveLength(1)
})

it('a damaged page is reported and fails no message; its messages run when it is repaired [60]', async () => {
  const config = testConfig(project(['echo']), { pollMs: 50 })
  const bench = benchOf(config)
  bench.inbound.exec(ROWS(60, 'echo'))
  const pages = bench.inbound.pragma('page_count', { simple: true }) as number
  bench.inbound.close()
  const { inbound } = config.paths
  execFileSync('cp', [inbound, `${inbound}.whole`])
  const page = (from: string, n: number) =>
    execFileSync('dd', [
      `if=${from}`,
      `of=${inbound}`,
      'bs=4096',
      `seek=${n}`,
      `skip=${from === '/dev/urandom' ? 0 : n}`,
      'count=1',
      'conv=notrunc',
      'status=none',
    ])
  page('/dev/urandom', pages - 3)
  const waits: string[] = []
  bench.events.on('waiting', ({ reason }) => waits.push(reason))
  await bench.runtime.start()
  try {
    await until(() => waits.length > 0)
    expect(waits[0]).toContain('damaged')
    expect(failures(bench)).toBe(0)
    page(`${inbound}.whole`, pages - 3)
    await until(
      () =>
        bench.outbound
          .prepare("select count(*) from processing_ack where status = 'completed'")
          .pluck()
          .get() === 60,
    )
    expect(failures(bench)).toBe(0)
  } finally {
    await bench.runtime.stop()
  }
})

function failures(bench: Workbench): unknown {
  return bench.outbound.prepare("select count(*) from processing_ack where status = 'failed'").pluck().get()
}
