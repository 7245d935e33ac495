// Faults of inbound.db, none of which loses a message.

import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createEvents } from '../../runtime/protocol/events.ts'
import { statusPath } from '../../runtime/protocol/status-file.ts'
import { createRuntime } from '../../runtime/runtime.ts'
import { headInbound, insertMessage, openDb, seedInbound, tempDir } from '../support/files.ts'
import { leaveHotJournal } from '../support/hot-journal.ts'
import { benchOf, project, testConfig, until, workbench } from '../support/runtime.ts'

describe('inbound.db', () => {
  it('may be missing at first; the runtime reports that once, and continues when it exists [54, 55]', async () => {
    const { config, waits, acks } = await started()
    await until(() => waits.length > 0)
    await new Promise((resolve) => setTimeout(resolve, 5 * config.pollMs))
    const id = insertMessage(headInbound(config.paths.inbound), { kind: 'echo' }).id
    await until(() => acks()[id] === 'completed')
    expect(waits).toHaveLength(1)
    expect(waits[0]).toContain('does not exist yet')
  })

  it('may be empty, or without its tables, for a while [59]', async () => {
    const { config, waits, acks } = await started((path) => writeFileSync(path, ''))
    await until(() => waits.length > 0)
    expect(waits[0]).toContain('no table messages_in yet')
    const id = insertMessage(headInbound(config.paths.inbound), { kind: 'echo' }).id
    await until(() => acks()[id] === 'completed')
  })

  it.each([
    [
      'a text file',
      (path: string) => writeFileSync(path, 'no database '.repeat(100)),
      'not an SQLite database',
    ],
    ['a folder', (path: string) => mkdirSync(path), 'not a regular file'],
    ['a FIFO', (path: string) => void execFileSync('mkfifo', [path]), 'not a regular file'],
    ['a link to itself', (path: string) => symlinkSync(path, path), 'not a regular file'],
    [
      'a table of other columns',
      (path: string) => void openDb(path).exec('create table messages_in (number integer)'),
      'lacks id, kind',
    ],
  ])(
    'may be %s, which is reported and never blocks; the right file is read when it exists [61, 64]',
    async (_what, make, words) => {
      const { config, waits, acks } = await started(make)
      await until(() => waits.length > 0)
      expect(waits.join()).toContain(words)
      rmSync(config.paths.inbound, { recursive: true })
      const id = insertMessage(headInbound(config.paths.inbound), { kind: 'echo' }).id
      await until(() => acks()[id] === 'completed')
    },
  )

  it('with the journal of a dead writer is not readable until a writer has opened it; the runtime writes nothing [W14, 47]', async () => {
    let before = ''
    const { config, waits, acks } = await started(async (path) => {
      const db = headInbound(path)
      insertMessage(db, { id: 'early', kind: 'echo' })
      db.close()
      await leaveHotJournal(path, SPILL)
      before = sha256(path)
    })
    await until(() => waits.length > 0)
    expect(waits[0]).toContain('journal')
    expect(sha256(config.paths.inbound)).toBe(before)
    openDb(config.paths.inbound).prepare('select count(*) from messages_in').get()
    await until(() => acks().early === 'completed')
  })

  it('may be replaced by another file, which is read from its start [56]', async () => {
    const bench = await workbench(['echo'])
    const first = bench.send('echo')
    await bench.ended(first)
    const other = join(tempDir(), 'other.db')
    const replacement = headInbound(other)
    const id = insertMessage(replacement, { id: 'in-the-new-file', kind: 'echo' }).id
    replacement.close()
    renameSync(other, bench.config.paths.inbound)
    await bench.ended(id)
    expect(bench.ack(id)).toBe('completed')
  })

  it('may be deleted or cut short while it is read; no message fails for it [58, 59]', async () => {
    const bench = await workbench(['echo'])
    await bench.ended(bench.send('echo'))
    const waits: string[] = []
    bench.events.on('waiting', ({ reason }) => waits.push(reason))
    truncateSync(bench.config.paths.inbound, 50)
    await until(() => waits.length > 0)
    rmSync(bench.config.paths.inbound)
    const id = insertMessage(headInbound(bench.config.paths.inbound), { id: 'after', kind: 'echo' }).id
    await bench.ended(id)
    expect(
      bench.outbound.prepare("select count(*) from processing_ack where status = 'failed'").pluck().get(),
    ).toBe(0)
  })

  it('may be of an older shape, gain columns and be vacuumed while it is read [W43, 62, 63, 65]', async () => {
    const { config, acks } = await started((path) => void seedInbound(path))
    const db = openDb(config.paths.inbound)
    const first = insertMessage(db, { kind: 'echo' }).id
    await until(() => acks()[first] === 'completed')
    db.exec(
      'alter table messages_in add column trigger integer not null default 1; alter table messages_in add column weather text; vacuum',
    )
    const second = insertMessage(db, { kind: 'echo' }).id
    await until(() => acks()[second] === 'completed')
  })

  it('locked for long by its host, is read when the lock is released; the runtime continues [W31, 52]', async () => {
    const bench = await workbench(['echo'])
    const id = bench.send('echo', {}, { process_after: new Date(Date.now() + 300).toISOString() })
    bench.inbound.exec('begin exclusive')
    const beats = new Set<number>()
    await until(() => beats.add(statSync(statusPath(bench.config.paths.lock)).mtimeMs).size >= 3)
    bench.inbound.exec('commit')
    await bench.ended(id)
    expect(bench.ack(id)).toBe('completed')
  })

  it('a burst of commits is detected completely, without the poll [W7, 90]', async () => {
    const bench = await workbench(['echo'], { pollMs: 60_000 })
    for (const pauseMs of [1, 5, 20, 40]) {
      const ids: string[] = []
      for (let n = 0; n < 15; n++) {
        ids.push(bench.send('echo'))
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
      await bench.ended(...ids)
    }
  })

  it('without file events the poll finds every message [91]', async () => {
    const bench = await workbench(['echo'], { watch: false, pollMs: 50 })
    const id = bench.send('echo')
    await bench.ended(id)
  })

  it('is never written, and no file is created beside it', async () => {
    const bench = benchOf(testConfig(project(['echo', 'throw'])))
    const ids = [bench.send('echo'), bench.send('throw'), bench.send('nobody')]
    const before = sha256(bench.config.paths.inbound)
    await bench.runtime.start()
    await bench.ended(ids[0]!, ids[1]!)
    await bench.runtime.stop()
    expect(sha256(bench.config.paths.inbound)).toBe(before)
    expect(readdirSync(bench.config.workspace).filter((name) => name.startsWith('inbound'))).toEqual([
      'inbound.db',
    ])
  })

  it('an id that is not text fails with the bytes of the file as its id; a null id is reported [83, 87]', async () => {
    const bench = await workbench(['echo'])
    const told: string[] = []
    bench.events.on('rejected', ({ id, reason }) => told.push(`${reason} ${id}`))
    const insert = bench.inbound.prepare(
      "insert into messages_in (id, seq, kind, timestamp, content) values (iif(?, cast(? as text), ?), ?, 'echo', '2026-11-24', '{}')",
    )
    const [broken, blob] = [Buffer.from([0x61, 0xff]), Buffer.from([1, 2])]
    insert.run(1, broken, broken, 2)
    insert.run(0, blob, blob, 4)
    insert.run(1, null, null, 6)
    await bench.ended(bench.send('echo'))
    await until(() => told.length === 3)
    expect(told.map((line) => line.split(' ')[0])).toEqual(['bad_id', 'bad_id', 'bad_id'])
    bench.inbound.exec(`attach '${bench.config.paths.outbound}' as o`)
    const joined =
      'select count(*) from messages_in m join o.processing_ack a on a.message_id = m.id where a.status = ?'
    expect(bench.inbound.prepare(joined).pluck().get('failed')).toBe(2)
  })

  it('content beyond maxContentBytes fails without being loaded; the rest runs [82]', async () => {
    const bench = await workbench(['echo'], { maxContentBytes: 10_000 })
    const [big, small] = [bench.send('echo', { pad: 'x'.repeat(20_000) }), bench.send('echo')]
    await bench.ended(big, small)
    expect([bench.ack(big), bench.ack(small)]).toEqual(['failed', 'completed'])
    expect(bench.runs(big)[0]).toMatchObject({ outcome: 'rejected', reason: 'content_too_large' })
  })

  it('rows that the host deletes, resets or gives no number are handled by their id [87, 94, 95]', async () => {
    const bench = await workbench(['echo', 'slow'])
    const [unnumbered, running, reset] = [
      bench.send('echo', {}, { id: 'no-number', seq: null }),
      bench.send('slow', { ms: 300 }),
      bench.send('echo'),
    ]
    await until(() => bench.ack(running) === 'processing')
    bench.inbound.prepare('delete from messages_in where id = ?').run(running)
    await bench.ended(unnumbered, running, reset)
    bench.inbound.prepare("update messages_in set status = 'completed' where id = ?").run(reset)
    await bench.ended(bench.send('echo'))
    bench.inbound.prepare("update messages_in set status = 'pending' where id = ?").run(reset)
    await bench.ended(bench.send('echo'), bench.send('echo'))
    expect(bench.runs(reset)).toHaveLength(1)
  })
})

/** A transaction too big for the writer's cache, so that half of it is in the file when the writer dies. */
const SPILL = `
  insert into messages_in (id, kind, timestamp, content)
  with recursive n (i) as (select 1 union all select i + 1 from n where i < 2000)
  select 'torn-' || i, 'echo', '2026-11-24 06:02:20', '{"pad":"' || hex(zeroblob(200)) || '"}' from n`

/** A runtime on a workspace whose inbound.db is whatever `make` makes. */
async function started(make: (path: string) => unknown = () => undefined) {
  const config = testConfig(project(['echo']), { pollMs: 50 })
  await make(config.paths.inbound)
  const events = createEvents()
  const waits: string[] = []
  events.on('waiting', ({ reason }) => waits.push(reason))
  const runtime = createRuntime(config, events)
  onTestFinished(() => runtime.stop())
  await runtime.start()
  const outbound = openDb(config.paths.outbound, { readonly: true })
  const acks = () =>
    Object.fromEntries(
      outbound.prepare('select message_id, status from processing_ack').raw().all() as [string, string][],
    )
  return { config, runtime, waits, acks }
}

/** In another process: closing a descriptor of a database here would drop all locks of this process. */
function sha256(path: string): string {
  return execFileSync('sha256sum', [path], { encoding: 'utf8' })
}
