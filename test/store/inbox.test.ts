// What the runtime reads in inbound.db: every shape of the table, every message by its exact name.
import { describe, expect, test } from 'vitest'
import { START } from '../../runtime/store/sqlite/inbox.ts'
import { headInbound, insertMessage, insertRow, openDb, seedInbound } from '../support/files.ts'
import { inboxOf, walk } from '../support/inbox.ts'

const table = (columns: string) => (path: string) =>
  openDb(path).exec(`create table messages_in (${columns})`)

describe('every shape of the table', () => {
  const full = {
    id: 'a',
    kind: 'task',
    timestamp: '2026-11-24 06:02:20',
    process_after: '2026-11-24T07:00:00Z',
    recurrence: '0 9 * * *',
    tries: 2,
    platform_id: 'p',
    channel_type: 'c',
    thread_id: 't',
    content: '{"text":"ü"}',
  }
  const message = {
    id: 'a',
    seq: 2,
    kind: 'task',
    timestamp: '2026-11-24 06:02:20',
    status: 'pending',
    processAfter: '2026-11-24T07:00:00Z',
    recurrence: '0 9 * * *',
    tries: 2,
    platformId: 'p',
    channelType: 'c',
    threadId: 't',
    content: '{"text":"ü"}',
  }
  const row = {
    id: 'a',
    rowid: 1,
    seq: 2,
    kind: 'task',
    timestamp: '2026-11-24 06:02:20',
    processAfter: '2026-11-24T07:00:00Z',
    platformId: 'p',
    channelType: 'c',
    threadId: 't',
    contentBytes: 13,
  }

  test('the first hosts’: what came later has its default', () => {
    const { inbox, db } = inboxOf(seedInbound)
    insertMessage(db, full)
    expect(inbox.getPendingMessages(START, 10, false).rows).toMatchObject([{ ...row, onWake: false }])
    expect(inbox.getMessageIn('a')).toMatchObject({
      ...message,
      seriesId: null,
      trigger: true,
      sourceSessionId: null,
      onWake: false,
    })
  })

  test('the newest hosts’: every column', () => {
    const { inbox, db } = inboxOf(headInbound)
    insertMessage(db, { ...full, series_id: 's', trigger: 0, source_session_id: 'o', on_wake: 1 })
    expect(inbox.getPendingMessages(START, 10, false).rows).toMatchObject([{ ...row, onWake: true }])
    expect(inbox.getMessageIn('a')).toMatchObject({
      ...message,
      seriesId: 's',
      trigger: false,
      sourceSessionId: 'o',
      onWake: true,
    })
  })

  test('without numbers: in the order of the rows', () => {
    const { inbox, db } = inboxOf(
      table('id text primary key, kind text, timestamp text, status text, content text'),
    )
    for (const id of ['c', 'a', 'b'])
      insertRow(db, 'messages_in', {
        id,
        kind: 'chat',
        timestamp: 'same',
        status: id === 'a' ? 'completed' : 'pending',
        content: '{}',
      })
    expect(walk(inbox, 1).ids).toEqual(['c', 'b'])
    expect([inbox.maxSeq(), inbox.getMessageIn('a')?.status]).toEqual([0, 'completed'])
    expect(inbox.getPendingByIds(['b', 'a', 'c'], false).map(({ id }) => id)).toEqual(['c', 'b'])
  })

  test('without a status: every row is pending', () => {
    const { inbox, db } = inboxOf(
      table('id text primary key, seq integer, kind text, timestamp text, content text'),
    )
    for (const [n, id] of ['b', 'a'].entries())
      insertRow(db, 'messages_in', {
        id,
        seq: 9 - n,
        kind: 'chat',
        timestamp: '',
        content: '{"questionId":"q"}',
      })
    expect(walk(inbox, 10).ids).toEqual(['a', 'b'])
    expect([inbox.getMessageIn('a')?.status, inbox.questionResponses('q')[0]?.id]).toEqual(['pending', 'b'])
  })

  test('with the least that a message needs', () => {
    const { inbox, db } = inboxOf(table('id text, kind text, timestamp text, content text'))
    insertRow(db, 'messages_in', { id: 'a', kind: 'chat', timestamp: 't', content: '{}' })
    expect(walk(inbox, 10).ids).toEqual(['a'])
    expect(inbox.getMessageIn('a')).toMatchObject({
      seq: null,
      status: 'pending',
      tries: 0,
      trigger: true,
      onWake: false,
      threadId: null,
    })
  })

  test('one that grows a column while it is open', () => {
    const { inbox, db } = inboxOf(seedInbound)
    insertMessage(db, { id: 'a' })
    expect(walk(inbox, 10).ids).toEqual(['a'])
    db.exec('alter table messages_in add column series_id text; vacuum')
    insertMessage(db, { id: 'b', series_id: 's' })
    expect(walk(inbox, 10).ids).toEqual(['a', 'b'])
  })
})

describe('an id', () => {
  const ODD = [
    "o'brien",
    '"',
    '',
    ' ',
    '\0',
    'a\0b',
    '%',
    '_',
    '😀 ß',
    'e\u0301',
    'é',
    '../../x',
    '__proto__',
    '[]',
    'null',
    'x'.repeat(10_000),
  ]

  test('may be any text, and names exactly one message', () => {
    const { inbox, db } = inboxOf(headInbound)
    for (const id of ODD) insertMessage(db, { id, content: JSON.stringify(id) })
    const messages = inbox.getMessages(ODD)
    expect(messages.size).toBe(ODD.length)
    for (const id of ODD) {
      expect(messages.get(id)).toMatchObject({ id, content: JSON.stringify(id) })
      expect(inbox.getMessageIn(id)?.id).toBe(id)
    }
    expect(inbox.getPendingByIds(ODD, false).map(({ id }) => id)).toEqual(ODD)
    expect(inbox.getMessages(['o', "O'BRIEN", 'x'.repeat(9_999)]).size).toBe(0)
    expect([inbox.getMessages([]).size, inbox.getPendingByIds([], false)]).toEqual([0, []])
  })

  test('of a message that is not pending is found whole, but not among the pending', () => {
    const { inbox, db } = inboxOf(headInbound)
    for (const status of ['paused', 'completed', 'failed', 'pending'])
      insertMessage(db, { id: status, status })
    const all = ['paused', 'completed', 'failed', 'pending']
    const messages = inbox.getMessages(all)
    expect(all.map((id) => messages.get(id)?.status)).toEqual(all)
    expect(inbox.getPendingByIds(all, false).map(({ id }) => id)).toEqual(['pending'])
  })

  test('that is missing, no text, or no UTF-8 is seen as a row without a name, and told by its bytes', () => {
    const { inbox, db } = inboxOf(headInbound)
    const insert = (id: string) =>
      db.exec(`insert into messages_in (id, seq, kind, timestamp, content)
      values (${id}, (select coalesce(max(seq), 0) + 2 from messages_in), 'chat', '', '{}')`)
    for (const id of ['null', "x'0102'", "cast(x'61ff' as text)", "cast(x'61fe' as text)", '7']) insert(id)
    const { rows } = inbox.getPendingMessages(START, 10, false)
    expect(rows.map(({ id }) => id)).toEqual([null, null, null, null, '7'])
    const raw = rows.map(({ rowid }) => inbox.rawId(rowid))
    expect(raw.map((each) => each && [Buffer.from(each.bytes).toString('hex'), each.isText])).toEqual([
      null,
      ['0102', false],
      ['61ff', true],
      ['61fe', true],
      ['37', true],
    ])
    expect(inbox.rawId(999)).toBeNull()
  })
})

describe('the answer to a question', () => {
  test('W25, 86: is found by the exact id of the question, whatever stands beside it', () => {
    const { inbox, db } = inboxOf(headInbound)
    insertMessage(db, { id: 'no json', content: '{"questionId":"q1"' })
    insertMessage(db, { id: 'no json at all', content: '"questionId":"q1"' })
    insertMessage(db, { id: 'a list', content: '["questionId","q1"]' })
    insertMessage(db, { id: 'deeper', content: { nested: { questionId: 'q1' } } })
    insertMessage(db, { id: 'said in a text', content: { text: '"questionId":"q1"' } })
    insertMessage(db, { id: 'a number', content: { questionId: 1 } })
    insertMessage(db, { id: 'taken', content: { questionId: 'q1' }, status: 'completed' })
    expect(inbox.questionResponses('q1')).toEqual([])
    const ids = ['q1', 'q10', 'ab', '%', '_', 'a_', '1', "q'", '', 'ü "']
    for (const id of ids)
      insertMessage(db, { id: `answer ${id}`, content: JSON.stringify({ questionId: id }, null, 2) })
    for (const id of ids) expect(inbox.questionResponses(id).map((row) => row.id)).toEqual([`answer ${id}`])
    for (const id of ['q', 'Q1', 'q%', '__', 'a%', '2']) expect(inbox.questionResponses(id)).toEqual([])
  })

  test('comes behind the answers that were given before it', () => {
    const { inbox, db } = inboxOf(headInbound)
    for (const id of ['first', 'second']) insertMessage(db, { id, content: { questionId: 'q' } })
    expect(inbox.questionResponses('q').map(({ id }) => id)).toEqual(['first', 'second'])
  })
})

test('the highest number is 0 in an empty file, and follows the host', () => {
  const { inbox, db } = inboxOf(headInbound)
  expect(inbox.maxSeq()).toBe(0)
  insertMessage(db, { seq: 4_000_000_000, status: 'completed' })
  expect(inbox.maxSeq()).toBe(4_000_000_000)
})
