// `conform DIR`: each way to break a rule in a file, and the one check that fails.
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CHECKS, type CheckName } from '../../runtime/conformance/checks.ts'
import { examineInbound, examineOutbound } from '../../runtime/conformance/folder.ts'
import { nanoclaw } from '../cli/cli.ts'
import {
  type Db,
  headInbound,
  insertMessage,
  insertRow,
  openDb,
  seedInbound,
  tempDir,
  wireOutbound,
} from '../support/files.ts'
import { leaveHotJournal } from '../support/hot-journal.ts'

const NOW_MS = Date.UTC(2026, 10, 24, 6)

function folder(inbound: (path: string) => Db = headInbound, outbound: (path: string) => Db = wireOutbound) {
  const dir = tempDir()
  const paths = {
    inbound: join(dir, 'inbound.db'),
    outbound: join(dir, 'outbound.db'),
    heartbeat: join(dir, '.heartbeat'),
  }
  return { dir, paths, inbound: inbound(paths.inbound), outbound: outbound(paths.outbound) }
}

function answered(
  { inbound, outbound }: { inbound: Db; outbound: Db },
  columns: Record<string, unknown> = {},
) {
  const { id } = insertMessage(inbound, { thread_id: 't' })
  const last = outbound.prepare('select coalesce(max(seq), -1) from messages_out').pluck().get() as number
  insertRow(outbound, 'processing_ack', {
    message_id: id,
    status: 'completed',
    status_changed: '2026-11-24T06:00:00Z',
  })
  const reply = {
    id: `${id}:0`,
    seq: last + 2,
    in_reply_to: id,
    timestamp: '2026-11-24 06:00:00',
    kind: 'chat',
  }
  insertRow(outbound, 'messages_out', { ...reply, thread_id: 't', content: '{}', ...columns })
  return id
}

function broken({ paths }: ReturnType<typeof folder>): Partial<Record<CheckName, string>> {
  const findings = [...examineInbound(paths), ...examineOutbound(paths, NOW_MS)]
  return Object.fromEntries(
    findings.filter(({ verdict }) => verdict === 'fail').map(({ check, found }) => [check, found]),
  )
}

test('two files that keep the rules, in the newest shape and in the first', () => {
  for (const shape of [headInbound, seedInbound]) {
    const files = folder(shape)
    answered(files)
    insertMessage(files.inbound, { id: 'unnumbered', seq: null, process_after: '2026-11-24 06:00:00.5' })
    insertMessage(files.inbound, { process_after: '', status: 'paused' })
    expect(broken(files)).toEqual({})
  }
})

test.each<[CheckName, string, string]>([
  ['in-ids', `update messages_in set id = null`, '2 of 2: a row without an id that is text'],
  ['in-ids', `update messages_in set id = cast(x'61ff' as text) where seq = 4`, '1 of 2: a row without'],
  ['in-seq', `update messages_in set seq = 7 where seq = 4`, '1 of 2: m-4 has 7'],
  ['in-seq', `update messages_in set seq = 'four' where seq = 4`, '1 of 2: m-4 has text'],
  ['in-status', `update messages_in set status = 'done' where seq = 4`, '1 of 2: m-4 is "done"'],
  ['in-times', `update messages_in set process_after = 'soon'`, 'm-2 process_after "soon"'],
  ['in-times', `update messages_in set timestamp = '1795442399' where seq = 2`, 'm-2 timestamp "1795442399"'],
  ['in-content', `update messages_in set content = 'hello' where seq = 4`, '1 of 2: m-4'],
])('%s: %s', (check, sql, found) => {
  const files = folder()
  for (const _ of [1, 2]) insertMessage(files.inbound)
  files.inbound.exec(sql)
  expect(broken(files)).toEqual({ [check]: expect.stringContaining(found) })
})

test.each<[CheckName, string, string]>([
  ['ack-states', `insert into processing_ack values ('x', 'done', '2026-11-24T06:00:00Z')`, 'x is "done"'],
  ['ack-times', `update processing_ack set status_changed = 'now'`, 'm-2: "now"'],
  ['reply-ids', `update messages_out set id = null where seq = 1`, '1 of 2'],
  ['reply-folders', `update messages_out set id = 'a/b:0' where seq = 1`, '1 of 2: a/b:0'],
  [
    'question-ids',
    `update messages_out set content = '{"type":"ask_question","questionId":"m:0"}' where seq = 1`,
    '1 of 2: m-2:0: "m:0"',
  ],
  [
    'question-ids',
    `update messages_out set content = '{"type":"ask_question"}' where seq = 1`,
    '1 of 2: m-2:0: null',
  ],
  ['reply-seq', `update messages_out set seq = 4 where seq = 1`, 'm-2:0 has 4'],
  ['reply-seq', `update messages_out set seq = null where seq = 1`, 'm-2:0 has none'],
  ['reply-times', `update messages_out set deliver_after = '2026-11-24T06:00:00Z'`, 'm-2:0 deliver_after'],
  ['reply-content', `update messages_out set content = 'hello' where seq = 1`, '1 of 2: m-2:0'],
  ['reply-ended', `update processing_ack set status = 'failed' where message_id = 'm-2'`, '"m-2" failed'],
  ['reply-ended', `delete from processing_ack where message_id = 'm-2'`, '"m-2" has no ack'],
  ['reply-routing', `update messages_out set thread_id = null where seq = 1`, '1 of 2: m-2:0'],
  [
    'no-stale-claim',
    `insert into processing_ack values ('x', 'processing', '2026-11-24T06:00:00Z')`,
    'no heartbeat',
  ],
  ['out-tables', `alter table messages_out drop column in_reply_to`, 'messages_out.in_reply_to'],
  ['out-tables', `drop table processing_ack`, 'missing: processing_ack'],
])('%s: %s', (check, sql, found) => {
  const files = folder()
  answered(files)
  answered(files)
  files.outbound.exec(sql)
  expect(broken(files)).toEqual({ [check]: expect.stringContaining(found) })
})

test('duplicate ids, numbers and acks, in tables without a constraint', () => {
  const loose = (path: string) => {
    const db = openDb(path)
    db.exec(`create table processing_ack (message_id text, status text, status_changed text);
      create table messages_out (id text, seq integer, in_reply_to text, timestamp text, deliver_after text,
        recurrence text, kind text, platform_id text, channel_type text, thread_id text, content text)`)
    return db
  }
  const files = folder(headInbound, loose)
  const id = answered(files)
  answered(files, { id: `${id}:0`, seq: 1 })
  insertRow(files.outbound, 'processing_ack', {
    message_id: id,
    status: 'completed',
    status_changed: '2026-11-24',
  })
  expect(broken(files)).toEqual({
    'ack-once': expect.stringContaining(`${id} has several`),
    'reply-ids': expect.stringContaining(`"${id}:0" twice`),
    'reply-seq': expect.stringContaining('1 twice'),
  })
})

test('the last reply of a deleted message does not count as a reply without an ack', () => {
  const files = folder()
  answered(files)
  files.outbound.exec("delete from processing_ack where message_id = 'm-2'")
  expect(broken(files)).toEqual({})
})

test('a claim is live while the heartbeat is fresh, and stale when the heartbeat is old', () => {
  const files = folder()
  insertRow(files.outbound, 'processing_ack', {
    message_id: 'm',
    status: 'processing',
    status_changed: '2026-11-24',
  })
  writeFileSync(files.paths.heartbeat, '')
  utimesSync(files.paths.heartbeat, NOW_MS / 1000 - 14, NOW_MS / 1000 - 14)
  expect(broken(files)).toEqual({})
  utimesSync(files.paths.heartbeat, NOW_MS / 1000 - 60, NOW_MS / 1000 - 60)
  expect(broken(files)).toEqual({ 'no-stale-claim': '1 processing (m), and the heartbeat is 1 min old' })
})

test('WAL fails the check for inbound.db, and is noted for outbound.db', () => {
  const files = folder()
  for (const db of [files.inbound, files.outbound]) db.pragma('journal_mode = wal')
  expect(broken(files)).toEqual({ 'in-journal': 'it is in WAL mode' })
})

test('unreadable files are reported with the reason; a missing table is not reported as missing columns', async () => {
  const files = folder()
  const fill = () => {
    for (let n = 0; n < 300; n++) insertMessage(files.inbound, { content: { text: 'x'.repeat(500) } })
  }
  files.inbound.transaction(fill)()
  files.inbound.close()
  await leaveHotJournal(files.paths.inbound, "update messages_in set content = content || ' '")
  files.outbound.exec('drop table messages_out')
  expect(broken(files)).toEqual({
    'in-file': expect.stringContaining('a writer died in mid-transaction'),
    'out-tables': 'missing: messages_out',
  })
})

test('conform DIR prints findings and remedies and ends with 1; a correct folder ends with 0', async () => {
  const files = folder()
  answered(files)
  expect(await nanoclaw(files.dir, ['conform', '.'])).toMatchObject({ code: 0 })
  files.outbound.exec('update messages_out set seq = 4')
  const { code, stdout } = await nanoclaw(files.dir, ['conform', '.'])
  expect(code).toBe(1)
  expect(stdout).toContain(
    `
  FAIL  reply-seq       replies have odd numbers, each once               
        seen  1 of 1: m-2:0 has 4
        rule  The next odd number above every seq of both files.
              docs/protocol.md, Numbers: reply-seq
`.replace(/ +\n/g, '\n'),
  )
  expect(stdout).toMatch(/\n1 failed, \d+ passed, \d+ skipped\n$/)
})

test('a path that is not a folder, and a folder together with a command, are usage errors', async () => {
  const dir = tempDir()
  mkdirSync(join(dir, 'there'))
  for (const args of [
    ['nowhere'],
    ['there', '--command', 'x'],
    ['--command', "x 'y"],
    ['--command', 'x', '--wait', 'soon'],
  ])
    expect(await nanoclaw(dir, ['conform', ...args])).toMatchObject({ code: 2, stdout: '' })
})

test('every check has a line in docs/protocol.md, under the heading that it names', () => {
  const text = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8')
  const sections = new Map(text.split(/^## /m).map((part) => [part.split('\n')[0] ?? '', part]))
  const missing = Object.entries(CHECKS).filter(
    ([name, { section }]) => !sections.get(section)?.includes(`\`${name}\``),
  )
  expect(missing.map(([name, { section }]) => `${section}: ${name}`)).toEqual([])
})
