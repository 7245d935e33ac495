// What a session reads and keeps, by count and order: time would say more about the machine. Real inbound.db, in time that the
// test owns; nothing runs, so everything that is read stays. `npm run scale` has the figures.
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { Executor } from '../runtime/execute.ts'
import { createEvents } from '../runtime/protocol/events.ts'
import type { FunctionSpec } from '../runtime/protocol/function.ts'
import { Lanes } from '../runtime/schedule/lanes.ts'
import {
  type InboundFile,
  type Router,
  SESSION_LIMITS,
  Session,
  type SessionLimits,
} from '../runtime/session.ts'
import { readTrouble, writeTrouble } from '../runtime/store/classify.ts'
import { Inbox, START } from '../runtime/store/inbox.ts'
import { FakeClock } from './support/fake-clock.ts'
import { headInbound, insertMessage, tempDir } from './support/files.ts'

const PENDING = 100_000
const SPEC: FunctionSpec = {
  name: 'f',
  file: 'f.js',
  rule: { kind: undefined, channelType: undefined, platformId: undefined, threadId: undefined, content: [] },
  timeoutMs: 1_000,
  retry: { attempts: 1, minDelayMs: 1, maxDelayMs: 1, factor: 1 },
  concurrency: 1,
  key: 'none',
  rawContent: false,
  bundle: 'f.mjs',
}

const ROUTER: Router = {
  readsContent: false,
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
}

function sessionOn(path: string, limits: SessionLimits, spy: Spy) {
  const [clock, events, lanes, inbox] = [new FakeClock(), createEvents(), new Lanes(), new Inbox(path)]
  onTestFinished(() => inbox.close())
  const session = new Session(
    {
      clock,
      events,
      lanes,
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
        maxSeq: () => inbox.maxSeq(),
        rawId: (rowid) => inbox.rawId(rowid),
      },
      history(ids) {
        spy.records?.(ids.length)
        return new Map()
      },
      start: START,
      mark: { seq: START.seq, open: [] },
      maxContentBytes: 1_000,
      pollMs: 250,
      classify: readTrouble,
      path,
    },
    ROUTER,
  )
  const executor = new Executor({
    clock,
    events,
    lanes,
    random: () => 0,
    reader: inbox,
    writer: { commit: () => ({ refused: new Set(), lost: new Set() }) },
    workers: { offer: () => [] },
    intake: session,
    crashLimit: 1,
    claimed: () => undefined,
    classify: writeTrouble,
    readFailed: (error) => session.readFailed(error),
    fatal: (error) => expect.fail(String(error)),
  })
  onTestFinished(() => session.stop())
  session.start(executor)
  return { session, lanes, clock }
}

test('92: 100,000 waiting messages: the first page can run at once, and no more is read than there is room for', () => {
  const path = join(tempDir(), 'inbound.db')
  headInbound(path).exec(`insert into messages_in (id, seq, kind, timestamp, content)
    with recursive n (i) as (select 1 union all select i + 1 from n where i < ${PENDING})
    select 'm-' || i, 2 * i, 'f', '', '{}' from n`)
  const read = { pages: 0, rows: 0, records: 0 }
  const { lanes, clock } = sessionOn(path, SESSION_LIMITS, {
    page(rows) {
      read.pages++
      read.rows += rows
    },
    records: (rows) => (read.records += rows),
  })
  expect([read.pages, lanes.size]).toEqual([1, SESSION_LIMITS.page])

  // What is far from running is read at leisure: nobody else's turn waits for it.
  clock.advance(0)
  expect(lanes.size).toBeLessThan(SESSION_LIMITS.readyMax / 4)

  clock.advance(60_000)
  const most = SESSION_LIMITS.readyMax + SESSION_LIMITS.page
  expect(lanes.size).toBeGreaterThanOrEqual(SESSION_LIMITS.readyMax)
  expect(lanes.size).toBeLessThanOrEqual(most)
  expect([read.rows, read.records]).toEqual([lanes.size, lanes.size])

  const pages = read.pages
  clock.advance(60_000)
  expect(read.pages).toBe(pages)
})

test('what is read again after a reload is read to its end before anything newer, however much it is', () => {
  const path = join(tempDir(), 'inbound.db')
  const host = headInbound(path)
  for (let n = 0; n < 8; n++) insertMessage(host, { kind: 'f' })
  const reads: string[] = []
  let unreadable = false
  const { session, clock } = sessionOn(
    path,
    { ...SESSION_LIMITS, page: 5 },
    {
      page: () => reads.push('page'),
      ids: (rows) => reads.push(`${rows} again`),
      changed() {
        if (unreadable) throw new Database.SqliteError('unable to open database file', 'SQLITE_CANTOPEN')
        return 'yes'
      },
    },
  )
  clock.advance(0)
  unreadable = true
  session.look('now')
  unreadable = false
  reads.length = 0
  session.reroute(ROUTER)
  expect(reads).toEqual(['5 again', '3 again', 'page'])
})
