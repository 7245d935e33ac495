// Retention of ended messages in outbound.db.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { type Clock, realClock } from '../../runtime/protocol/clock.ts'
import { replyId } from '../../runtime/protocol/reply-id.ts'
import { Retention } from '../../runtime/store/retention.ts'
import { classifyWrite } from '../../runtime/store/sqlite/classify.ts'
import { Inbox } from '../../runtime/store/sqlite/inbox.ts'
import { compiled } from '../support/compiled.ts'
import { headInbound, insertMessage, insertRow, openDb, tempDir } from '../support/files.ts'
import { acks, claim, completed, ending, NOW, openOutbox, reply, runs, turn } from '../support/outbox.ts'
import { until } from '../support/runtime.ts'

const DAY_MS = 86_400_000
const BUSY_HOST = fileURLToPath(new URL('../support/busy-host-child.ts', import.meta.url))

/**
 * Both files, with `count` messages that have ended with one reply each; `laps` runs all that is due,
 * whatever the pauses.
 */
function past(count = 1) {
  const path = `${tempDir()}/inbound.db`
  const inbound = headInbound(path)
  const open = openOutbox()
  const ids = inbound.transaction(() =>
    Array.from({ length: count }, () => insertMessage(inbound, { kind: 'f' }).id),
  )()
  open.outbox.commit(turn({ claims: ids.map((id) => claim(id)) }))
  open.outbox.commit(turn({ results: ids.map((id) => completed(id, reply('hello'))) }))
  const host = {
    records: (...some: string[]) =>
      some.forEach((id) =>
        inbound.prepare("update messages_in set status = 'completed' where id = ?").run(id),
      ),
    /** Both. */
    consumes(...some: string[]) {
      host.records(...some)
      host.delivers(...some)
    },
    delivers: (...some: string[]) =>
      some.forEach((id) =>
        insertRow(inbound, 'delivered', {
          message_out_id: replyId(id, 0),
          status: 'delivered',
          delivered_at: '',
        }),
      ),
  }
  const inbox = new Inbox(path)
  onTestFinished(() => inbox.close())
  let pauses: { readonly delayMs: number; readonly fn: () => void }[] = []
  const clock = (nowMs: number): Clock => ({
    now: () => nowMs,
    monotonic: () => performance.now(),
    after(delayMs, fn) {
      pauses.push({ delayMs, fn })
      return { cancel: () => (pauses = []) }
    },
    soon: () => ({ cancel: () => undefined }),
  })
  const retentionOn = (of: Clock, retentionMs = 7 * DAY_MS, pauseMs?: (pauseMs: number) => number) =>
    new Retention({
      clock: of,
      retentionMs,
      pauseMs,
      past: open.outbox.retention,
      host: inbox,
      isLock: (error) => classifyWrite(error) === 'retry',
      onBug: (error) => {
        throw error
      },
    })
  /** What it waits for is over; returns how long it waits next. */
  const step = () => {
    for (const { fn } of pauses.splice(0)) fn()
    return pauses[0]!.delayMs
  }
  const laps = (ageMs = 8 * DAY_MS, retentionMs = 7 * DAY_MS) => {
    const retention = retentionOn(clock(NOW + ageMs), retentionMs)
    retention.start()
    if (pauses.length > 0) for (let n = 0; n < 10; n++) step()
    retention.stop()
  }
  return { ...open, inboundPath: path, inbound, ids, host, laps, step, retentionOn, clock }
}

it('waits as long as its folder says after a lap, and after a page of which nothing was forgotten; not while there is more', () => {
  const { ids, host, step, retentionOn, clock } = past(501)
  host.consumes(...ids.slice(0, 10))
  const asked: number[] = []
  const retention = retentionOn(clock(NOW + 8 * DAY_MS), 7 * DAY_MS, (pauseMs) => {
    asked.push(pauseMs)
    return pauseMs * 60
  })
  retention.start()
  // Of the first page some are forgotten, of the second none; then the lap is over.
  expect([step(), step(), step()]).toEqual([50, 300_000, 3_600_000])
  expect(asked).toEqual([5_000, 60_000])
  retention.stop()
})

it('is deleted when the host has recorded the end and every delivery, and the time has passed', () => {
  const { db, ids, host, laps } = past(3)
  host.records(...ids)
  host.delivers(...ids)
  laps()
  expect(acks(db)).toEqual({})
  expect(ids.flatMap((id) => runs(db, id))).toEqual([])
  // Above the highest number the next reply is numbered, so that one stays.
  expect(db.prepare('select in_reply_to from messages_out').pluck().all()).toEqual([ids[2]])
})

it('is deleted, too, when the host has removed the message itself', () => {
  const { db, ids, host, inbound, laps } = past()
  host.delivers(...ids)
  inbound.exec('delete from messages_in')
  laps()
  expect(acks(db)).toEqual({})
})

it.each<[string, (of: ReturnType<typeof past>) => void, number?, number?]>([
  ['the host has not recorded its end', ({ host, ids }) => host.delivers(...ids)],
  ['its reply is not delivered', ({ host, ids }) => host.records(...ids)],
  [
    'its delivery has failed',
    ({ host, ids, inbound }) => {
      host.records(...ids)
      host.delivers(...ids)
      inbound.exec("update delivered set status = 'failed'")
    },
  ],
  [
    'the host keeps no table of deliveries',
    ({ host, ids, inbound }) => {
      host.records(...ids)
      inbound.exec('drop table delivered')
    },
  ],
  ['it is too young', ({ host, ids }) => host.consumes(...ids), 6 * DAY_MS],
  [
    'nothing is ever forgotten',
    ({ host, ids }) => host.consumes(...ids),
    9_999 * DAY_MS,
    Number.POSITIVE_INFINITY,
  ],
])('stays unchanged while %s', (_why, arrange, ageMs, retentionMs) => {
  const all = past()
  arrange(all)
  all.laps(ageMs, retentionMs)
  expect(acks(all.db)).toEqual({ [all.ids[0]!]: 'completed' })
  expect(runs(all.db, all.ids[0]!)).toHaveLength(1)
  expect(all.db.prepare('select count(*) from messages_out').pluck().get()).toBe(1)
})

it('a running or retrying message is not deleted', () => {
  const { outbox, db, inbound, host, laps } = past()
  const [running, waiting] = ['running', 'waiting']
  for (const id of [running, waiting]) insertMessage(inbound, { id, kind: 'f' })
  outbox.commit(turn({ claims: [claim(running), claim(waiting)] }))
  outbox.commit(turn({ results: [ending(waiting, { type: 'retry', nextAtMs: NOW + 99 * DAY_MS })] }))
  host.records(running, waiting)
  laps()
  expect(acks(db)).toMatchObject({ running: 'processing' })
  expect(runs(db, waiting)).toHaveLength(1)
})

it('the numbers of replies continue above deleted ones, and an ack whose id has another as a prefix is independent', () => {
  const { outbox, db, ids, inbound, host, laps } = past()
  const twin = `${ids[0]}:0`
  insertMessage(inbound, { id: twin, kind: 'f' })
  outbox.commit(turn({ claims: [claim(twin)] }))
  outbox.commit(turn({ results: [completed(twin, reply('of the twin'))] }))
  host.records(...ids)
  host.delivers(...ids)
  laps()
  expect(acks(db)).toEqual({ [twin]: 'completed' })
  outbox.commit(turn({ claims: [claim('next')] }))
  outbox.commit(turn({ results: [completed('next', reply('next'))] }))
  expect(db.prepare('select seq from messages_out order by seq').pluck().all()).toEqual([3, 5])
})

it('replies to a message whose id is not a plain name are deleted with it, under any of their names [149]', () => {
  const { outbox, db, inbound, host, ids, laps } = past()
  const odd = ['spaces/A:1', '../b']
  for (const id of odd) insertMessage(inbound, { id, kind: 'f' })
  outbox.commit(turn({ claims: odd.map((id) => claim(id)) }))
  outbox.commit(turn({ results: odd.map((id) => completed(id, reply('odd'))) }))
  // As earlier versions named it.
  db.exec(`update messages_out set id = '../b:0' where in_reply_to = '../b'`)
  host.consumes(...ids, ...odd)
  insertRow(inbound, 'delivered', { message_out_id: '../b:0', status: 'delivered', delivered_at: '' })
  insertMessage(inbound, { id: 'last', kind: 'f' })
  outbox.commit(turn({ claims: [claim('last')] }))
  outbox.commit(turn({ results: [completed('last', reply('last'))] }))
  laps()
  expect(acks(db)).toEqual({ last: 'completed' })
  expect(db.prepare('select in_reply_to from messages_out').pluck().all()).toEqual(['last'])
})

it('a runtime that was replaced deletes nothing', () => {
  const { outbox, db, ids, path } = past()
  openDb(path).exec('update nanoclaw_runtime set epoch = epoch + 1')
  expect(() => outbox.retention.forget(ids, [])).toThrow(expect.objectContaining({ code: 'fenced' }))
  expect(acks(db)).toEqual({ [ids[0]!]: 'completed' })
})

it.each(['inbound', 'db'] as const)(
  'a lock on a file (%s) is retried within tens of milliseconds, and the current page is done when it is released [118]',
  (file) => {
    const all = past(3)
    all.host.consumes(...all.ids)
    const retention = all.retentionOn(all.clock(NOW + 8 * DAY_MS))
    retention.start()
    all[file].exec('begin exclusive')
    for (let n = 0; n < 60; n++) {
      const startMs = performance.now()
      const pauseMs = all.step()
      const tookMs = performance.now() - startMs
      // Four fifths of the time are for others, also where SQLite waits for the lock itself.
      expect(pauseMs).toBeGreaterThanOrEqual(20)
      expect(pauseMs).toBeLessThanOrEqual(Math.max(20, 4 * tookMs))
      if (file === 'db' && n === 2) break
    }
    all[file].exec('commit')
    all.step()
    expect(acks(all.db)).toEqual({})
    retention.stop()
  },
)

it('a host that commits 125 times a second does not prevent retention [118]', async () => {
  const all = past(2_000)
  all.inbound.exec("update messages_in set status = 'completed'")
  all.inbound.exec(
    `insert into delivered (message_out_id, status, delivered_at) select id || ':0', 'delivered', '' from messages_in`,
  )
  const script = await compiled(BUSY_HOST)
  const host = spawn(process.execPath, [script, all.inboundPath, '8'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void host.kill('SIGKILL'))
  await once(host.stdout, 'data')
  const retention = all.retentionOn({ ...realClock, now: () => NOW + 8 * DAY_MS })
  onTestFinished(() => retention.stop())
  retention.start()
  await until(() => Object.keys(acks(all.db)).length === 0)
})
