import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { EMPTY_BATCH } from '../../runtime/protocol/commit-batch.ts'
import type { Paths } from '../../runtime/protocol/files.ts'
import { OWN_TABLES } from '../../runtime/protocol/schema.ts'
import { isoTime, sqliteTime } from '../../runtime/protocol/time.ts'
import { readStatus } from '../../runtime/store/sqlite/inspect.ts'
import { readMessage } from '../../runtime/store/sqlite/inspect-message.ts'
import { Lock } from '../../runtime/store/sqlite/lock.ts'
import { ReopeningOutbox } from '../../runtime/store/sqlite/reopening-outbox.ts'
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

const NOW_MS = Date.UTC(2026, 10, 24, 12, 0, 0)

const BOOM = JSON.stringify({ name: 'TypeError', message: 'boom', stack: 'TypeError: boom\n    at x' })

function workspace(): Paths {
  const dir = tempDir()
  return {
    inbound: join(dir, 'inbound.db'),
    outbound: join(dir, 'outbound.db'),
    heartbeat: join(dir, '.heartbeat'),
    inbox: join(dir, 'inbox'),
    outbox: join(dir, 'outbox'),
    lock: join(dir, '.runtime.lock'),
  }
}

function ownOutbound(path: string): Db {
  const db = wireOutbound(path)
  db.exec(OWN_TABLES)
  return db
}

function ack(db: Db, id: string, status: string, changedAt = isoTime(NOW_MS)): void {
  insertRow(db, 'processing_ack', { message_id: id, status, status_changed: changedAt })
}

function run(db: Db, id: string, columns: Readonly<Record<string, unknown>> = {}): void {
  insertRow(db, 'nanoclaw_run', {
    message_id: id,
    run: 1,
    attempt: 1,
    epoch: 1,
    function: 'chat',
    alone: 1,
    started_at: NOW_MS - 1000,
    ended_at: NOW_MS,
    outcome: 'threw',
    ...columns,
  })
}

/** More than a small cache holds, so that a part of it reaches the disk before the commit. */
function manyRows(into: string, values: string): string {
  return `insert into ${into} with recursive n (i) as (select 1 union all select i + 1 from n where i < 500) select ${values} from n`
}

function statusOf(paths: Paths) {
  return readStatus(paths, { nowMs: NOW_MS })
}

describe('status of a workspace', () => {
  test('says that both files are missing, and counts nothing', () => {
    const paths = workspace()
    expect(statusOf(paths)).toEqual({
      runtime: { running: false, note: null, heartbeatAtMs: null },
      inbound: { path: paths.inbound, readable: false, reason: `${paths.inbound} does not exist yet` },
      outbound: { path: paths.outbound, readable: false, reason: `${paths.outbound} does not exist yet` },
      backlog: null,
      ended: null,
      failures: [],
      epoch: null,
    })
  })

  test.each([
    ['the oldest', seedInbound],
    ['the newest', headInbound],
  ])('counts each state of a message once, in an inbound.db of %s shape', (_, makeInbound) => {
    const paths = workspace()
    const inbound = makeInbound(paths.inbound)
    const outbound = ownOutbound(paths.outbound)
    const add = (id: string, columns = {}) => insertMessage(inbound, { id, ...columns })
    add('due', { timestamp: isoTime(NOW_MS - 5000) })
    add('due-since', { process_after: sqliteTime(NOW_MS - 60_000), timestamp: isoTime(NOW_MS - 90_000) })
    add('other-kind', { kind: 'webhook', timestamp: isoTime(NOW_MS) })
    add('unreadable-time', { process_after: 'tomorrow', timestamp: isoTime(NOW_MS) })
    add('later', { process_after: isoTime(NOW_MS + 20_000) })
    add('soon', { process_after: sqliteTime(NOW_MS + 10_000) })
    add('processing')
    add('retrying')
    add('retrying-soon')
    add('paused', { status: 'paused' })
    add('completed-not-synced')
    add('failed-not-synced')
    add('completed', { status: 'completed' })
    ack(outbound, 'processing', 'processing')
    run(outbound, 'retrying', { ended_at: NOW_MS, outcome: 'threw', next_at: NOW_MS + 9000 })
    run(outbound, 'retrying-soon', { ended_at: NOW_MS - 9, outcome: 'threw' })
    run(outbound, 'retrying-soon', { run: 2, ended_at: NOW_MS, outcome: 'threw', next_at: NOW_MS + 4000 })
    for (const id of ['completed-not-synced', 'completed']) ack(outbound, id, 'completed')
    ack(outbound, 'failed-not-synced', 'failed')
    insertRow(outbound, 'nanoclaw_runtime', { id: 1, version: 1, epoch: 7, checkpoint_seq: 0, scope: 's' })

    const status = statusOf(paths)
    expect(status.backlog).toMatchObject({
      due: 4,
      dueByKind: { chat: 3, webhook: 1 },
      oldestDueAtMs: NOW_MS - 60_000,
      later: 2,
      nextDueAtMs: NOW_MS + 10_000,
      processing: 1,
      retrying: 2,
      nextRetryAtMs: NOW_MS + 4000,
      paused: 1,
    })
    expect(status).toMatchObject({
      ended: { completed: 2, failed: 1 },
      epoch: 7,
      inbound: { readable: true, reason: null },
      outbound: { readable: true, reason: null },
    })
  })

  test('counts messages that no runtime has ever seen', () => {
    const paths = workspace()
    insertMessage(headInbound(paths.inbound))
    expect(statusOf(paths)).toMatchObject({
      backlog: { due: 1, dueByKind: { chat: 1 } },
      ended: null,
      outbound: { readable: false },
    })
  })

  test('works on an outbound.db that only has the tables of the wire', () => {
    const paths = workspace()
    insertMessage(headInbound(paths.inbound), { id: 'a' })
    ack(wireOutbound(paths.outbound), 'a', 'failed')
    const failure = { id: 'a', failedAt: isoTime(NOW_MS), functionName: null, reason: null, error: null }
    expect(statusOf(paths)).toMatchObject({
      backlog: { due: 0 },
      ended: { completed: 0, failed: 1 },
      epoch: null,
      failures: [failure],
    })
  })

  test('works on an outbound.db without any table', () => {
    const paths = workspace()
    insertMessage(headInbound(paths.inbound))
    openDb(paths.outbound).exec('create table other (x)')
    expect(statusOf(paths)).toMatchObject({ backlog: { due: 1 }, ended: { completed: 0, failed: 0 } })
  })

  test('counts a backlog of many windows', () => {
    const paths = workspace()
    const inbound = headInbound(paths.inbound)
    inbound.exec(`
      insert into messages_in (id, seq, kind, timestamp, status, content)
      with recursive n (i) as (select 1 union all select i + 1 from n where i < 23000)
      select 'm' || i, i * 2, 'chat', '2026-11-24T11:00:00Z', iif(i % 2, 'pending', 'completed'), '{}' from n`)
    const outbound = ownOutbound(paths.outbound)
    outbound.exec(`
      insert into processing_ack
      with recursive n (i) as (select 1 union all select i + 1 from n where i < 23000)
      select 'm' || i, 'completed', '' from n where i % 10 <> 1`)
    expect(statusOf(paths)).toMatchObject({ backlog: { due: 2300 }, ended: { completed: 20_700 } })
  })

  test('shows the newest failures with their reasons', () => {
    const paths = workspace()
    const outbound = ownOutbound(paths.outbound)
    for (let n = 1; n <= 9; n++) ack(outbound, `f${n}`, 'failed', isoTime(NOW_MS + n))
    run(outbound, 'f9', { outcome: 'threw', reason: 'old', ended_at: NOW_MS })
    run(outbound, 'f9', {
      run: 2,
      outcome: 'threw',
      reason: 'handler_error',
      error: BOOM,
      ended_at: NOW_MS,
    })
    run(outbound, 'f8', { function: '', outcome: 'rejected', reason: 'bad_process_after', error: "'x'" })
    const { failures } = readStatus(paths, { nowMs: NOW_MS, failuresMax: 3 })
    expect(failures.map(({ id }) => id)).toEqual(['f9', 'f8', 'f7'])
    expect(failures[0]).toMatchObject({
      functionName: 'chat',
      reason: 'handler_error',
      error: JSON.parse(BOOM),
    })
    expect(failures[1]).toMatchObject({
      functionName: null,
      reason: 'bad_process_after',
      error: { message: "'x'" },
    })
  })

  test('shows a message whose id is no text among the failures, with its reason', () => {
    const paths = workspace()
    const outbound = new ReopeningOutbox(paths.outbound, 'delete')
    const rejections = [new Uint8Array([0xff, 0]), Buffer.from('a\xff', 'latin1')].map((bytes, n) => {
      const id = Buffer.from(bytes).toString('utf8')
      return { id, rawId: { bytes, isText: n === 1 }, reason: 'bad_id', detail: 'the id is not UTF-8 text' }
    })
    outbound.recover(NOW_MS, 1)
    outbound.commit({ ...EMPTY_BATCH, nowMs: NOW_MS, rejections })
    outbound.close()
    expect(statusOf(paths).failures).toMatchObject([
      { id: '\ufffd\0', reason: 'bad_id', error: { message: 'the id is not UTF-8 text' } },
      { id: 'a\ufffd', reason: 'bad_id', functionName: null },
    ])
  })

  test('says of a dead writer’s journal that the file is not readable yet, whichever file it is', async () => {
    const paths = workspace()
    headInbound(paths.inbound).close()
    wireOutbound(paths.outbound).close()
    await leaveHotJournal(
      paths.inbound,
      manyRows(
        'messages_in (id, seq, kind, timestamp, status, content)',
        "'m' || i, i, 'chat', '', '', zeroblob(500)",
      ),
    )
    expect(statusOf(paths)).toMatchObject({
      inbound: { readable: false, reason: expect.stringContaining('left a journal') },
      outbound: { readable: true },
      backlog: null,
      ended: { completed: 0, failed: 0 },
    })
    openDb(paths.inbound).prepare('select * from messages_in').all()
    await leaveHotJournal(
      paths.outbound,
      manyRows('messages_out (id, seq, kind, timestamp, content)', "'m' || i, i, 'chat', '', zeroblob(500)"),
    )
    expect(statusOf(paths)).toMatchObject({
      inbound: { readable: true },
      outbound: { readable: false, reason: expect.stringContaining('left a journal') },
      backlog: null,
      ended: null,
    })
  })

  test.each([
    [
      'no database',
      (path: string) => writeFileSync(path, 'not a database, only text'),
      'not an SQLite database',
    ],
    ['empty', (path: string) => writeFileSync(path, ''), 'no such table'],
    [
      'a database of something else',
      (path: string) => void openDb(path).exec('create table x (y)'),
      'no such table',
    ],
  ])('says why, when inbound.db is %s', (_, make, reason) => {
    const paths = workspace()
    make(paths.inbound)
    expect(statusOf(paths)).toMatchObject({
      inbound: { readable: false, reason: expect.stringContaining(reason) },
      backlog: null,
    })
  })

  test('tells a running runtime from the note that a dead one left', () => {
    const paths = workspace()
    const note = {
      pid: 1,
      host: 'h',
      startedAt: isoTime(NOW_MS),
      epoch: 3,
      functions: [],
      unroutable: {},
      state: 'running',
    }
    writeFileSync(join(dirname(paths.lock), '.runtime.json'), JSON.stringify(note))
    expect(statusOf(paths).runtime).toMatchObject({ running: false, note })
    const lock = Lock.acquire(paths.lock, () => 'nobody')
    expect(statusOf(paths).runtime).toMatchObject({ running: true, note })
    lock.release()
    expect(statusOf(paths).runtime.running).toBe(false)
  })

  test('does without a note that is cut off', () => {
    const paths = workspace()
    writeFileSync(join(dirname(paths.lock), '.runtime.json'), '{"pid":')
    const heartbeatAtMs = expect.any(Number)
    expect(statusOf(paths).runtime).toEqual({ running: false, note: null, heartbeatAtMs })
  })

  test('leaves the folder as it was', () => {
    const paths = workspace()
    insertMessage(headInbound(paths.inbound))
    ownOutbound(paths.outbound).close()
    const listing = () =>
      readdirSync(dirname(paths.inbound)).map((name) => [
        name,
        statSync(join(dirname(paths.inbound), name)).mtimeMs,
      ])
    const before = listing()
    expect(statusOf(paths).backlog).toMatchObject({ due: 1 })
    readMessage(paths, 'm-2')
    expect(listing()).toEqual(before)
  })
})

describe('one message', () => {
  test.each([
    ['the oldest', seedInbound, undefined],
    ['the newest', headInbound, 1],
  ])('is shown whole, from an inbound.db of %s shape', (_, makeInbound, trigger) => {
    const paths = workspace()
    insertMessage(makeInbound(paths.inbound), { id: 'm1', thread_id: 't', content: { text: 'hi' } })
    const outbound = ownOutbound(paths.outbound)
    ack(outbound, 'm1', 'completed')
    run(outbound, 'm1', {
      outcome: 'threw',
      reason: 'handler_error',
      error: BOOM,
      ended_at: NOW_MS,
      duration_ms: 1.5,
    })
    run(outbound, 'm1', { run: 2, attempt: 2, worker: 9, outcome: 'replied', ended_at: NOW_MS })
    const reply = { kind: 'chat', timestamp: 't', content: '{"text":"yo"}' }
    insertRow(outbound, 'messages_out', { id: 'm1:0', seq: 3, in_reply_to: 'm1', ...reply })
    insertRow(outbound, 'messages_out', { id: 'm1:1', seq: 5, in_reply_to: 'm1', ...reply })
    insertRow(outbound, 'messages_out', { id: 'm2:0', seq: 7, in_reply_to: 'm2', ...reply })

    const report = readMessage(paths, 'm1')
    expect(report.message).toMatchObject({
      id: 'm1',
      seq: 2,
      kind: 'chat',
      thread_id: 't',
      content: '{"text":"hi"}',
    })
    expect(report.message?.trigger).toBe(trigger)
    expect(report.ack).toEqual({ status: 'completed', changedAt: isoTime(NOW_MS) })
    expect(report.runs).toMatchObject([
      {
        run: 1,
        outcome: 'threw',
        reason: 'handler_error',
        error: JSON.parse(BOOM),
        durationMs: 1.5,
        nextAtMs: null,
      },
      { run: 2, attempt: 2, functionName: 'chat', worker: 9, outcome: 'replied' },
    ])
    expect(report.replies.map(({ id, seq }) => [id, seq])).toEqual([
      ['m1:0', 3],
      ['m1:1', 5],
    ])
  })

  test('that does not exist differs from a file that is not readable', () => {
    const paths = workspace()
    expect(readMessage(paths, 'x')).toMatchObject({ inbound: { readable: false }, message: null })
    headInbound(paths.inbound)
    expect(readMessage(paths, 'x')).toEqual({
      id: 'x',
      inbound: { path: paths.inbound, readable: true, reason: null },
      outbound: expect.objectContaining({ readable: false }),
      message: null,
      ack: null,
      runs: [],
      steps: [],
      replies: [],
    })
  })
})
