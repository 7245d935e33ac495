// What goes wrong around a turn: the host takes a claim away, the disk is full, another runtime has taken
// over. Whatever it is, a turn is on disk whole or not at all.
import Database from 'better-sqlite3'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { classifyWrite } from '../../runtime/store/sqlite/classify.ts'
import {
  acks,
  claim,
  claimed,
  completed,
  ending,
  everything,
  NOW,
  type OpenOutbox,
  openOutbox,
  reply,
  runs,
  seqs,
  turn,
} from '../support/outbox.ts'

describe('a claim that the host took away', () => {
  const verdicts = [
    { type: 'completed', replies: [reply()] },
    { type: 'failed' },
    { type: 'retry', nextAtMs: NOW + 5 },
    { type: 'released', keep: true },
  ] as const

  test.each(verdicts)('is lost when its run ends as $type: no ack, no reply, no retry', (verdict) => {
    const open = claimed('a', 'b')
    open.db.exec("delete from processing_ack where message_id = 'a'")
    const { lost } = open.outbox.commit(turn({ results: [ending('a', verdict), completed('b', reply())] }))
    expect(lost).toEqual(new Set(['a']))
    expect(acks(open.db)).toEqual({ b: 'completed' })
    expect(open.db.prepare('select id from messages_out').pluck().all()).toEqual(['b:0'])
    expect(runs(open.db, 'a')).toEqual([
      expect.objectContaining({ outcome: 'cancelled', reason: 'claim_lost', next_at: null }),
    ])
    expect(open.outbox.commit(turn({ claims: [claim('a', { run: 2 })] })).refused.size).toBe(0)
  })

  test('and ended itself stays as the host ended it', () => {
    const open = claimed('a')
    open.db.exec(
      "update processing_ack set status = 'failed', status_changed = 'host' where message_id = 'a'",
    )
    expect(open.outbox.commit(turn({ results: [completed('a', reply())] })).lost).toEqual(new Set(['a']))
    expect([acks(open.db), seqs(open)]).toEqual([{ a: 'failed' }, []])
  })
})

describe('a turn that cannot be written', () => {
  /** The store's own handle, caught as it opens: a full disk is a property of a connection. */
  function onSmallDisk(): OpenOutbox & { readonly own: Database.Database } {
    const pragma = vi.spyOn(Database.prototype, 'pragma')
    onTestFinished(() => pragma.mockRestore())
    const open = openOutbox()
    return { ...open, own: pragma.mock.contexts[0] as Database.Database }
  }

  test('leaves nothing of itself: no ack, no reply, no claim, no mark; and goes through whole when there is room', () => {
    const { own, ...open } = onSmallDisk()
    open.outbox.commit(turn({ claims: [claim('a'), claim('b')] }))
    const before = everything(open.db)
    const big = Array.from({ length: 20 }, () => reply('x'.repeat(4_000)))
    const said = turn({
      results: [completed('a', reply('small')), completed('b', ...big)],
      claims: [claim('c')],
      rejections: [{ id: 'd', reason: 'bad_id', detail: '' }],
      checkpoint: { seq: 12, id: null, unfinished: ['e'] },
      inboundSeq: 100,
    })
    const pages = own.pragma('page_count', { simple: true }) as number
    own.pragma(`max_page_count = ${pages + 10}`)
    for (let n = 0; n < 3; n++) {
      let error: unknown
      try {
        open.outbox.commit(said)
      } catch (thrown) {
        error = thrown
      }
      expect(error).toMatchObject({ code: 'SQLITE_FULL' })
      expect(classifyWrite(error)).toBe('hold')
      expect(everything(open.db)).toEqual(before)
    }

    own.pragma(`max_page_count = ${pages + 1_000}`)
    expect(open.outbox.commit(said)).toMatchObject({ refused: new Set(), lost: new Set() })
    expect(acks(open.db)).toEqual({ a: 'completed', b: 'completed', c: 'processing', d: 'failed' })
    expect(seqs(open)).toEqual(Array.from({ length: 21 }, (_, n) => 101 + 2 * n))
  })

  test('because of one reply leaves nothing of the other messages either', () => {
    const open = claimed('a', 'b')
    open.db.exec(`create trigger stumble before insert on messages_out when new.content like '%stone%'
      begin select raise(abort, 'stumbled'); end`)
    const before = everything(open.db)
    expect(() =>
      open.outbox.commit(
        turn({ results: [completed('a', reply()), completed('b', reply(), reply('stone'))] }),
      ),
    ).toThrow('stumbled')
    expect(everything(open.db)).toEqual(before)
  })

  test('while a host’s lock is on the file fails within its patience and can be repeated', () => {
    const open = claimed('a')
    open.db.exec('begin immediate')
    const startMs = performance.now()
    expect(() => open.outbox.commit(turn({ results: [completed('a', reply())] }))).toThrow(
      expect.objectContaining({ code: 'SQLITE_BUSY' }),
    )
    expect(performance.now() - startMs).toBeLessThan(1_000)
    open.db.exec('commit')
    open.outbox.commit(turn({ results: [completed('a', reply())] }))
    expect(acks(open.db)).toEqual({ a: 'completed' })
  })
})

test('a runtime that was replaced writes nothing more, and says who it is', () => {
  const first = claimed('a')
  const second = openOutbox(first.path)
  expect(second.recovery).toMatchObject({ epoch: 2, interrupted: 1 })
  const before = everything(second.db)
  const attempts = [
    turn({ results: [completed('a', reply())] }),
    turn({ claims: [claim('b')] }),
    turn({ rejections: [{ id: 'c', reason: 'bad_id', detail: '' }] }),
    turn({ checkpoint: { seq: 4, id: null, unfinished: [] } }),
    turn({}),
  ]
  for (const each of attempts) {
    expect(() => first.outbox.commit(each)).toThrow(
      expect.objectContaining({ code: 'fenced', message: expect.stringContaining('(epoch 2, ours is 1)') }),
    )
  }
  expect(everything(second.db)).toEqual(before)
})
