// What every store must do, whatever it keeps its rows in: one suite for the SQLite store and for one in
// memory that answers late. Steps and waits: store-journal.test.ts.
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Store } from '../../runtime/store/store.ts'
import { claim, completed, ending, NOW, reply, turn } from '../support/outbox.ts'
import { STORES, takenOver, unanswered } from '../support/stores.ts'

describe.each(STORES)('a store (%s)', (_, make) => {
  const started = (claims: readonly string[] = [], bench = make(), crashLimit = 3) =>
    takenOver(bench, claims, crashLimit)
  const retryAt = (nextAtMs: number) => ({ type: 'retry', nextAtMs }) as const
  const released = (keep: boolean) => ({ type: 'released', keep }) as const

  test('writes an ack together with the replies of its run, in their order', async () => {
    const { bench, store } = await started(['a', 'b'])
    const { lost } = await store.commit(
      turn({ results: [completed('a', reply(1), reply(2)), ending('b', { type: 'failed' })] }),
    )
    expect(lost).toEqual(new Set())
    expect(bench.acks()).toEqual({ a: 'completed', b: 'failed' })
    expect(bench.replies().map(({ inReplyTo, content }) => [inReplyTo, content])).toEqual([
      ['a', '1'],
      ['a', '2'],
    ])
  })

  test.each(['processing', 'completed', 'failed', 'a word of another runner'])(
    'refuses the claim of a message whose ack is "%s", and makes the others of the batch',
    async (status) => {
      const { bench, store } = await started()
      bench.setAck('b', status)
      const { refused } = await store.commit(turn({ claims: [claim('a'), claim('b'), claim('c')] }))
      expect(refused).toEqual(new Set(['b']))
      expect(bench.acks()).toEqual({ a: 'processing', b: status, c: 'processing' })
    },
  )

  test('refuses a claim that does not know of the runs on record', async () => {
    const { bench, store } = await started(['a'])
    await store.commit(turn({ results: [ending('a', retryAt(NOW + 5))] }))
    const { refused } = await store.commit(turn({ claims: [claim('a'), claim('b')] }))
    expect(refused).toEqual(new Set(['a']))
    expect(bench.acks()).toEqual({ b: 'processing' })
    expect(store.history(['a']).get('a')).toMatchObject({ runs: 1, nextAtMs: NOW + 5 })
    expect((await store.commit(turn({ claims: [claim('a', { run: 2 })] }))).refused).toEqual(new Set())
  })

  test.each([
    { type: 'completed', replies: [reply()] },
    { type: 'failed' },
    { type: 'retry', nextAtMs: NOW + 5 },
    { type: 'released', keep: true },
    { type: 'released', keep: false },
  ] as const)(
    'loses a result of type $type whose claim is not there any more, and keeps the others',
    async (next) => {
      const { bench, store } = await started(['a', 'b'])
      bench.setAck('a', null)
      const { lost } = await store.commit(turn({ results: [ending('a', next), completed('b', reply())] }))
      expect(lost).toEqual(new Set(['a']))
      expect(bench.acks()).toEqual({ b: 'completed' })
      expect(bench.replies().map(({ inReplyTo }) => inReplyTo)).toEqual(['b'])
      const { runs = 0, nextAtMs = null } = store.history(['a']).get('a') ?? {}
      expect(nextAtMs).toBeNull()
      const leavesNoTrace = next.type === 'released' && !next.keep
      expect(runs, 'what has not begun must not stand before its lane').toBe(leavesNoTrace ? 0 : 1)
    },
  )

  test('leaves an end of another program as it is', async () => {
    const { bench, store } = await started(['a'])
    bench.setAck('a', 'failed')
    expect((await store.commit(turn({ results: [completed('a', reply())] }))).lost).toEqual(new Set(['a']))
    expect([bench.acks(), bench.replies()]).toEqual([{ a: 'failed' }, []])
  })

  test('loses the result of a run that it has on record, and stores its replies once', async () => {
    const { bench, store } = await started(['a'])
    const said = turn({ results: [completed('a', reply(1), reply(2))] })
    await store.commit(said)
    const before = [bench.acks(), bench.replies()]
    expect((await store.commit(said)).lost).toEqual(new Set(['a']))
    expect([bench.acks(), bench.replies()]).toEqual(before)
  })

  test('stores a reply once for an id that is answered again', async () => {
    const { bench, store } = await started(['a'])
    await store.commit(turn({ results: [completed('a', reply('first'))] }))
    bench.setAck('a', null)
    await store.commit(turn({ claims: [claim('a', { run: 2 })] }))
    await store.commit(turn({ results: [{ ...completed('a', reply('second')), run: 2 }] }))
    expect(bench.replies().map(({ content }) => content)).toEqual(['"first"'])
  })

  test('fails a rejected message without a run, and leaves an ack that is there', async () => {
    const { bench, store } = await started(['b'])
    const why = { reason: 'bad_process_after', detail: 'process_after is "soon"' }
    await store.commit(
      turn({
        rejections: [
          { id: 'a', ...why },
          { id: 'b', ...why },
          { id: 'context', reason: 'context', detail: '', ack: 'completed' },
        ],
      }),
    )
    expect(bench.acks()).toEqual({ a: 'failed', b: 'processing', context: 'completed' })
    expect(store.history(['a']).get('a')).toMatchObject({ done: true })
  })

  test('keeps when a retry is due, until the message is claimed again', async () => {
    const { bench, store } = await started(['a'])
    await store.commit(turn({ results: [ending('a', retryAt(NOW + 500))] }))
    expect(bench.acks()).toEqual({})
    const waiting = { runs: 1, attempts: 1, nextAtMs: NOW + 500, waitMs: 500, done: false }
    expect(store.history(['a']).get('a')).toMatchObject(waiting)
    await store.commit(turn({ claims: [claim('a', { run: 2 })] }))
    expect(store.history(['a']).get('a')).toMatchObject({ runs: 1, nextAtMs: null, waitMs: null })
  })

  test('charges nothing for a released run, and keeps it on record only where that is asked for', async () => {
    const { bench, store } = await started(['a', 'b'])
    await store.commit(turn({ results: [ending('a', released(false)), ending('b', released(true))] }))
    expect(bench.acks()).toEqual({})
    const history = store.history(['a', 'b'])
    expect([...history.keys()]).toEqual(['b'])
    expect(history.get('b')).toMatchObject({ runs: 1, attempts: 0, crashes: 0 })
  })

  test('charges nothing for a retry_after, and keeps since when the message is turned away', async () => {
    const { store } = await started(['a'])
    const away = { ...ending('a', retryAt(NOW + 500)), reason: 'retry_after' }
    await store.commit(turn({ results: [away] }))
    await store.commit(turn({ nowMs: NOW + 500, claims: [claim('a', { run: 2 })] }))
    await store.commit(turn({ nowMs: NOW + 600, results: [{ ...away, run: 2 }] }))
    expect(store.history(['a']).get('a')).toMatchObject({ runs: 2, attempts: 0, turnedAwaySinceMs: NOW })
  })

  test('has a scope of its own, which stays the same', async () => {
    const { bench, recovery } = await started()
    const other = await started()
    const again = await started([], bench)
    expect(recovery.scope).toMatch(/./)
    expect(again.recovery.scope).toBe(recovery.scope)
    expect(other.recovery.scope).not.toBe(recovery.scope)
  })

  test('leaves out of its history what it has no record of', async () => {
    const { store } = await started(['claimed'])
    expect([...store.history(['new', 'claimed']).keys()]).toEqual(['claimed'])
    expect(store.history(['claimed']).get('claimed')).toMatchObject({ done: false, runs: 0 })
  })

  test('tells which messages have no end, in the order in which it was asked, up to a limit', async () => {
    const { bench, store } = await started(['running', 'done', 'failed', 'waiting'])
    const ends = [
      completed('done'),
      ending('failed', { type: 'failed' }),
      ending('waiting', retryAt(NOW + 5)),
    ]
    await store.commit(turn({ results: ends }))
    bench.setAck('foreign', 'script-skip:error')
    const asked = ['new', 'done', 'waiting', 'failed', 'foreign', 'running']
    expect(store.unfinished(asked, 10, NOW)).toEqual(['new', 'waiting', 'running'])
    expect(store.unfinished(asked, 2, NOW)).toEqual(['new', 'waiting'])
  })

  test('tells what waits for its next attempt, by time and in pages, until it is claimed again', async () => {
    const { bench, store } = await started(['late', 'b', 'a', 'done', 'released'])
    const ends = [
      ending('late', retryAt(NOW + 9)),
      ending('b', retryAt(NOW + 5)),
      ending('a', retryAt(NOW + 5)),
      completed('done'),
      ending('released', { type: 'released', keep: true }),
    ]
    const checkpoint = { seq: 40, id: 'm', unfinished: ['x'] }
    await store.commit(turn({ results: ends, checkpoint }))
    const waiting = ['a', 'b', 'late'].map((id) => ({ id, nextAtMs: NOW + (id === 'late' ? 9 : 5) }))
    expect(store.waiting(undefined, 10)).toEqual(waiting)
    expect(store.waiting(undefined, 1)).toEqual(waiting.slice(0, 1))
    expect(store.waiting(waiting[0], 1)).toEqual(waiting.slice(1, 2))
    expect(store.waiting(waiting[2], 1)).toEqual([])

    await store.commit(turn({ claims: [{ ...claim('b'), run: 2, attempt: 2 }] }))
    expect(store.waiting(undefined, 10).map(({ id }) => id)).toEqual(['a', 'late'])
    const { unfinished } = (await started([], bench)).recovery.checkpoint
    expect(new Set(unfinished), 'from its claim on it is one of the unfinished').toEqual(new Set(['x', 'b']))
  })

  test('numbers replies oddly, above its own and above those of inbound.db', async () => {
    const { bench, store } = await started(['a', 'b', 'c'])
    await store.commit(turn({ results: [completed('a', reply(), reply())], inboundSeq: 0 }))
    await store.commit(turn({ results: [completed('b', reply())], inboundSeq: 8 }))
    await store.commit(turn({ results: [completed('c', reply())], inboundSeq: 4.5 }))
    expect(bench.replies().map(({ seq }) => seq)).toEqual([1, 3, 9, 11])
  })

  test('gives a checkpoint back to the next start', async () => {
    const { bench, store, recovery } = await started()
    expect(recovery.checkpoint).toEqual({ seq: Number.MIN_SAFE_INTEGER, id: null, unfinished: [] })
    const checkpoint = { seq: 40, id: 'm', unfinished: ['a', 'ü 😀'] }
    await store.commit(turn({ checkpoint }))
    await store.commit(turn({ claims: [claim('b')] }))
    expect((await started([], bench)).recovery.checkpoint).toEqual(checkpoint)
  })

  test('is fenced for a runtime that was replaced: it writes and forgets nothing', async () => {
    const { bench, store } = await started(['a'])
    const { recovery } = await started([], bench)
    expect(recovery).toMatchObject({ epoch: 2, interrupted: 1 })
    const commit = async () =>
      store.commit(turn({ results: [completed('a', reply())], claims: [claim('b')] }))
    await expect(commit()).rejects.toMatchObject({ code: 'fenced' })
    expect(() => store.retention.forget(['a'], [])).toThrow(expect.objectContaining({ code: 'fenced' }))
    expect([bench.acks(), bench.replies()]).toEqual([{}, []])
  })

  test('writes nothing for a runtime that has not taken it over', async () => {
    const { bench } = await started()
    const stranger = bench.open()
    onTestFinished(() => stranger.close())
    const commit = async () => stranger.commit(turn({ claims: [claim('a')] }))
    await expect(commit()).rejects.toMatchObject({ code: 'fenced' })
    expect(bench.acks()).toEqual({})
  })

  test('ends the runs that a runtime left, charged with nothing, and their messages may be claimed again', async () => {
    const { bench, store } = await started(['a', 'b'])
    store.close()
    const next = await started([], bench)
    expect(next.recovery).toMatchObject({ epoch: 2, interrupted: 2, quarantined: [] })
    expect(bench.acks()).toEqual({})
    const history = { runs: 1, attempts: 0, crashes: 0, interrupted: true, done: false }
    expect(next.store.history(['a']).get('a')).toMatchObject(history)
    const again = turn({ claims: [claim('a', { run: 2 }), claim('b', { run: 2 })] })
    expect((await next.store.commit(again)).refused).toEqual(new Set())
  })

  test('fails a message that ran alone each time when as many runtimes as crashLimit have died with it', async () => {
    const bench = make()
    for (const run of [1, 2]) {
      const { store, recovery } = await started([], bench, 2)
      expect(recovery.quarantined).toEqual([])
      const beside = claim('beside', { run, worker: 4712 })
      await store.commit(turn({ claims: [claim('poison', { run, alone: true }), beside] }))
    }
    const { store, recovery } = await started([], bench, 2)
    expect(recovery).toMatchObject({ interrupted: 2, quarantined: ['poison'] })
    expect(bench.acks()).toEqual({ poison: 'failed' })
    expect(store.history(['poison']).get('poison')).toMatchObject({ done: true, crashes: 2 })
  })

  test('counts no death for a runtime that stopped in order and could not write', async () => {
    const { bench, store } = await started([])
    await store.commit(turn({ claims: [claim('a', { alone: true })] }))
    expect(bench.open().recover(NOW, 1, 1)).toMatchObject({ interrupted: 1, quarantined: [] })
    expect(store.history(['a']).get('a')).toMatchObject({ attempts: 0, crashes: 0, interrupted: false })
  })

  test('changes nothing with a batch that cannot be written whole, and takes it when it can', async () => {
    const { bench, store } = await started(['a', 'b'])
    bench.breakOn('stone')
    const checkpoint = { seq: 8, id: 'x', unfinished: [] }
    const batch = (last: string) =>
      turn({
        results: [completed('a', reply('fine')), completed('b', reply(last))],
        rejections: [{ id: 'c', reason: 'bad_id', detail: '' }],
        claims: [claim('d')],
        checkpoint,
      })
    await expect((async () => store.commit(batch('stone')))()).rejects.toThrow('cannot be stored')
    expect([bench.acks(), bench.replies()]).toEqual([{ a: 'processing', b: 'processing' }, []])
    expect([...store.history(['a', 'c', 'd']).keys()]).toEqual(['a'])
    expect(await store.commit(batch('water'))).toMatchObject({ lost: new Set(), refused: new Set() })
    expect(bench.acks()).toEqual({ a: 'completed', b: 'completed', c: 'failed', d: 'processing' })
  })

  test('forgets what it is asked to forget, but neither the last reply nor what has not ended', async () => {
    const { bench, store } = await started(['a', 'b', 'running'])
    await store.commit(turn({ results: [completed('a', reply(1)), completed('b', reply(2))] }))
    const [first, second] = store.retention.endedAfter(0, 10)
    expect([first?.id, second?.id]).toEqual(['a', 'b'])
    expect(store.retention.endedAfter(first!.place, 10).map(({ id }) => id)).toEqual(['b'])
    const replies = store.retention.repliesTo(['a', 'b'])
    expect(replies.map(([, message]) => message)).toEqual(['a', 'b'])
    store.retention.forget(
      ['a', 'b', 'running'],
      replies.map(([id]) => id),
    )
    expect(bench.acks()).toEqual({ running: 'processing' })
    expect(bench.replies().map(({ content }) => content)).toEqual(['2'])
    expect(store.history(['a', 'b'])).toEqual(new Map())
  })

  test('stores the new replies to an id that comes again, also beside the reply that was kept of the old ones [184]', async () => {
    const { bench, store } = await started(['a'])
    await store.commit(turn({ results: [completed('a', reply('old 0'), reply('old 1'))] }))
    const replies = store.retention.repliesTo(['a'])
    store.retention.forget(
      ['a'],
      replies.map(([id]) => id),
    )
    expect(bench.replies().map(({ content }) => content)).toEqual(['"old 1"'])
    await store.commit(turn({ claims: [claim('a')] }))
    await store.commit(turn({ results: [completed('a', reply('new 0'), reply('new 1'))] }))
    expect(bench.replies().map(({ content }) => content)).toEqual(['"old 1"', '"new 0"', '"new 1"'])
    expect(new Set(bench.replies().map(({ id }) => id)).size).toBe(3)
  })

  describe('when a commit has taken effect and reported an error', () => {
    const nothing = {
      lost: new Set<string>(),
      refused: new Set(),
      journals: new Map(),
      waiting: new Map(),
      answered: [],
      unused: new Set(),
    }
    const charged = (store: Store, id: string) => store.history([id]).get(id)

    test('takes the same batch again: one ack, each reply once, no claim refused, nothing charged twice [183]', async () => {
      const { bench, store } = await started(['a', 'b', 'c', 'd', 'e', 'f', 'gone'])
      await store.commit(turn({ results: [ending('f', retryAt(NOW + 5))] }))
      bench.setAck('gone', null)
      const batch = {
        results: [
          completed('a', reply(1), reply(2)),
          ending('b', { type: 'failed' }),
          ending('c', retryAt(NOW + 5)),
          ending('d', released(true)),
          ending('e', released(false)),
          completed('gone', reply()),
        ],
        rejections: [{ id: 'bad', reason: 'bad_json', detail: '' }],
        claims: [claim('new'), claim('f', { run: 2, attempt: 2 }), claim('e')],
        checkpoint: { seq: 40, id: 'm', unfinished: ['c'] },
      }
      await unanswered(bench, store, batch)
      const before = [bench.acks(), bench.replies()]
      expect(await store.commit(turn(batch))).toMatchObject({ lost: new Set(['gone']), refused: new Set() })
      expect([bench.acks(), bench.replies()]).toEqual(before)
      expect(bench.acks()).toEqual({
        a: 'completed',
        b: 'failed',
        bad: 'failed',
        new: 'processing',
        f: 'processing',
        e: 'processing',
      })
      expect(bench.replies().map(({ content }) => content)).toEqual(['1', '2'])
      expect(charged(store, 'c')).toMatchObject({ runs: 1, attempts: 1, nextAtMs: NOW + 5 })
      expect(charged(store, 'd')).toMatchObject({ runs: 1, attempts: 0 })
      expect(charged(store, 'f')).toMatchObject({ runs: 1, attempts: 1, nextAtMs: null })
      expect(charged(store, 'bad')).toMatchObject({ runs: 1 })
      const ends = [completed('new', reply(3)), { ...completed('f', reply(4)), run: 2 }, completed('e')]
      expect(await store.commit(turn({ results: ends }))).toEqual(nothing)
      expect(bench.acks()).toMatchObject({ new: 'completed', f: 'completed', e: 'completed' })
      expect((await started([], bench)).recovery).toMatchObject({ interrupted: 0, quarantined: [] })
    })

    test('takes back a claim that does not come again, and leaves no trace of it', async () => {
      const { bench, store } = await started()
      await unanswered(bench, store, { claims: [claim('a'), claim('b', { alone: true, worker: 1 })] })
      expect(bench.acks()).toEqual({ a: 'processing', b: 'processing' })
      expect(await store.commit(turn({ claims: [claim('a', { worker: 99 })] }))).toEqual(nothing)
      expect(bench.acks()).toEqual({ a: 'processing' })
      expect([...store.history(['a', 'b']).keys()]).toEqual(['a'])
      const next = await started([], bench, 1)
      expect(next.recovery).toMatchObject({ interrupted: 1, quarantined: [] })
      expect(next.store.history(['b'])).toEqual(new Map())
    })

    test('takes its claims back with a batch that is empty', async () => {
      const { bench, store } = await started(['running'])
      await unanswered(bench, store, { claims: [claim('a')] })
      expect(await store.commit(turn({}))).toEqual(nothing)
      expect(bench.acks()).toEqual({ running: 'processing' })
      expect(await store.commit(turn({ claims: [claim('a')] }))).toEqual(nothing)
    })

    test('takes with the batch what has ended since, and what is claimed in place of it', async () => {
      const { bench, store } = await started(['a', 'b', 'c'])
      await unanswered(bench, store, { results: [completed('a', reply(1))], claims: [claim('d')] })
      const batch = {
        results: [completed('a', reply(1)), completed('b', reply(2))],
        claims: [claim('e'), claim('d', { worker: 99 })],
      }
      expect(await store.commit(turn(batch))).toEqual(nothing)
      expect(bench.acks()).toEqual({
        a: 'completed',
        b: 'completed',
        c: 'processing',
        d: 'processing',
        e: 'processing',
      })
      expect(bench.replies().map(({ content }) => content)).toEqual(['1', '2'])
      expect((await started([], bench)).recovery.interrupted).toBe(3)
    })

    test.each(['the same error', 'an error before it is written'])(
      'holds when the next commit ends with %s',
      async (how) => {
        const { bench, store } = await started(['a', 'b'])
        const first = { results: [completed('a', reply(1))], claims: [claim('c'), claim('d')] }
        await unanswered(bench, store, first)
        const second = {
          ...first,
          results: [...first.results, completed('b', reply(2))],
          claims: [claim('c')],
        }
        if (how === 'the same error') await unanswered(bench, store, second)
        else {
          bench.breakOn(2)
          await expect((async () => store.commit(turn(second)))()).rejects.toThrow('cannot be stored')
          second.results[1] = completed('b', reply(3))
        }
        expect(await store.commit(turn(second))).toEqual(nothing)
        expect(bench.acks()).toEqual({ a: 'completed', b: 'completed', c: 'processing' })
        expect(bench.replies()).toHaveLength(2)
        expect(await store.commit(turn({ results: [completed('c')], claims: [claim('d')] }))).toEqual(nothing)
        expect((await started([], bench)).recovery.interrupted).toBe(1)
      },
    )

    test('does so for that batch alone: a run that has ended once is lost the next time', async () => {
      const { bench, store } = await started(['a'])
      const batch = { results: [completed('a', reply(1))] }
      await unanswered(bench, store, batch)
      await store.commit(turn(batch))
      expect((await store.commit(turn(batch))).lost).toEqual(new Set(['a']))
      expect(bench.replies()).toHaveLength(1)
    })

    test('leaves to other programs what they have done to its claims since', async () => {
      const { bench, store } = await started()
      await unanswered(bench, store, { claims: [claim('ended'), claim('freed'), claim('left')] })
      bench.setAck('ended', 'failed')
      bench.setAck('freed', null)
      const { refused } = await store.commit(turn({ claims: [claim('ended'), claim('freed')] }))
      expect(refused).toEqual(new Set(['ended']))
      expect(bench.acks()).toEqual({ ended: 'failed', freed: 'processing' })
    })

    test('forgets what that batch has ended, and takes it again all the same', async () => {
      const { bench, store } = await started(['a', 'b'])
      const batch = { results: [completed('a', reply(1)), completed('b', reply(2))] }
      await unanswered(bench, store, batch)
      const replies = store.retention.repliesTo(['a'])
      store.retention.forget(
        ['a'],
        replies.map(([id]) => id),
      )
      expect(await store.commit(turn(batch))).toEqual(nothing)
      expect(bench.acks()).toEqual({ b: 'completed' })
      expect(bench.replies().map(({ content }) => content)).toEqual(['2'])
    })

    test('is fenced like any other when the store was taken over since', async () => {
      const { bench, store } = await started(['a'])
      const batch = { results: [completed('a', reply(1))], claims: [claim('b')] }
      await unanswered(bench, store, batch)
      const { recovery } = await started([], bench)
      expect(recovery.interrupted).toBe(1)
      await expect((async () => store.commit(turn(batch)))()).rejects.toMatchObject({ code: 'fenced' })
      expect(bench.acks()).toEqual({ a: 'completed' })
    })
  })
})
