// What a start finds after whatever ended the runtime before it, and what is remembered of a message across
// all that.
import { describe, expect, test } from 'vitest'
import { isoTime } from '../../runtime/protocol/time.ts'
import {
  acks,
  claim,
  claimed,
  completed,
  ending,
  NOW,
  type OpenOutbox,
  openOutbox,
  RAN_ONCE,
  reply,
  runs,
  seqs,
  turn,
} from '../support/outbox.ts'

/** The runtime dies, and the next one takes over. */
function restart(open: OpenOutbox, nowMs = NOW + 1_000, crashLimit = 3): OpenOutbox {
  open.outbox.close()
  return openOutbox(open.path, nowMs, crashLimit)
}

const died = (id: string, run: number, outcome = 'exited') =>
  turn({ results: [ending(id, { type: 'retry', nextAtMs: NOW + 1 }, { run, outcome })] })

describe('a run that the runtime did not live to end', () => {
  test('is on record as interrupted and charged to no handler, and its message may be claimed again', () => {
    const { outbox, db, recovery } = restart(claimed('a'))
    expect(recovery).toMatchObject({ epoch: 2, interrupted: 1, quarantined: [] })
    expect(acks(db)).toEqual({})
    expect(runs(db, 'a')).toEqual([
      expect.objectContaining({
        ended_at: NOW + 1_000,
        outcome: 'interrupted',
        reason: 'runtime_died',
        duration_ms: null,
      }),
    ])
    expect(outbox.history(['a']).get('a')).toEqual({
      done: false,
      runs: 1,
      attempts: 0,
      turnedAwaySinceMs: null,
      crashes: 0,
      interrupted: true,
      nextAtMs: NOW + 1_000,
      waitMs: 0,
      wakeAtMs: null,
      woken: false,
      begunBy: null,
    })
    expect(outbox.commit(turn({ claims: [claim('a', { run: 2 })] })).refused.size).toBe(0)
  })

  test('among others in one process is not counted against its message, however often it happens', () => {
    let open = claimed('a', 'b')
    for (let run = 2; run < 12; run++) {
      open = restart(open)
      expect(open.recovery).toMatchObject({ interrupted: 2, quarantined: [] })
      open.outbox.commit(turn({ claims: [claim('a', { run }), claim('b', { run })] }))
    }
    expect(open.outbox.history(['a']).get('a')).toMatchObject({ runs: 10, attempts: 0, crashes: 0 })
  })

  test('alone in its process is counted, and at the limit the message is given up, with the reason', () => {
    let open = openOutbox()
    const waits: (number | null)[] = []
    for (let run = 1; run <= 3; run++) {
      open.outbox.commit(
        turn({ claims: [claim('poison', { run, alone: true }), claim('b', { run, worker: 4712 })] }),
      )
      open = restart(open, NOW + run * 10_000)
      waits.push(open.outbox.history(['poison']).get('poison')!.nextAtMs)
    }
    expect(open.recovery).toMatchObject({ interrupted: 2, quarantined: ['poison'] })
    expect(waits, 'at once, then later each time').toEqual([NOW + 10_000, NOW + 21_000, null])
    expect(open.db.prepare('select * from processing_ack').all()).toEqual([
      { message_id: 'poison', status: 'failed', status_changed: isoTime(NOW + 30_000) },
    ])
    expect(runs(open.db, 'poison').map(({ reason }) => reason)).toEqual([
      'runtime_died',
      'runtime_died',
      'crash_limit',
    ])
    expect(open.outbox.history(['poison']).get('poison')).toMatchObject({ done: true, crashes: 3 })
    expect(open.outbox.commit(turn({ claims: [claim('poison', { run: 4 })] })).refused).toEqual(
      new Set(['poison']),
    )
  })

  test('at that limit ends with its waits: an answer comes too late, and no question is open', () => {
    const open = openOutbox()
    const question = { id: 'q-1', values: null, address: '["chat","p",null]' }
    const wait = {
      name: 'q',
      kind: 'ask',
      until: { forMs: 5_000 },
      question,
      said: [],
      isAlone: false,
    } as const
    const nap = { ...wait, name: 'nap', kind: 'sleep', until: { forMs: 10 }, question: null } as const
    const waits = { type: 'waiting', waits: [wait, nap], version: 1, holds: false, replies: [] } as const
    open.outbox.commit(turn({ claims: [claim('a', { alone: true })] }))
    open.outbox.commit(turn({ results: [ending('a', waits, { outcome: 'suspended' })] }))
    open.outbox.commit(turn({ nowMs: NOW + 10, claims: [claim('a', { run: 2, alone: true })] }))
    const { outbox, recovery } = restart(open, NOW + 20, 1)
    expect(recovery.quarantined).toEqual(['a'])
    expect(outbox.waits.openAt([question.address])).toEqual([])
    const answers = [{ id: 'x', questionId: 'q-1', value: '"yes"', otherwise: 'late' }] as const
    expect(outbox.commit(turn({ answers })).answered).toEqual([])
  })

  test('with another that came into its process behind it charges neither', () => {
    const open = openOutbox()
    open.outbox.commit(turn({ claims: [claim('a', { alone: true })] }))
    open.outbox.commit(turn({ claims: [claim('behind')] }))
    const after = restart(open, NOW, 1)
    expect(after.recovery).toMatchObject({ interrupted: 2, quarantined: [] })
    expect(after.outbox.history(['a']).get('a')).toMatchObject({ crashes: 0, interrupted: true })
  })

  test('counts together with deaths of its process that the runtime survived', () => {
    const open = openOutbox()
    open.outbox.commit(turn({ claims: [claim('a', { alone: true })] }))
    open.outbox.commit(died('a', 1))
    open.outbox.commit(turn({ claims: [claim('a', { run: 2, alone: true })] }))
    open.outbox.commit(died('a', 2, 'out-of-memory'))
    open.outbox.commit(turn({ claims: [claim('a', { run: 3, alone: true })] }))
    expect(restart(open).recovery.quarantined).toEqual(['a'])
  })

  test('after failures that were the handler’s own is not near any limit', () => {
    const open = openOutbox()
    for (let run = 1; run <= 4; run++) {
      open.outbox.commit(turn({ claims: [claim('a', { run, alone: true })] }))
      if (run < 4) open.outbox.commit(died('a', run, 'threw'))
    }
    const after = restart(open)
    expect(after.recovery).toMatchObject({ interrupted: 1, quarantined: [] })
    expect(after.outbox.history(['a']).get('a')).toMatchObject({ runs: 4, attempts: 3, crashes: 1 })
  })

  test('waits longer after each death, and never longer than a minute', () => {
    let open = openOutbox()
    const waits = Array.from({ length: 12 }, (_, n) => {
      open.outbox.commit(turn({ claims: [claim('a', { run: n + 1, alone: true })] }))
      open = restart(open, NOW, 100)
      return open.outbox.history(['a']).get('a')!.nextAtMs! - NOW
    })
    expect(waits).toEqual([
      0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000, 60_000,
    ])
  })

  test('whose claim the host has thrown away already is closed all the same, and given up at the limit', () => {
    const open = openOutbox()
    open.outbox.commit(turn({ claims: [claim('a', { worker: 4712 }), claim('b', { alone: true })] }))
    open.db.exec('delete from processing_ack')
    const after = restart(open, NOW, 1)
    expect(after.recovery).toMatchObject({ interrupted: 2, quarantined: ['b'] })
    expect(acks(after.db)).toEqual({ b: 'failed' })
  })
})

test('what had ended is left as it was, replies and all', () => {
  const open = claimed('done', 'failed', 'waiting')
  open.outbox.commit(
    turn({
      results: [
        completed('done', reply(), reply()),
        ending('failed', { type: 'failed' }, { reason: 'handler_error' }),
        ending('waiting', { type: 'retry', nextAtMs: NOW + 90_000 }),
      ],
    }),
  )
  const after = restart(open)
  expect(after.recovery).toMatchObject({ interrupted: 0, quarantined: [] })
  expect([acks(after.db), seqs(after)]).toEqual([{ done: 'completed', failed: 'failed' }, [1, 3]])
  expect(after.outbox.history(['done', 'failed', 'waiting', 'new'])).toEqual(
    new Map([
      ['done', { ...RAN_ONCE, done: true }],
      ['failed', { ...RAN_ONCE, done: true }],
      ['waiting', { ...RAN_ONCE, nextAtMs: NOW + 90_000, waitMs: 90_000 }],
    ]),
  )
  after.outbox.commit(turn({ claims: [claim('next')] }))
  after.outbox.commit(turn({ results: [completed('next', reply())] }))
  expect(seqs(after), 'numbers go on').toEqual([1, 3, 5])
})

test('recovery may be cut short and repeated any number of times: the epoch rises, nothing is counted twice', () => {
  const open = openOutbox()
  open.outbox.commit(turn({ claims: [claim('a', { alone: true }), claim('b')] }))
  const first = restart(open)
  const [runsOfA, history] = [runs(first.db, 'a'), first.outbox.history(['a', 'b'])]
  let last = first
  for (let n = 3; n < 8; n++) {
    last = restart(last, NOW + n * 60_000)
    expect(last.recovery).toMatchObject({ epoch: n, interrupted: 0, quarantined: [] })
  }
  expect([runs(last.db, 'a'), last.outbox.history(['a', 'b'])]).toEqual([runsOfA, history])
  expect(last.outbox.recover(NOW, 3)).toMatchObject({ epoch: 8, interrupted: 0 })
})

test('what a runtime left that has stopped in order is no death, of that epoch alone [163]', () => {
  const open = openOutbox()
  const left = (id: string) => open.outbox.commit(turn({ claims: [claim(id, { alone: true })] }))
  left('a')
  expect(open.outbox.recover(NOW, 1, 1)).toMatchObject({ epoch: 2, interrupted: 1, quarantined: [] })
  expect(open.outbox.history(['a']).get('a')).toMatchObject({ attempts: 0, crashes: 0, interrupted: false })
  left('b')
  expect(open.outbox.recover(NOW, 1, 1)).toMatchObject({ epoch: 3, quarantined: ['b'] })
})

describe('how far the file had been read', () => {
  test('comes back as it was last written, and before the first time means: nothing yet', () => {
    const open = openOutbox()
    expect(open.recovery.checkpoint).toEqual({ seq: Number.MIN_SAFE_INTEGER, id: null, unfinished: [] })
    open.outbox.commit(turn({ checkpoint: { seq: 40, id: 'm', unfinished: ['a', 'b'] } }))
    open.outbox.commit(turn({ claims: [claim('c')] }))
    const second = restart(open)
    expect(second.recovery.checkpoint).toEqual({ seq: 40, id: 'm', unfinished: ['a', 'b'] })
    second.outbox.commit(turn({ checkpoint: { seq: 52, id: null, unfinished: ['b', 'ü 😀'] } }))
    expect(restart(second).recovery.checkpoint).toEqual({ seq: 52, id: null, unfinished: ['b', 'ü 😀'] })
  })

  test('may go back, and may name many', () => {
    const open = openOutbox()
    const many = Array.from({ length: 1_000 }, (_, n) => `m-${String(n).padStart(4, '0')}`)
    open.outbox.commit(turn({ checkpoint: { seq: 4_000_000_000_000, id: null, unfinished: many } }))
    const second = restart(open)
    expect(second.recovery.checkpoint).toEqual({ seq: 4_000_000_000_000, id: null, unfinished: many })
    second.outbox.commit(turn({ checkpoint: { seq: -3, id: null, unfinished: [] } }))
    expect(restart(second).recovery.checkpoint).toEqual({ seq: -3, id: null, unfinished: [] })
  })
})
