// What outbound.db keeps of messages that have ended, and when it is forgotten.
import { expect, it } from 'vitest'
import type { Clock } from '../../runtime/clock.ts'
import { replyId } from '../../runtime/protocol/reply-id.ts'
import { Retention } from '../../runtime/retention.ts'
import { Inbox } from '../../runtime/store/inbox.ts'
import { headInbound, insertMessage, insertRow, openDb, tempDir } from '../support/files.ts'
import { acks, claim, completed, ending, NOW, openOutbox, reply, runs, turn } from '../support/outbox.ts'

const DAY_MS = 86_400_000

/** Both files, with `count` messages that have ended with one reply each; `laps` runs all that is due, whatever the pauses. */
function past(count = 1) {
  const path = `${tempDir()}/inbound.db`
  const inbound = headInbound(path)
  const open = openOutbox()
  const ids = Array.from({ length: count }, () => insertMessage(inbound, { kind: 'f' }).id)
  open.outbox.commit(turn({ claims: ids.map((id) => claim(id)) }))
  open.outbox.commit(turn({ endings: ids.map((id) => completed(id, reply('hello'))) }))
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
  let pauses: (() => void)[] = []
  const clock = (nowMs: number): Clock => ({
    now: () => nowMs,
    monotonic: () => nowMs,
    after(_delayMs, fn) {
      pauses.push(fn)
      return { cancel: () => (pauses = []) }
    },
    soon: () => ({ cancel: () => undefined }),
  })
  const laps = (ageMs = 8 * DAY_MS, retentionMs = 7 * DAY_MS) => {
    const retention = new Retention({
      clock: clock(NOW + ageMs),
      retentionMs,
      past: (work) => work(open.outbox.past),
      host: inbox,
      onBug: (error) => {
        throw error
      },
    })
    retention.start()
    for (let n = 0; n < 10; n++) for (const pause of pauses.splice(0)) pause()
    retention.stop()
    inbox.close()
  }
  return { ...open, inbound, ids, host, laps }
}

it('is forgotten when the host has recorded the end and every delivery, and the time has passed', () => {
  const { db, ids, host, laps } = past(3)
  host.records(...ids)
  host.delivers(...ids)
  laps()
  expect(acks(db)).toEqual({})
  expect(ids.flatMap((id) => runs(db, id))).toEqual([])
  // Above the highest number the next reply is numbered, so that one stays.
  expect(db.prepare('select in_reply_to from messages_out').pluck().all()).toEqual([ids[2]])
})

it('is forgotten, too, when the host has removed the message itself', () => {
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
])('stays as it is while %s', (_why, arrange, ageMs, retentionMs) => {
  const all = past()
  arrange(all)
  all.laps(ageMs, retentionMs)
  expect(acks(all.db)).toEqual({ [all.ids[0]!]: 'completed' })
  expect(runs(all.db, all.ids[0]!)).toHaveLength(1)
  expect(all.db.prepare('select count(*) from messages_out').pluck().get()).toBe(1)
})

it('what runs, or waits for its retry, is nobody’s past', () => {
  const { outbox, db, inbound, host, laps } = past()
  const [running, waiting] = ['running', 'waiting']
  for (const id of [running, waiting]) insertMessage(inbound, { id, kind: 'f' })
  outbox.commit(turn({ claims: [claim(running), claim(waiting)] }))
  outbox.commit(turn({ endings: [ending(waiting, { type: 'retry', nextAtMs: NOW + 99 * DAY_MS })] }))
  host.records(running, waiting)
  laps()
  expect(acks(db)).toMatchObject({ running: 'processing' })
  expect(runs(db, waiting)).toHaveLength(1)
})

it('the numbers of replies go on above what was forgotten, and an ack whose id begins like another is its own', () => {
  const { outbox, db, ids, inbound, host, laps } = past()
  const twin = `${ids[0]}:0`
  insertMessage(inbound, { id: twin, kind: 'f' })
  outbox.commit(turn({ claims: [claim(twin)] }))
  outbox.commit(turn({ endings: [completed(twin, reply('of the twin'))] }))
  host.records(...ids)
  host.delivers(...ids)
  laps()
  expect(acks(db)).toEqual({ [twin]: 'completed' })
  outbox.commit(turn({ claims: [claim('next')] }))
  outbox.commit(turn({ endings: [completed('next', reply('next'))] }))
  expect(db.prepare('select seq from messages_out order by seq').pluck().all()).toEqual([3, 5])
})

it('185: what was replied to a message whose id is no plain name is forgotten with it, under whichever name', () => {
  const { outbox, db, inbound, host, ids, laps } = past()
  const odd = ['spaces/A:1', '../b']
  for (const id of odd) insertMessage(inbound, { id, kind: 'f' })
  outbox.commit(turn({ claims: odd.map((id) => claim(id)) }))
  outbox.commit(turn({ endings: odd.map((id) => completed(id, reply('odd'))) }))
  // As earlier versions named it.
  db.exec(`update messages_out set id = '../b:0' where in_reply_to = '../b'`)
  host.consumes(...ids, ...odd)
  insertRow(inbound, 'delivered', { message_out_id: '../b:0', status: 'delivered', delivered_at: '' })
  insertMessage(inbound, { id: 'last', kind: 'f' })
  outbox.commit(turn({ claims: [claim('last')] }))
  outbox.commit(turn({ endings: [completed('last', reply('last'))] }))
  laps()
  expect(acks(db)).toEqual({ last: 'completed' })
  expect(db.prepare('select in_reply_to from messages_out').pluck().all()).toEqual(['last'])
})

it('a runtime that was replaced forgets nothing', () => {
  const { outbox, db, ids, path } = past()
  openDb(path).exec('update nanoclaw_runtime set epoch = epoch + 1')
  expect(() => outbox.past.forget(ids, [])).toThrow(expect.objectContaining({ code: 'fenced' }))
  expect(acks(db)).toEqual({ [ids[0]!]: 'completed' })
})
