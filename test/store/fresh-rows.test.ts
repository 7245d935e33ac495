// What a look has read whole is not read twice, and never believed longer than the file stays as it was.
import { rmSync } from 'node:fs'
import type Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { FreshRows, KEPT_CONTENT_MAX } from '../../runtime/store/sqlite/fresh-rows.ts'
import { Inbox, START } from '../../runtime/store/sqlite/inbox.ts'
import type { InboundRow, PendingMessage } from '../../runtime/store/sqlite/message-rows.ts'
import { headInbound, insertMessage } from '../support/files.ts'
import { inboxOf } from '../support/inbox.ts'

function looked(...rows: readonly Record<string, unknown>[]) {
  const { inbox, db } = inboxOf(headInbound)
  for (const row of rows) insertMessage(db, row)
  inbox.changed()
  const page = inbox.getPendingMessages(START, 10, false).rows
  return { inbox, db, page }
}

/** What `take` finds, and what it leaves to be read. */
function taken(fresh: FreshRows, ids: readonly string[], version: number) {
  const found = new Map<string, InboundRow>()
  return { others: fresh.take(ids, version, found), found: [...found.keys()] }
}

test('a message that was read whole is found, once, while the file is in the same state', () => {
  const { page } = looked(
    { id: 'a', content: '1' },
    { id: 'b', content: '2' },
    { id: 'long', content: JSON.stringify('x'.repeat(KEPT_CONTENT_MAX)) },
    { id: 'unnumbered', seq: null },
  )
  const fresh = new FreshRows()
  fresh.keep(page, 7)
  expect(taken(fresh, ['a', 'long', 'unnumbered', 'none'], 7)).toEqual({
    others: ['long', 'unnumbered', 'none'],
    found: ['a'],
  })
  expect(taken(fresh, ['a', 'b'], 7)).toEqual({ others: ['a'], found: ['b'] })
})

test('in another state of the file, nothing of it counts any more', () => {
  const fresh = new FreshRows()
  const { page } = looked({ id: 'a' }, { id: 'b' })
  fresh.keep(page, 7)
  expect(taken(fresh, ['a'], 8)).toEqual({ others: ['a'], found: [] })
  expect(taken(fresh, ['b'], 7)).toEqual({ others: ['b'], found: [] })
  fresh.keep(page.slice(0, 1), 8)
  fresh.keep(page.slice(1) as PendingMessage[], 9)
  expect(taken(fresh, ['a', 'b'], 9)).toEqual({ others: ['a'], found: ['b'] })
})

test.each<[string, (db: Database.Database) => void, Partial<InboundRow> | undefined]>([
  ['cancelled', (db) => db.exec("update messages_in set status = 'completed'"), { status: 'completed' }],
  [
    'moved',
    (db) => db.exec("update messages_in set process_after = '2100-01-01'"),
    { processAfter: '2100-01-01' },
  ],
  ['given other content', (db) => db.exec("update messages_in set content = '9'"), { content: '9' }],
  ['removed', (db) => db.exec('delete from messages_in'), undefined],
  ['left alone', () => undefined, { content: '1', status: 'pending' }],
])('a message that is %s between the scan and its run is read as it is then', (_what, change, expected) => {
  const { inbox, db } = looked({ id: 'a', content: '1' })
  change(db)
  const row = inbox.getMessageIn('a')
  if (expected) expect(row).toMatchObject(expected)
  else expect(row).toBeUndefined()
})

test('another file at the path: what was read of the old one is not told of the new one', () => {
  const { inbox, db } = looked({ id: 'a', content: '1' })
  const path = db.name
  db.close()
  rmSync(path)
  insertMessage(headInbound(path), { id: 'a', content: '2' })
  expect(inbox.changed()).toBe('replaced')
  expect(inbox.getMessageIn('a')?.content).toBe('2')
})

test.each<[string, Record<string, unknown>]>([
  ['every column', { process_after: '2026-01-01', platform_id: 'p', thread_id: 't', trigger: 0, on_wake: 1 }],
  ['unexpected numbers', { trigger: 2, on_wake: 2, tries: 7, seq: -4 }],
  ['unexpected types', { trigger: 'x', on_wake: 'x', tries: 1.5, content: Buffer.from('"ü"') }],
])('a message with %s is read as by a handle that reads it anew', (_what, row) => {
  const { inbox, db } = looked({ id: 'a', ...row })
  const anew = new Inbox(db.name)
  onTestFinished(() => anew.close())
  const told = anew.getMessageIn('a')
  expect(told).toBeDefined()
  expect(inbox.getMessageIn('a')).toMatchObject(told ?? {})
})
