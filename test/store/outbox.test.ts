// One turn, one transaction: what stands in outbound.db after it, seen through the handle of a host.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isoTime, parseTime, sqliteTime } from '../../runtime/protocol/time.ts'
import { insertRow } from '../support/files.ts'
import {
  acks,
  claim,
  claimed,
  completed,
  ending,
  everything,
  NOW,
  openOutbox,
  RAN_ONCE,
  reply,
  running,
  runs,
  seqs,
  turn,
} from '../support/outbox.ts'

describe('a claim', () => {
  test('is on disk with its run before anything starts', () => {
    const { outbox, db } = openOutbox()
    const committed = outbox.commit(
      turn({ claims: [claim('a', { attempt: 1, functionName: 'greet', alone: true })] }),
    )
    expect(committed).toMatchObject({ refused: new Set(), lost: new Set() })
    expect(db.prepare('select * from processing_ack').all()).toEqual([
      { message_id: 'a', status: 'processing', status_changed: isoTime(NOW) },
    ])
    const run = { run: 1, attempt: 1, function: 'greet', worker: 4711, alone: 1, started_at: NOW }
    expect(running(db, 'a')).toEqual([{ message_id: 'a', ...run }])
    expect(runs(db, 'a')).toEqual([])
  })

  test.each(['processing', 'completed', 'failed', 'what another program writes'])(
    'of a message whose ack says %s is refused, and the others of its turn are made',
    (status) => {
      const { outbox, db } = openOutbox()
      insertRow(db, 'processing_ack', { message_id: 'b', status, status_changed: 'then' })
      const { refused } = outbox.commit(turn({ claims: [claim('a'), claim('b'), claim('c')] }))
      expect(refused).toEqual(new Set(['b']))
      expect(acks(db)).toEqual({ a: 'processing', b: status, c: 'processing' })
      expect(runs(db, 'b')).toEqual([])
    },
  )

  test('that does not know of earlier runs is refused, not a crash: the message comes again with its history', () => {
    const open = claimed('a')
    open.outbox.commit(turn({ results: [ending('a', { type: 'retry', nextAtMs: NOW + 5 })] }))
    const { refused } = open.outbox.commit(turn({ claims: [claim('a'), claim('b')] }))
    expect(refused).toEqual(new Set(['a']))
    expect(acks(open.db)).toEqual({ b: 'processing' })
    expect(open.outbox.history(['a']).get('a')).toMatchObject({ runs: 1, attempts: 1, nextAtMs: NOW + 5 })
  })
})

describe('a message that is', () => {
  test('completed has its ack and every reply, in order, with the address of each', () => {
    const open = claimed('a')
    const address = { platformId: 'p', channelType: 'c', threadId: 't' }
    const later = reply('later', { kind: 'task', deliverAfterMs: NOW + 60_000 })
    open.outbox.commit(turn({ nowMs: NOW + 7, results: [completed('a', reply('first', address), later)] }))
    expect(open.db.prepare('select * from processing_ack').all()).toEqual([
      { message_id: 'a', status: 'completed', status_changed: isoTime(NOW + 7) },
    ])
    const common = { in_reply_to: 'a', timestamp: sqliteTime(NOW + 7), recurrence: null }
    const nowhere = { platform_id: null, channel_type: null, thread_id: null }
    expect(open.db.prepare('select * from messages_out order by seq').all()).toEqual([
      {
        id: 'a:0',
        seq: 1,
        ...common,
        deliver_after: null,
        kind: 'chat',
        platform_id: 'p',
        channel_type: 'c',
        thread_id: 't',
        content: '"first"',
      },
      {
        id: 'a:1',
        seq: 3,
        ...common,
        deliver_after: sqliteTime(NOW + 60_000),
        kind: 'task',
        ...nowhere,
        content: '"later"',
      },
    ])
    expect(runs(open.db, 'a')).toEqual([
      expect.objectContaining({
        ended_at: NOW + 7,
        duration_ms: 1.5,
        outcome: 'replied',
        reason: null,
        next_at: null,
      }),
    ])
  })

  test('failed has its ack, its reason and its error, and no reply', () => {
    const open = claimed('a')
    const error = JSON.stringify({ name: 'Error', message: 'no' })
    open.outbox.commit(
      turn({ results: [ending('a', { type: 'failed' }, { reason: 'handler_error', error })] }),
    )
    expect([acks(open.db), seqs(open)]).toEqual([{ a: 'failed' }, []])
    expect(runs(open.db, 'a')).toEqual([
      expect.objectContaining({ outcome: 'threw', reason: 'handler_error', error }),
    ])
  })

  test('to be asked for later is charged with nothing, and since when that is stays on record [158]', () => {
    const open = claimed('a')
    const later = { type: 'retry', nextAtMs: NOW + 500 } as const
    open.outbox.commit(turn({ results: [{ ...ending('a', later), reason: 'retry_after' }] }))
    open.outbox.commit(turn({ claims: [claim('a', { run: 2 })], nowMs: NOW + 500 }))
    open.outbox.commit(
      turn({ results: [{ ...ending('a', later), run: 2, reason: 'retry_after' }], nowMs: NOW + 600 }),
    )
    expect(open.outbox.history(['a']).get('a')).toMatchObject({
      runs: 2,
      attempts: 0,
      turnedAwaySinceMs: NOW,
    })
  })

  test('to be tried again has no ack, and its time is on record until the next claim', () => {
    const open = claimed('a')
    open.outbox.commit(turn({ results: [ending('a', { type: 'retry', nextAtMs: NOW + 500 })] }))
    expect(acks(open.db)).toEqual({})
    expect(open.outbox.history(['a']).get('a')).toEqual({ ...RAN_ONCE, nextAtMs: NOW + 500, waitMs: 500 })
    open.outbox.commit(turn({ claims: [claim('a', { run: 2, attempt: 2 })] }))
    expect(runs(open.db, 'a').map((run) => run.next_at)).toEqual([null])
    expect(running(open.db, 'a')).toEqual([expect.objectContaining({ run: 2, attempt: 2 })])
  })

  test('released leaves no trace, or its run alone, and is charged with nothing', () => {
    const open = claimed('a', 'b')
    open.outbox.commit(
      turn({
        results: [
          ending('a', { type: 'released', keep: false }),
          ending('b', { type: 'released', keep: true }, { reason: 'shutdown' }),
        ],
      }),
    )
    expect([acks(open.db), runs(open.db, 'a')]).toEqual([{}, []])
    expect(runs(open.db, 'b')).toEqual([
      expect.objectContaining({ outcome: 'cancelled', reason: 'shutdown' }),
    ])
    expect(open.outbox.history(['a', 'b'])).toEqual(
      new Map([
        [
          'b',
          {
            done: false,
            runs: 1,
            attempts: 0,
            turnedAwaySinceMs: null,
            crashes: 0,
            interrupted: false,
            nextAtMs: null,
            waitMs: null,
            wakeAtMs: null,
            woken: false,
            begunBy: null,
          },
        ],
      ]),
    )
  })

  test('released and taken again in one turn ends up claimed', () => {
    const open = claimed('a')
    const { refused } = open.outbox.commit(
      turn({
        results: [ending('a', { type: 'released', keep: false })],
        claims: [claim('a', { worker: 99 })],
      }),
    )
    expect([refused.size, acks(open.db)]).toEqual([0, { a: 'processing' }])
    expect(running(open.db, 'a')).toEqual([expect.objectContaining({ run: 1, worker: 99 })])
    expect(runs(open.db, 'a')).toEqual([])
  })

  test('refused ends as failed without a run of anything, and an ack that is there stands', () => {
    const open = claimed('b')
    const about = { reason: 'bad_process_after', detail: 'process_after is "soon"' }
    open.outbox.commit(
      turn({
        rejections: [
          { id: 'a', ...about },
          { id: 'b', ...about },
        ],
      }),
    )
    expect(acks(open.db)).toEqual({ a: 'failed', b: 'processing' })
    expect(runs(open.db, 'a')).toEqual([
      expect.objectContaining({
        outcome: 'rejected',
        reason: about.reason,
        error: about.detail,
        function: '',
        attempt: 0,
      }),
    ])
    expect(open.outbox.history(['a']).get('a')).toMatchObject({ done: true })
  })

  test('refused for an id that is no text is acked by its bytes, so that the host’s own join finds it', () => {
    const { outbox, db } = openOutbox()
    const about = { id: 'a\uFFFD', reason: 'bad_id', detail: '' }
    const ids = [
      [Buffer.from([0x61, 0xff]), true],
      [Buffer.from([0x61, 0xfe]), true],
      [Buffer.from([1, 2]), false],
    ] as const
    outbox.commit(
      turn({ rejections: ids.map(([bytes, isText]) => ({ ...about, rawId: { bytes, isText } })) }),
    )
    outbox.commit(turn({ rejections: [{ ...about, rawId: null }] }))
    for (const [bytes, isText] of ids) {
      const ack = db.prepare(
        `select status from processing_ack where message_id = ${isText ? 'cast(? as text)' : '?'}`,
      )
      expect(ack.pluck().get(bytes)).toBe('failed')
    }
    expect(db.prepare('select count(*) from processing_ack').pluck().get()).toBe(3)
  })
})

test('the same run settled twice stores its replies once, under the same ids', () => {
  const open = claimed('a')
  const said = turn({ results: [completed('a', reply(1), reply(2))] })
  open.outbox.commit(said)
  const before = everything(open.db)
  expect(open.outbox.commit(said).lost).toEqual(new Set(['a']))
  open.db.exec("update processing_ack set status = 'processing'")
  expect(open.outbox.commit(said).lost, 'whatever the ack says').toEqual(new Set(['a']))
  open.db.exec("update processing_ack set status = 'completed'")
  expect(open.db.prepare('select id, seq, content from messages_out order by seq').raw().all()).toEqual([
    ['a:0', 1, '1'],
    ['a:1', 3, '2'],
  ])
  expect(everything(open.db)).toEqual(before)
})

describe('the number of a reply', () => {
  test('is odd, and above every number in both files, whatever the host’s are', () => {
    const open = openOutbox()
    let messages = 0
    let last = -1
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2_000 }),
        fc.array(fc.integer({ min: 0, max: 3 })),
        (inboundSeq, counts) => {
          const ids = counts.map(() => `m-${messages++}`)
          open.outbox.commit(turn({ claims: ids.map((id) => claim(id)) }))
          const results = ids.map((id, n) =>
            completed(id, ...Array.from({ length: counts[n]! }, () => reply())),
          )
          const before = seqs(open).length
          open.outbox.commit(turn({ inboundSeq, results }))
          for (const seq of seqs(open).slice(before)) {
            expect(seq % 2).toBe(1)
            expect(seq).toBeGreaterThan(Math.max(last, inboundSeq))
            last = seq
          }
        },
      ),
      { numRuns: 30 },
    )
    expect(last).toBeGreaterThan(0)
  })

  test('passes over what another process has written to the file meanwhile [W9]', () => {
    const open = claimed('a', 'b')
    open.outbox.commit(turn({ results: [completed('a', reply())] }))
    insertRow(open.db, 'messages_out', { id: 'x', seq: 3, timestamp: '', kind: 'chat', content: '{}' })
    open.outbox.commit(turn({ results: [completed('b', reply(), reply())] }))
    expect(seqs(open)).toEqual([1, 3, 5, 7])
  })

  test('stays a whole number for a host that counts in halves', () => {
    const open = claimed('a')
    open.outbox.commit(
      turn({
        inboundSeq: 8.5,
        results: [completed('a', reply(), reply())],
        checkpoint: { seq: 8.5, id: null, unfinished: [] },
      }),
    )
    expect(seqs(open)).toEqual([11, 13])
  })
})

test('any text is an id: it is claimed, remembered and answered under exactly that name', () => {
  const character = fc
    .oneof(fc.integer({ min: 0, max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10ffff }))
    .map((n) => String.fromCodePoint(n))
  const text = fc.oneof(
    fc.string({ unit: character }),
    fc.constantFrom('', '\0', 'a\0b', "'", '"', '%', 'x'.repeat(10_000)),
  )
  const open = openOutbox()
  const all = new Set<string>()
  fc.assert(
    fc.property(fc.uniqueArray(text, { maxLength: 20 }), (drawn) => {
      const ids = drawn.filter((id) => !all.has(id))
      for (const id of ids) all.add(id)
      expect(open.outbox.commit(turn({ claims: ids.map((id) => claim(id)) })).refused.size).toBe(0)
      open.outbox.commit(turn({ results: ids.map((id) => completed(id, reply(id))) }))
      const history = open.outbox.history([...ids, 'never seen'])
      expect([...history.keys()].sort()).toEqual([...ids].sort())
      expect([...history.values()].every(({ done }) => done)).toBe(true)
    }),
    { numRuns: 30 },
  )
  const answered = open.db.prepare('select in_reply_to, content from messages_out').raw().all()
  for (const [id, content] of answered as [string, string][]) expect(JSON.parse(content)).toBe(id)
  expect(answered).toHaveLength(all.size)
  open.outbox.commit(turn({ checkpoint: { seq: 2, id: null, unfinished: [...all] } }))
  open.outbox.close()
  expect(new Set(openOutbox(open.path).recovery.checkpoint.unfinished)).toEqual(all)
})

test('the times that hosts read: acks in ISO form, replies in SQLite’s own, both to the millisecond', () => {
  const open = claimed('a')
  open.outbox.commit(turn({ results: [completed('a', reply())] }))
  const [changed] = open.db.prepare('select status_changed from processing_ack').pluck().all() as [string]
  const [sent] = open.db.prepare('select timestamp from messages_out').pluck().all() as [string]
  expect([changed, sent]).toEqual(['2026-11-24T06:02:20.123Z', '2026-11-24 06:02:20.123'])
  expect([parseTime(changed), parseTime(sent)]).toEqual([NOW, NOW])
})
