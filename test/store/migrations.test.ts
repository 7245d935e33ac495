// outbound.db of an older build, brought along when it is opened. The file of version 2 was made by a build
// of that version.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { OWN_VERSION } from '../../runtime/protocol/schema.ts'
import { openWritable } from '../../runtime/store/sqlite/open.ts'
import { Outbox } from '../../runtime/store/sqlite/outbox.ts'
import { compiled } from '../support/compiled.ts'
import { type Db, openDb, tempDir } from '../support/files.ts'
import { acks, claim, NOW, openOutbox, runs, turn } from '../support/outbox.ts'

const V2 = readFileSync(fileURLToPath(new URL('../fixtures/outbound-v2.sql', import.meta.url)), 'utf8')
const CHILD = fileURLToPath(new URL('../support/migrate-child.ts', import.meta.url))

function version2(change = ''): string {
  const path = join(tempDir(), 'outbound.db')
  const db = openDb(path)
  db.exec(V2 + change)
  db.close()
  return path
}

function schemaOf(db: Db): unknown[] {
  return ['nanoclaw_runtime', 'nanoclaw_unfinished', 'nanoclaw_batch', 'nanoclaw_run', 'nanoclaw_step'].map(
    (table) => db.prepare('select name, type, "notnull", pk from pragma_table_info(?)').all(table),
  )
}

const versionOf = (db: Db) => db.prepare('select version from nanoclaw_runtime').pluck().get()

test('a file of version 2 keeps everything: ends, replies, a waiting retry, runs under way, the checkpoint [180]', () => {
  const { outbox, recovery, db } = openOutbox(version2())
  expect(versionOf(db)).toBe(OWN_VERSION)
  expect(schemaOf(db)).toEqual(schemaOf(openOutbox().db))
  expect(recovery).toMatchObject({ epoch: 2, interrupted: 3, quarantined: [] })
  expect(recovery.checkpoint).toEqual({
    seq: 14,
    id: 'beside',
    unfinished: ['beside', 'later', 'released', 'running', 'waiting'],
  })
  expect(acks(db)).toEqual({ done: 'completed', failed: 'failed', 'no time': 'failed' })
  expect(db.prepare('select id, seq from messages_out order by seq').raw().all()).toEqual([
    ['done:0', 21],
    ['done:1', 23],
  ])
  expect(runs(db, 'no time')).toEqual([expect.objectContaining({ outcome: 'rejected' })])
  const history = outbox.history(['waiting', 'released', 'running', 'alone'])
  expect(history.get('waiting')).toMatchObject({ runs: 1, attempts: 1, nextAtMs: NOW + 90_000 })
  expect(history.get('released')).toMatchObject({ runs: 1, attempts: 0 })
  expect(history.get('running')).toMatchObject({ runs: 1, attempts: 0, crashes: 0, interrupted: true })
  expect(history.get('alone')).toMatchObject({ runs: 1, attempts: 0, crashes: 1, interrupted: true })
  const { refused } = outbox.commit(turn({ claims: [claim('waiting', { run: 2 }), claim('done')] }))
  expect(refused).toEqual(new Set(['done']))
})

test('a file of version 2 from before the checkpoint had an id is brought along', () => {
  const { recovery } = openOutbox(version2('alter table nanoclaw_runtime drop column mark_id;'))
  expect(recovery.checkpoint).toMatchObject({ seq: 14, id: null })
})

test('a file of version 3 is given its scope and the table of steps', () => {
  const path = version2()
  openOutbox(path).outbox.close()
  const db = openDb(path)
  db.exec(`drop table nanoclaw_step; alter table nanoclaw_runtime drop column scope;
    update nanoclaw_runtime set version = 3`)
  const { outbox, recovery } = openOutbox(path)
  expect([versionOf(db), schemaOf(db)]).toEqual([OWN_VERSION, schemaOf(openOutbox().db)])
  expect(recovery.scope).toMatch(/^[0-9a-f]{16}$/)
  outbox.close()
  expect(openOutbox(path).recovery.scope).toBe(recovery.scope)
})

test('a host that has the file open reads on while it is brought along', () => {
  const path = version2()
  const host = openDb(path, { readonly: true })
  const ends = host.prepare("select message_id from processing_ack where status <> 'processing'").pluck()
  expect(ends.all()).toEqual(['done', 'failed', 'no time'])
  const { outbox } = openOutbox(path)
  expect(ends.all()).toEqual(['done', 'failed', 'no time'])
  outbox.commit(turn({ rejections: [{ id: 'new', reason: 'bad_id', detail: '' }] }))
  expect(ends.all()).toEqual(['done', 'failed', 'no time', 'new'])
})

test('a file that is opened again is not written', () => {
  const path = version2()
  new Outbox(path, 'delete').close()
  const before = readFileSync(path)
  new Outbox(path, 'delete').close()
  expect(readFileSync(path).equals(before)).toBe(true)
})

test('a process that is killed in the middle leaves version 2, whole, and the next start brings it along [180]', async () => {
  const script = await compiled(CHILD)
  const many = `with recursive n (i) as (select 1 union all select i + 1 from n where i < 2000)
    insert into nanoclaw_run select 'n-' || i, 1, 0, 1, '', null, 0, 0, 0, null, 'refused', 'bad_id', '', null from n;`
  let torn = 0
  for (let nth = 1; ; nth++) {
    const path = version2(many)
    const { signal, status, stderr } = spawnSync(process.execPath, [script, path, String(nth)], {
      encoding: 'utf8',
    })
    if (status === 0) {
      expect(nth, 'it was killed behind each statement').toBeGreaterThan(5)
      break
    }
    expect(signal, stderr).toBe('SIGKILL')
    if (existsSync(`${path}-journal`) && statSync(`${path}-journal`).size > 0) torn++
    const db = openWritable(path, 'delete')
    onTestFinished(() => void db.close())
    expect([versionOf(db), db.pragma('integrity_check', { simple: true })]).toEqual([2, 'ok'])
    expect(db.prepare("select count(*) from nanoclaw_run where outcome = 'refused'").pluck().get()).toBe(
      2_001,
    )
    expect(db.prepare('select count(*) from nanoclaw_open').pluck().get()).toBe(5)
    const { recovery, db: after } = openOutbox(path)
    expect([versionOf(after), recovery.interrupted]).toEqual([OWN_VERSION, 3])
    expect(after.prepare("select count(*) from nanoclaw_run where outcome = 'rejected'").pluck().get()).toBe(
      2_001,
    )
  }
  expect(torn, 'the file was half written at some kill').toBeGreaterThan(0)
})
