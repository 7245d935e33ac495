// sync and status: the runtime's acks in the host's file.
import { join } from 'node:path'
import { openHost } from 'nanoclaw-functions/host'
import { expect, onTestFinished, test } from 'vitest'
import { HostFile } from '../../runtime/host/sqlite/file.ts'
import { finishPending } from '../../runtime/host/sqlite/inbox.ts'
import { insertRow, openDb, tempDir } from '../support/files.ts'
import { leaveHotJournal } from '../support/hot-journal.ts'

const NOTHING_REPEATS = { recurred: 0, stopped: [] }

function open() {
  const dir = tempDir()
  const host = openHost(dir)
  onTestFinished(() => host.close())
  const inbound = openDb(join(dir, 'inbound.db'))
  const outbound = openDb(join(dir, 'outbound.db'))
  return {
    dir,
    host,
    inbound,
    outbound,
    ack: (id: string, status: string) =>
      insertRow(outbound, 'processing_ack', {
        message_id: id,
        status,
        status_changed: '2026-11-24T06:02:20.000Z',
      }),
    statuses: () =>
      Object.fromEntries(
        inbound.prepare('select id, status from messages_in').raw().all() as [string, string][],
      ),
    send: (...ids: string[]) => host.enqueueMany(ids.map((id) => ({ id, kind: 'chat', content: 0 }))),
  }
}

test('completed stays completed, failed stays failed, and unfinished stays pending [W19]', () => {
  const { host, ack, statuses, send } = open()
  send('done', 'broken', 'running', 'untouched')
  ack('done', 'completed')
  ack('broken', 'failed')
  ack('running', 'processing')

  expect(host.sync()).toEqual({ readable: true, completed: 1, failed: 1, pending: 2, ...NOTHING_REPEATS })
  expect(statuses()).toEqual({
    done: 'completed',
    broken: 'failed',
    running: 'pending',
    untouched: 'pending',
  })
  expect(host.sync()).toEqual({ readable: true, completed: 0, failed: 0, pending: 2, ...NOTHING_REPEATS })
})

test('an ack with a status of a newer runner is terminal: only processing is not, only completed is a success [151]', () => {
  const { host, ack, statuses, send } = open()
  send('skipped', 'provider', 'running')
  ack('skipped', 'script-skip:error')
  ack('provider', 'provider-error')
  ack('running', 'processing')
  expect(host.status('skipped')?.state).toBe('failed')
  expect(host.sync()).toMatchObject({ completed: 0, failed: 2, pending: 1 })
  expect(statuses()).toEqual({ skipped: 'failed', provider: 'failed', running: 'pending' })
})

test('a pause during processing survives, and the ack is copied after the resume [W20]', () => {
  const { host, inbound, ack, statuses, send } = open()
  send('task')
  inbound.exec(`update messages_in set status = 'paused'`)
  ack('task', 'completed')

  expect(host.sync().completed).toBe(0)
  expect(statuses()).toEqual({ task: 'paused' })
  inbound.exec(`update messages_in set status = 'pending'`)
  expect(host.sync().completed).toBe(1)
})

test('a message that has ended is never changed by a later ack [W21]', () => {
  const { host, inbound, ack, statuses, send } = open()
  send('given-up', 'cancelled')
  inbound.exec(`update messages_in set status = iif(id = 'given-up', 'failed', 'completed')`)
  ack('given-up', 'completed')
  ack('cancelled', 'failed')

  host.sync()

  expect(statuses()).toEqual({ 'given-up': 'failed', cancelled: 'completed' })
})

test('a message that is paused between the reading of its ack and the writing of its end stays paused', () => {
  const { inbound, statuses, send } = open()
  send('task', 'other')
  inbound.exec(`update messages_in set status = 'paused' where id = 'task'`)
  const file = new HostFile(inbound.name, false)

  const settled = finishPending(file, [
    { id: 'task', status: 'completed' },
    { id: 'other', status: 'failed' },
  ])

  expect(settled).toEqual([{ id: 'other', status: 'failed' }])
  expect(statuses()).toEqual({ task: 'paused', other: 'failed' })
})

test('a sync that cannot read outbound.db says why, changes nothing, and works when the runtime is back [W14, 50]', async () => {
  const { host, outbound, ack, statuses, send } = open()
  send('done')
  ack('done', 'completed')
  outbound.exec(`create table filler (text)`)
  outbound
    .prepare(`insert into filler select hex(zeroblob(500)) from json_each(?)`)
    .run(JSON.stringify(Array(500).fill(0)))
  const path = outbound.name
  outbound.close()
  await leaveHotJournal(path, `update filler set text = 'torn'; delete from processing_ack`)

  expect(host.sync()).toMatchObject({
    readable: false,
    completed: 0,
    reason: expect.stringMatching(/outbound\.db: a writer died/),
  })
  expect(() => host.status('done')).toThrow(expect.objectContaining({ code: 'not_readable_yet' }))
  expect(statuses()).toEqual({ done: 'pending' })

  openDb(path).prepare('select count(*) from filler').get()
  expect(host.sync()).toMatchObject({ readable: true, completed: 1 })
})

test('acks beyond a page are all copied, in a backlog with gaps', () => {
  const { host, outbound, send } = open()
  const ids = Array.from({ length: 3_500 }, (_, n) => `m-${n}`)
  send(...ids)
  const insert = outbound.prepare(`insert into processing_ack values (?, ?, '2026-11-24T06:02:20.000Z')`)
  outbound.transaction(() =>
    ids.forEach((id, n) => n % 3 === 0 || insert.run(id, n % 3 === 1 ? 'completed' : 'failed')),
  )()

  expect(host.sync()).toEqual({
    readable: true,
    completed: 1_167,
    failed: 1_166,
    pending: 1_167,
    ...NOTHING_REPEATS,
  })
})

test('ended messages are found by index: the plan of a sync never reads all of messages_in [W6]', () => {
  const { inbound } = open()
  const plan = inbound
    .prepare(
      `explain query plan select rowid, id from messages_in where status = 'pending' and rowid > 5 order by rowid limit 10`,
    )
    .all()
    .map((step) => (step as { detail: string }).detail)
  expect(plan).toEqual([expect.stringMatching(/^SEARCH messages_in USING INDEX nanoclaw_live/)])
})

test('status has the state of a message by both files, before any sync', () => {
  const { host, inbound, ack, send } = open()
  send('a', 'b', 'c', 'd', 'e')
  ack('b', 'processing')
  ack('c', 'completed')
  ack('d', 'failed')
  ack('e', 'processing')
  inbound.exec(`update messages_in set status = 'paused' where id = 'e'`)

  expect(['a', 'b', 'c', 'd', 'e'].map((id) => host.status(id)?.state)).toEqual([
    'pending',
    'processing',
    'completed',
    'failed',
    'paused',
  ])
  expect(host.status('c')).toMatchObject({
    id: 'c',
    seq: 6,
    kind: 'chat',
    changedAt: '2026-11-24T06:02:20.000Z',
  })
  expect(host.status('nobody')).toBeUndefined()
})
