// What a session reads and keeps, by count and order: time would say more about the machine. Real inbound.db,
// in time that the test owns; nothing runs, so everything that is read stays. `npm run scale` has the
// figures.
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createEvents } from '../../runtime/protocol/events.ts'
import type { FunctionSpec } from '../../runtime/protocol/function.ts'
import type { WaitQueries } from '../../runtime/protocol/waits.ts'
import type { Entry } from '../../runtime/queue/message.ts'
import { Queue } from '../../runtime/queue/queue.ts'
import {
  INBOUND_LIMITS,
  type InboundFile,
  type InboundLimits,
  InboundSource,
  type Router,
} from '../../runtime/sources/inbound.ts'
import { readTrouble } from '../../runtime/store/sqlite/classify.ts'
import { Inbox, START } from '../../runtime/store/sqlite/inbox.ts'
import type { Store } from '../../runtime/store/store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { headInbound, insertMessage, tempDir } from '../support/files.ts'
import { openOutbox, RAN_ONCE } from '../support/outbox.ts'

const PENDING = 100_000
const SPEC: FunctionSpec = {
  name: 'f',
  file: 'f.js',
  rule: { kind: undefined, channelType: undefined, platformId: undefined, threadId: undefined, content: [] },
  timeoutMs: 1_000,
  retry: { attempts: 1, minDelayMs: 1, maxDelayMs: 1, factor: 1 },
  concurrency: 1,
  key: 'none',
  version: 1,
  holdsWhileWaiting: false,
  rawContent: false,
  bundle: 'f.mjs',
}

const ROUTER: Router = {
  readsContent: false,
  names: ['f'],
  route: () => SPEC,
  keyOf: () => null,
  get: () => SPEC,
  isContext: () => false,
}

interface Spy {
  page(rows: number): void
  ids?(rows: number): void
  records?(rows: number): void
  changed?: InboundFile['changed']
  /** Nothing is on record without it. */
  store?: Pick<Store, 'history' | 'unfinished' | 'waiting'>
}

const QUEUE_LIMITS = { scheduledMax: 20_000, parkedMax: 10_000 }

function sourceOn(
  path: string,
  spy: Spy,
  {
    limits = INBOUND_LIMITS,
    scheduledMax = QUEUE_LIMITS.scheduledMax,
    router = ROUTER,
    laterPollMs = 0,
  } = {},
) {
  const [clock, events, inbox] = [new FakeClock(), createEvents(), new Inbox(path)]
  onTestFinished(() => inbox.close())
  const queue: Queue = new Queue({
    clock,
    limits: { ...QUEUE_LIMITS, scheduledMax },
    onDue: (messages) => source.comeDue(messages),
    onReady: () => undefined,
    onHorizon: () => source.horizonCame(),
  })
  const source: InboundSource = new InboundSource(
    {
      clock,
      events,
      queue,
      limits,
      inbound: {
        changed: (doubt) => spy.changed?.(doubt) ?? inbox.changed(doubt),
        getPendingMessages(...where) {
          const page = inbox.getPendingMessages(...where)
          spy.page(page.rows.length)
          return page
        },
        getPendingByIds(ids, withContent) {
          spy.ids?.(ids.length)
          return inbox.getPendingByIds(ids, withContent)
        },
        getPendingIds: (...where) => inbox.getPendingIds(...where),
        getMessages: (ids) => inbox.getMessages(ids),
        maxSeq: () => inbox.maxSeq(),
        placeOf: (seq, id) => inbox.placeOf(seq, id),
        rawId: (rowid) => inbox.rawId(rowid),
      },
      history(ids) {
        spy.records?.(ids.length)
        return spy.store?.history(ids) ?? new Map()
      },
      unfinished: (ids, limit) => spy.store?.unfinished(ids, limit, clock.now()) ?? ids.slice(0, limit),
      waits: NO_WAITS,
      waiting: (after, limit) => spy.store?.waiting(after, limit) ?? [],
      start: START,
      checkpoint: { seq: START.seq, id: null, unfinished: [] },
      maxContentBytes: 1_000,
      pollMs: 250,
      pollLater: (poll) => (laterPollMs > 0 ? clock.after(laterPollMs, poll) : undefined),
      classify: readTrouble,
      path,
    },
    router,
  )
  onTestFinished(() => source.stop())
  const refuse = () => expect.fail('every message is to run')
  source.start({ reject: refuse, answer: refuse, withdraw: refuse, nudge: () => undefined })
  return { source, queue, lanes: queue.lanes, clock }
}

const NO_WAITS: WaitQueries = {
  holding: () => [],
  due: () => [],
  ready: () => [],
  nextAtMs: () => undefined,
  questions: () => [],
  openAt: () => [],
  asksText: () => false,
}

/** As if its run had ended. */
function finish(queue: Queue, entry: Entry): void {
  queue.move(entry.message, { type: 'running', entry })
  queue.move(entry.message, { type: 'finishing', entry })
}

test('100,000 waiting messages: the first page can run at once, and no more is read than there is room for [92]', () => {
  const path = join(tempDir(), 'inbound.db')
  headInbound(path).exec(`insert into messages_in (id, seq, kind, timestamp, content)
    with recursive n (i) as (select 1 union all select i + 1 from n where i < ${PENDING})
    select 'm-' || i, 2 * i, 'f', '', '{}' from n`)
  const read = { pages: 0, rows: 0, records: 0 }
  const { lanes, clock } = sourceOn(path, {
    page(rows) {
      read.pages++
      read.rows += rows
    },
    records: (rows) => (read.records += rows),
  })
  expect([read.pages, lanes.size]).toEqual([1, INBOUND_LIMITS.pageRows])

  // What is far from running is read slowly: no other folder's turn waits for it.
  clock.advance(0)
  expect(lanes.size).toBeLessThan(INBOUND_LIMITS.readyMax / 4)

  clock.advance(60_000)
  const most = INBOUND_LIMITS.readyMax + INBOUND_LIMITS.pageRows
  expect(lanes.size).toBeGreaterThanOrEqual(INBOUND_LIMITS.readyMax)
  expect(lanes.size).toBeLessThanOrEqual(most)
  expect([read.rows, read.records]).toEqual([lanes.size, lanes.size])

  const pages = read.pages
  clock.advance(60_000)
  expect(read.pages).toBe(pages)
})

test('of 50,000 pending rows that are finished by their acks, a few pages are read whole, and nothing unfinished is missed [182]', () => {
  const path = join(tempDir(), 'inbound.db')
  const host = headInbound(path)
  const rows = 50_000
  host.exec(`insert into messages_in (id, seq, kind, timestamp, content, status)
    with recursive n (i) as (select 1 union all select i + 1 from n where i < ${rows})
    select 'm-' || i, 2 * i, 'f', '', '{}', iif(i = 30000, 'paused', 'pending') from n`)
  insertMessage(host, { id: 'unnumbered', seq: null, kind: 'f' })
  const { outbox, db } = openOutbox()
  const unfinished = ['m-777', 'm-778', 'm-20001', 'm-50000']
  db.prepare(
    `insert into processing_ack with recursive n (i) as (select 1 union all select i + 1 from n where i < ${rows})
     select 'm-' || i, 'completed', '' from n
     where i <> 30000 and 'm-' || i not in (select value from json_each(?))`,
  ).run(JSON.stringify(unfinished))
  const read = { rows: 0, records: 0 }
  const { source, queue, clock } = sourceOn(path, {
    page: (count) => (read.rows += count),
    records: (count) => (read.records += count),
    store: outbox,
  })
  const inLine = () => queue.lanes.count('f')
  clock.advance(0)
  expect(inLine()).toBe(unfinished.length + 1)
  expect(unfinished.every((id) => queue.get(id)?.state.type === 'ready')).toBe(true)
  expect(read.rows).toBeLessThan(5 * INBOUND_LIMITS.pageRows)
  expect(read.records).toBeLessThan(5 * INBOUND_LIMITS.pageRows)

  host.exec("update messages_in set status = 'pending' where id = 'm-30000'")
  source.poll('now')
  read.rows = 0
  for (let polls = 0; inLine() < unfinished.length + 2; polls++) {
    expect(polls, 'the rescan finds it within a round').toBeLessThan(3 * (rows / INBOUND_LIMITS.pageRows))
    clock.advance(250)
  }
  expect(read.rows).toBeLessThan(10 * INBOUND_LIMITS.pageRows)
})

test('of more messages than are remembered, each runs when it is due, not when the poll has come to it [142]', () => {
  const path = join(tempDir(), 'inbound.db')
  const due = 10_000
  headInbound(path).exec(`insert into messages_in (id, seq, kind, timestamp, process_after, content)
    with recursive n (i) as (select 1 union all select i + 1 from n where i < ${due})
    select 'm-' || i, 2 * i, 'f', '', iif(i % 2, '2026-11-24 13:00:00', '2026-11-24 13:00:30'), '{}' from n`)
  const { lanes, clock } = sourceOn(path, { page: () => undefined }, { scheduledMax: 1_000 })
  clock.advance(3_599_000)
  expect(lanes.size).toBe(0)
  clock.advance(1_500)
  expect(lanes.size).toBe(due / 2)
  clock.advance(30_000)
  expect(lanes.size).toBe(due)
})

test('what is read again after a reload is read to its end before anything newer, however much it is', () => {
  const path = join(tempDir(), 'inbound.db')
  const host = headInbound(path)
  for (let n = 0; n < 8; n++) insertMessage(host, { kind: 'f' })
  const reads: string[] = []
  let unreadable = false
  const { source, clock } = sourceOn(
    path,
    {
      page: () => reads.push('page'),
      ids: (rows) => reads.push(`${rows} again`),
      changed() {
        if (unreadable) throw new Database.SqliteError('unable to open database file', 'SQLITE_CANTOPEN')
        return 'yes'
      },
    },
    { limits: { ...INBOUND_LIMITS, pageRows: 5 } },
  )
  clock.advance(0)
  unreadable = true
  source.poll('now')
  unreadable = false
  reads.length = 0
  source.reroute(ROUTER)
  expect(reads).toEqual(['5 again', '3 again', 'page'])
})

/** Each kind is a function; messages of one thread are in order. */
const KINDS = ['f', 'g', 'h']
const BY_KIND: Router = {
  readsContent: false,
  names: KINDS,
  route: ({ kind }) => (KINDS.includes(kind) ? { ...SPEC, name: kind, key: 'address' } : undefined),
  keyOf: (_, { threadId }) => threadId,
  get: () => SPEC,
  isContext: () => false,
}
const SMALL: InboundLimits = { ...INBOUND_LIMITS, pageRows: 5, readyMax: 20, shareMax: 4 }

describe('when one function fills the lanes', () => {
  function crowd(limits = SMALL) {
    const path = join(tempDir(), 'inbound.db')
    const host = headInbound(path)
    host.pragma('synchronous = off')
    const insert = (kind: string, thread: string | null = null) =>
      insertMessage(host, { kind, thread_id: thread }).id
    const { source, queue, lanes, clock } = sourceOn(
      path,
      { page: () => undefined },
      { limits, router: BY_KIND },
    )
    const ready = () => KINDS.map((kind) => lanes.count(kind))
    const settle = (ms = 1_000) => {
      source.poll('now')
      clock.advance(ms)
    }
    /** As if so many had run to their end. */
    const end = (kind: string, many: number) => {
      const taken = queue.take(kind, many, Number.POSITIVE_INFINITY, true)
      for (const entry of taken) {
        finish(queue, entry)
        queue.remove(entry.message)
        source.onFinished(entry.message)
        host.prepare("update messages_in set status = 'completed' where id = ?").run(entry.message.id)
      }
      return taken
    }
    return { host, insert, source, queue, ready, settle, end }
  }

  test('the others go on at once, and what it has no room for comes in its turn', () => {
    const { insert, ready, settle, end } = crowd()
    for (let n = 0; n < 50; n++) insert('f', `f-${n}`)
    insert('g', 'g')
    settle()
    expect(ready()).toEqual([20, 1, 0])
    insert('h', 'h')
    settle(0)
    expect(ready()).toEqual([20, 1, 1])

    const order: (string | null)[] = []
    for (let n = 0; n < 50; n++) {
      order.push(...end('f', 1).map(({ key }) => key))
      settle()
    }
    expect(order).toEqual(Array.from({ length: 50 }, (_, n) => `f-${n}`))
    expect(ready()).toEqual([0, 1, 1])
  })

  test('a later message never comes before an earlier one of its key that had no room', () => {
    const { insert, queue, ready, settle, end } = crowd()
    for (let n = 0; n < 30; n++) insert('f', `f-${n}`)
    const first = insert('f', 'shared')
    const second = insert('g', 'shared')
    const free = insert('g', 'free')
    settle()
    expect(ready()).toEqual([20, 1, 0])
    expect(queue.take('g', 9, Number.POSITIVE_INFINITY, true).map(({ message }) => message.id)).toEqual([
      free,
    ])

    end('f', 12)
    settle()
    const all = () => queue.rereadWaiting().map(({ id }) => id)
    const found = all()
    expect(found.indexOf(first)).toBeGreaterThanOrEqual(0)
    expect(found.indexOf(second)).toBeGreaterThan(found.indexOf(first))
  })

  test('another one that has more than its share is found again when it has room, though the first one stands still', () => {
    const { insert, ready, settle, end } = crowd()
    for (let n = 0; n < 30; n++) insert('f', `f-${n}`)
    for (let n = 0; n < 30; n++) insert('g', `g-${n}`)
    settle()
    expect(ready()).toEqual([20, SMALL.shareMax, 0])
    let ended = 0
    for (let round = 0; round < 30 && ended < 30; round++) {
      ended += Math.min(3, ready()[1]!)
      end('g', 3)
      settle()
    }
    expect([ended, ready()[0]]).toEqual([30, 20])
  })

  test('what was held behind the walk and is resumed is found, and so is what comes due beyond it', () => {
    const { host, insert, ready, settle } = crowd()
    const paused = insert('g', 'paused')
    host.prepare("update messages_in set status = 'paused' where id = ?").run(paused)
    for (let n = 0; n < 30; n++) insert('f', `f-${n}`)
    const later = insert('h', 'later')
    host.prepare('update messages_in set process_after = ? where id = ?').run('2026-11-24T12:01:00Z', later)
    settle()
    expect(ready()).toEqual([20, 0, 0])
    host.prepare("update messages_in set status = 'pending' where id = ?").run(paused)
    settle()
    expect(ready()).toEqual([20, 1, 0])
    settle(61_000)
    expect(ready()).toEqual([20, 1, 1])
  })

  test('says which, and how many of its messages wait for their next attempt', () => {
    const { insert, source, queue, settle, end } = crowd()
    for (let n = 0; n < 30; n++) insert('f', `f-${n}`)
    insert('g', 'g')
    settle()
    const [entry] = queue.take('f', 1, Number.POSITIVE_INFINITY, true) as [Entry]
    finish(queue, entry)
    queue.move(entry.message, { type: 'retrying', entry, untilMs: Number.MAX_SAFE_INTEGER })
    expect(source.crowded).toEqual([{ name: 'f', ready: 20, retrying: 1 }])
    end('f', 15)
    settle()
    end('f', 15)
    settle()
    expect(source.crowded).toEqual([])
  })

  const steps = fc.array(
    fc.oneof(
      fc.record({ insert: fc.constantFrom(...KINDS), key: fc.nat(20), many: fc.integer({ min: 1, max: 6 }) }),
      fc.record({ end: fc.constantFrom(...KINDS), many: fc.integer({ min: 1, max: 6 }) }),
    ),
    { minLength: 40, maxLength: 120 },
  )

  test('in whatever order messages come and end, none overtakes another of its key, and none is lost', () => {
    fc.assert(
      fc.property(steps, (drawn) => {
        const { insert, settle, end } = crowd({ ...SMALL, readyMax: 8, shareMax: 2 })
        const waiting = new Map<string, string[]>()
        const ended = (kind: string, many: number) => {
          const gone = end(kind, many)
          for (const { message, key } of gone) expect(waiting.get(key!)?.shift()).toBe(message.id)
          return gone.length
        }
        for (const step of drawn) {
          if ('end' in step) ended(step.end, step.many)
          else
            for (let n = 0; n < step.many; n++) {
              const key = `k-${(step.key * (n + 1)) % 21}`
              const id = insert(step.insert, key)
              waiting.set(key, [...(waiting.get(key) ?? []), id])
            }
          settle(20)
        }
        const left = () => [...waiting.values()].flat().length
        for (let round = 0; left() > 0 && round < 1_000; round++) {
          for (const kind of KINDS) ended(kind, 3)
          settle(300)
        }
        expect(left(), 'never found').toBe(0)
      }),
      { numRuns: 15 },
    )
  })
})

test('a file that was read to its end is polled as seldom as its folder asks, and after a change as often as ever', () => {
  const path = join(tempDir(), 'inbound.db')
  const db = headInbound(path)
  let polls = 0
  const changed = () => {
    polls++
    return undefined as never
  }
  const { clock, source, lanes } = sourceOn(path, { page: () => undefined, changed }, { laterPollMs: 5_000 })
  const pollsIn = (ms: number) => {
    polls = 0
    clock.advance(ms)
    return polls
  }
  expect(source.quietForMs).toBeGreaterThan(0)
  expect(pollsIn(20_000)).toBe(4)
  insertMessage(db, { kind: 'f' })
  source.poll('now')
  expect(lanes.size).toBe(1)
  expect(source.quietForMs).toBe(0)
  expect(pollsIn(1_000)).toBe(1)
  expect(source.quietForMs).toBe(1_000)
})

test('a row that a table without a key has twice is one message, and what is on record about it counts once', () => {
  const path = join(tempDir(), 'inbound.db')
  const host = headInbound(path)
  host.exec(`create table bare as select * from messages_in where 0; drop table messages_in;
    alter table bare rename to messages_in`)
  const row = { kind: 'f', content: '{}', status: 'pending', tries: 0 }
  for (const seq of [2, 4]) insertMessage(host, { ...row, id: 'twice', seq })
  const asked: (readonly string[])[] = []
  const history = (ids: readonly string[]) => {
    asked.push(ids)
    return new Map()
  }
  const store = { history, unfinished: (ids: readonly string[]) => ids, waiting: () => [] }
  const { lanes, clock } = sourceOn(path, { page: () => undefined, store })
  clock.advance(10_000)
  expect(lanes.size).toBe(1)
  expect(asked.filter((ids) => ids.length > 0)).toContainEqual(['twice'])
})

test('a message that leaves memory while it waits for its next attempt stays isolated', () => {
  const path = join(tempDir(), 'inbound.db')
  const inbound = headInbound(path)
  insertMessage(inbound, { id: 'a', kind: 'f' })
  const store = {
    history: (ids: readonly string[]) => new Map(ids.includes('a') ? [['a', RAN_ONCE]] : []),
    unfinished: (ids: readonly string[]) => ids,
    waiting: () => [],
  }
  const limits = { ...INBOUND_LIMITS, readyMax: 2, shareMax: 1, pageRows: 1 }
  const { queue, source, clock } = sourceOn(path, { page: () => undefined, store }, { limits })
  clock.advance(300)
  const message = queue.get('a')!
  const [entry] = queue.take('f', 1, 1_000, true)
  Object.assign(entry!, { isolated: true, runs: 1, attempts: 1 })
  queue.move(message, { type: 'running', entry: entry! })
  queue.move(message, { type: 'finishing', entry: entry! })
  queue.move(message, { type: 'retrying', entry: entry!, untilMs: clock.now() + 10_000 })
  for (const id of ['b', 'c', 'd', 'e']) insertMessage(inbound, { id, kind: 'f' })
  source.poll('now')
  clock.advance(1_000)
  expect(queue.get('a')).toBeUndefined()
  clock.advance(10_000)
  expect(queue.get('a')?.state).toMatchObject({ type: 'ready', entry: { isolated: true } })
})
