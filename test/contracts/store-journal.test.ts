// What every store must do with steps and waits: see store.test.ts.
import { describe, expect, test } from 'vitest'
import type { RunResult, StepResult } from '../../runtime/protocol/commit-batch.ts'
import type { Reply } from '../../runtime/protocol/outcome.ts'
import type { NewWait } from '../../runtime/protocol/waits.ts'
import { claim, completed, ending, NOW, reply, turn } from '../support/outbox.ts'
import { STORES, takenOver, unanswered } from '../support/stores.ts'

describe.each(STORES)('a store (%s)', (_, make) => {
  const started = (claims: readonly string[] = [], bench = make(), crashLimit = 3) =>
    takenOver(bench, claims, crashLimit)
  const retryAt = (nextAtMs: number) => ({ type: 'retry', nextAtMs }) as const

  const step = (id: string, name: string, parts: Partial<StepResult> = {}): StepResult => {
    return {
      id,
      run: 1,
      name,
      state: 'done',
      value: JSON.stringify(name),
      durationMs: 1,
      version: 1,
      ...parts,
    }
  }
  const kept = (name: string, value: string | null = JSON.stringify(name)) => ({ name, state: 'done', value })

  test('gives the steps of a message with its next claim, and none with its first', async () => {
    const { store } = await started(['a', 'b'])
    const steps = [step('a', 'first'), step('a', 'nothing', { value: null }), step('b', 'other')]
    const { journals } = await store.commit(turn({ steps, claims: [claim('c')] }))
    expect(journals).toEqual(new Map())
    await store.commit(turn({ steps: [step('a', 'last')], results: [ending('a', retryAt(NOW + 5))] }))
    const again = await store.commit(turn({ claims: [claim('a', { run: 2 })] }))
    const expected = [kept('first'), kept('nothing', null), kept('last')]
    expect([...again.journals.keys()]).toEqual(['a'])
    expect(again.journals.get('a')?.origin).toBe('a')
    expect(again.journals.get('a')?.steps).toHaveLength(3)
    expect(again.journals.get('a')?.steps).toEqual(expect.arrayContaining(expected))
  })

  test('keeps a step whose claim the host has taken away, and the first end of each name', async () => {
    const { bench, store } = await started(['a'])
    bench.setAck('a', null)
    await store.commit(turn({ steps: [step('a', 'x')] }))
    await store.commit(turn({ steps: [step('a', 'x', { value: '"later"' })], results: [completed('a')] }))
    expect((await store.commit(turn({ claims: [claim('a', { run: 2 })] }))).journals.get('a')?.steps).toEqual(
      [kept('x')],
    )
  })

  test('keeps no step of a run that it does not know', async () => {
    const { store } = await started(['a'])
    await store.commit(turn({ steps: [step('a', 'x', { run: 2 }), step('b', 'x')] }))
    await store.commit(turn({ results: [ending('a', retryAt(NOW + 5))] }))
    expect(
      (await store.commit(turn({ claims: [claim('a', { run: 2 }), claim('b', { run: 2 })] }))).journals,
    ).toEqual(new Map())
  })

  test('keeps the steps of a run that the runtime did not live to end', async () => {
    const { bench, store } = await started(['a'])
    await store.commit(turn({ steps: [step('a', 'x')] }))
    const { store: next } = await started([], bench)
    expect((await next.commit(turn({ claims: [claim('a', { run: 2 })] }))).journals.get('a')?.steps).toEqual([
      kept('x'),
    ])
  })

  test('goes on with the steps of a failed message in the one that is sent in its place, and with none of a completed one', async () => {
    const { store } = await started(['bad', 'good'])
    await store.commit(
      turn({
        steps: [
          step('bad', 'done'),
          step('bad', 'lost', { state: 'failed', value: '{}' }),
          step('good', 'done'),
        ],
        results: [ending('bad', { type: 'failed' }), completed('good')],
      }),
    )
    const [second, third] = ['bad.redrive-1', 'bad.redrive-1.redrive-2']
    const claims = [claim(second), claim('good.redrive-1')]
    const { journals } = await store.commit(turn({ claims }))
    expect(journals).toMatchObject(new Map([[second, { origin: 'bad', steps: [kept('done')] }]]))
    await store.commit(
      turn({
        steps: [step(second, 'more')],
        results: [ending(second, { type: 'failed' }), completed('good.redrive-1')],
      }),
    )
    const journal = (await store.commit(turn({ claims: [claim(third)] }))).journals.get(third)
    expect(journal?.origin).toBe('bad')
    expect(journal?.steps).toEqual(expect.arrayContaining([kept('done'), kept('more')]))
  })

  const sleep = (name: string, forMs: number, parts: Partial<NewWait> = {}): NewWait => {
    return { name, kind: 'sleep', until: { forMs }, question: null, said: [], isAlone: true, ...parts }
  }
  const ask = (name: string, id: string, forMs = 5_000): NewWait => {
    return {
      name,
      kind: 'ask',
      until: { forMs },
      question: { id, values: ['yes', 'no'], address: null },
      said: [],
      isAlone: true,
    }
  }
  const waits = (
    id: string,
    waits: readonly NewWait[],
    parts: Partial<RunResult> = {},
    replies: readonly Reply[] = [],
  ) =>
    ending(
      id,
      { type: 'waiting', waits, version: 1, holds: false, replies },
      { outcome: 'suspended', ...parts },
    )

  test('takes the claim of a message that waits away, writes what it has said, and says when it wakes', async () => {
    const { bench, store } = await started(['a', 'b'])
    const results = [
      waits('a', [sleep('nap', 700), ask('q', 'q-1')], {}, [reply(1)]),
      completed('b', reply(2)),
    ]
    const { waiting } = await store.commit(turn({ results }))
    expect(waiting).toEqual(new Map([['a', NOW + 700]]))
    expect(bench.acks()).toEqual({ b: 'completed' })
    expect(
      bench
        .replies()
        .map(({ inReplyTo, content }) => [inReplyTo, content])
        .sort(),
    ).toEqual([
      ['a', '1'],
      ['b', '2'],
    ])
    expect(store.history(['a']).get('a')).toMatchObject({
      runs: 1,
      attempts: 0,
      wakeAtMs: NOW + 700,
      woken: false,
    })
    expect(store.unfinished(['a', 'b', 'c'], 9, NOW)).toEqual(['c'])
    expect(store.waits.questions(['q-1', 'q-2'])).toEqual([
      { questionId: 'q-1', messageId: 'a', isOpen: true, values: ['yes', 'no'] },
    ])
  })

  test('gives what waits in the order of its time, and ends the waits that are over with the next claim', async () => {
    const { store } = await started(['a', 'b', 'c'])
    const results = [
      waits('a', [sleep('nap', 700), ask('q', 'q-1')]),
      waits('b', [sleep('nap', 100, { until: { atMs: NOW + 100 } })]),
      waits('c', [ask('q', 'q-2', 100), sleep('long', 900)]),
    ]
    await store.commit(turn({ results }))
    const before = { wakeAtMs: NOW, id: '' }
    expect(store.waits.due(before, NOW + 50, 9)).toEqual([])
    expect(store.waits.due(before, NOW + 700, 9).map(({ id }) => id)).toEqual(['b', 'c', 'a'])
    expect(store.waits.due(before, NOW + 700, 1)).toEqual([{ wakeAtMs: NOW + 100, id: 'b' }])
    expect(store.waits.due({ wakeAtMs: NOW + 100, id: 'b' }, NOW + 700, 1)).toEqual([
      { wakeAtMs: NOW + 100, id: 'c' },
    ])
    expect([
      store.waits.nextAtMs(NOW),
      store.waits.nextAtMs(NOW + 100),
      store.waits.nextAtMs(NOW + 700),
    ]).toEqual([NOW + 100, NOW + 700, undefined])
    const claims = [claim('b', { run: 2 }), claim('c', { run: 2 })]
    const { journals } = await store.commit(turn({ nowMs: NOW + 100, claims }))
    const states = (id: string) =>
      Object.fromEntries(journals.get(id)!.waits.map(({ name, state }) => [name, state]))
    expect([states('b'), states('c')]).toEqual([{ nap: 'done' }, { q: 'timeout', long: 'open' }])
    expect(store.waits.due(before, NOW + 900, 9).map(({ id }) => id)).toEqual(['a'])
  })

  const answerOf = (id: string, questionId: string, value = '"yes"') =>
    ({ id, questionId, value, otherwise: 'late' }) as const

  test('takes the first answer to a question, together with the ack of the message that gave it', async () => {
    const { bench, store } = await started(['a'])
    await store.commit(turn({ results: [waits('a', [ask('q', 'q-1')])] }))
    const { answered } = await store.commit(
      turn({ answers: [answerOf('x', 'q-1'), answerOf('y', 'q-1', '"no"')] }),
    )
    expect(answered).toEqual(['a'])
    expect(bench.acks()).toEqual({ x: 'completed', y: 'completed' })
    expect(store.waits.ready('', 9)).toEqual(['a'])
    expect(store.waits.questions(['q-1'])).toEqual([
      { questionId: 'q-1', messageId: 'a', isOpen: false, values: ['yes', 'no'] },
    ])
    expect((await store.commit(turn({ answers: [answerOf('z', 'q-9')] }))).answered).toEqual([])
    const { journals } = await store.commit(turn({ nowMs: NOW + 9_000, claims: [claim('a', { run: 2 })] }))
    expect(journals.get('a')?.waits).toMatchObject([{ name: 'q', state: 'done', value: '"yes"' }])
    expect(store.waits.ready('', 9)).toEqual([])
  })

  test('takes no answer of a message that has an ack', async () => {
    const { bench, store } = await started(['a', 'x'])
    await store.commit(turn({ results: [waits('a', [ask('q', 'q-1')])] }))
    expect((await store.commit(turn({ answers: [answerOf('x', 'q-1')] }))).answered).toEqual([])
    expect(bench.acks()).toEqual({ x: 'processing' })
  })

  test('wakes a message at once that was answered while it ran for another reason', async () => {
    const { store } = await started(['a'])
    await store.commit(turn({ results: [waits('a', [sleep('nap', 10), ask('q', 'q-1')])] }))
    await store.commit(turn({ nowMs: NOW + 10, claims: [claim('a', { run: 2 })] }))
    expect((await store.commit(turn({ nowMs: NOW + 20, answers: [answerOf('x', 'q-1')] }))).answered).toEqual(
      ['a'],
    )
    const again = turn({ nowMs: NOW + 30, results: [waits('a', [sleep('more', 500)], { run: 2 })] })
    expect((await store.commit(again)).waiting).toEqual(new Map([['a', NOW + 30]]))
    const { journals } = await store.commit(turn({ nowMs: NOW + 40, claims: [claim('a', { run: 3 })] }))
    expect(
      journals
        .get('a')
        ?.waits.map(({ state }) => state)
        .sort(),
    ).toEqual(['done', 'done', 'open'])
    const last = turn({ nowMs: NOW + 50, results: [waits('a', [], { run: 3 })] })
    expect((await store.commit(last)).waiting).toEqual(new Map([['a', NOW + 530]]))
  })

  test('closes what a message waits for when it ends: an answer comes too late', async () => {
    const { bench, store } = await started(['a'])
    await store.commit(turn({ results: [waits('a', [sleep('nap', 10), ask('q', 'q-1')])] }))
    await store.commit(turn({ nowMs: NOW + 10, claims: [claim('a', { run: 2 })] }))
    await store.commit(turn({ nowMs: NOW + 20, results: [{ ...completed('a', reply(1)), run: 2 }] }))
    expect((await store.commit(turn({ nowMs: NOW + 30, answers: [answerOf('x', 'q-1')] }))).answered).toEqual(
      [],
    )
    expect(bench.acks()).toEqual({ a: 'completed', x: 'completed' })
    expect(store.waits.nextAtMs(0)).toBeUndefined()
  })

  const text = (name: string, id: string, address: string): NewWait => {
    return { ...ask(name, id), question: { id, values: null, address } }
  }

  test('gives the open questions of a conversation in the order in which they were asked', async () => {
    const { store } = await started(['a', 'b'])
    expect(store.waits.asksText()).toBe(false)
    await store.commit(turn({ inboundSeq: 8, results: [waits('a', [text('q', 'q-1', 'here')])] }))
    const results = [waits('b', [text('q', 'q-2', 'here'), text('r', 'q-3', 'there'), ask('s', 'q-4')])]
    await store.commit(turn({ nowMs: NOW + 1, inboundSeq: 10, results }))
    expect([store.waits.asksText(), store.waits.openAt(['nowhere'])]).toEqual([true, []])
    expect(store.waits.openAt(['here', 'nowhere'])).toEqual([
      { questionId: 'q-1', address: 'here', afterSeq: 8 },
      { questionId: 'q-2', address: 'here', afterSeq: 10 },
    ])
    await store.commit(turn({ answers: [answerOf('x', 'q-1')] }))
    expect(store.waits.openAt(['here']).map(({ questionId }) => questionId)).toEqual(['q-2'])
  })

  test('writes nothing for a message that is no answer where its question is not open', async () => {
    const { bench, store } = await started(['a'])
    await store.commit(turn({ results: [waits('a', [text('q', 'q-1', 'here')])] }))
    const [first, second] = ['x', 'y'].map((id) => ({ ...answerOf(id, 'q-1'), otherwise: 'unused' }) as const)
    const done = await store.commit(turn({ answers: [first!, second!] }))
    expect([done.answered, done.unused]).toEqual([['a'], new Set(['y'])])
    expect(bench.acks()).toEqual({ x: 'completed' })
  })

  test('leaves a question open to which it is given a value that is not offered, and acks what gave it', async () => {
    const { bench, store } = await started(['a'])
    await store.commit(turn({ results: [waits('a', [ask('q', 'q-1')])] }))
    const done = await store.commit(turn({ answers: [{ ...answerOf('x', 'q-1'), value: null }] }))
    expect([done.answered, store.waits.questions(['q-1'])[0]?.isOpen]).toEqual([[], true])
    expect(bench.acks()).toEqual({ x: 'completed' })
  })

  test('closes the waits of messages that the host has ended, and of no others', async () => {
    const { bench, store } = await started(['a', 'b'])
    const results = [waits('a', [ask('q', 'q-1'), sleep('nap', 700)]), waits('b', [sleep('nap', 900)])]
    await store.commit(turn({ results }))
    await store.commit(turn({ withdrawn: ['a', 'unknown'] }))
    expect([store.waits.nextAtMs(0), store.waits.ready('', 9)]).toEqual([NOW + 900, []])
    expect((await store.commit(turn({ answers: [answerOf('x', 'q-1')] }))).answered).toEqual([])
    expect(bench.acks()).toEqual({ x: 'completed' })
    expect(store.history(['a', 'unknown']).get('a')).toMatchObject({ runs: 2, wakeAtMs: null, done: false })
    expect(store.history(['unknown']).size).toBe(0)
  })

  test('knows what keeps its lane waiting, and which function has begun a message', async () => {
    const { store } = await started(['a', 'b', 'c'])
    const holding = {
      type: 'waiting',
      waits: [sleep('nap', 700)],
      version: 1,
      holds: true,
      replies: [],
    } as const
    const results = [ending('b', holding), ending('c', holding), waits('a', [sleep('nap', 700)])]
    await store.commit(turn({ results }))
    expect([store.waits.holding('', 9), store.waits.holding('b', 9), store.waits.holding('', 1)]).toEqual([
      ['b', 'c'],
      ['c'],
      ['b'],
    ])
    expect(store.history(['a']).get('a')?.begunBy).toBe(claim('a').functionName)
    await store.commit(turn({ nowMs: NOW + 700, claims: [claim('b', { run: 2 })] }))
    expect(store.waits.holding('', 9)).toEqual(['c'])
  })

  test('counts a message whose wait is over as unfinished, and none whose wait is not', async () => {
    const { store } = await started(['a', 'b', 'c'])
    const results = [
      waits('a', [sleep('nap', 700)]),
      waits('b', [ask('q', 'q-1')]),
      waits('c', [sleep('nap', 900)]),
    ]
    await store.commit(turn({ results }))
    await store.commit(turn({ answers: [answerOf('x', 'q-1')] }))
    expect(store.unfinished(['a', 'b', 'c'], 9, NOW + 800)).toEqual(['a', 'b'])
  })

  test('finds a message again that was claimed after a wait, though the checkpoint has passed it', async () => {
    const { bench, store } = await started(['a'])
    const checkpoint = { seq: 8, id: null, unfinished: [] }
    await store.commit(turn({ results: [waits('a', [sleep('nap', 10)])], checkpoint }))
    await store.commit(turn({ nowMs: NOW + 10, claims: [claim('a', { run: 2 })] }))
    const { recovery, store: next } = await started([], bench)
    expect(recovery.checkpoint).toEqual({ ...checkpoint, unfinished: ['a'] })
    expect(next.history(['a']).get('a')).toMatchObject({ runs: 2, wakeAtMs: null, interrupted: true })
  })

  test('forgets the steps of a message together with it', async () => {
    const { bench, store } = await started(['a'])
    await store.commit(turn({ steps: [step('a', 'x')], results: [ending('a', { type: 'failed' })] }))
    store.retention.forget(['a'], [])
    expect(bench.acks()).toEqual({})
    await store.commit(turn({ claims: [claim('a')] }))
    await store.commit(turn({ results: [ending('a', retryAt(NOW + 5))] }))
    expect((await store.commit(turn({ claims: [claim('a', { run: 2 })] }))).journals).toEqual(new Map())
  })

  test('takes its waits and answers again: the same message is woken, and no answer counts as late', async () => {
    const { bench, store } = await started(['a', 'b', 'c'])
    const first = { results: [waits('a', [sleep('nap', 700), ask('q', 'q-1')], {}, [reply(1)])] }
    await unanswered(bench, store, first)
    expect((await store.commit(turn(first))).waiting).toEqual(new Map([['a', NOW + 700]]))
    const answers = [answerOf('x', 'q-1'), { ...answerOf('y', 'q-1'), otherwise: 'unused' } as const]
    await unanswered(bench, store, { answers })
    const again = await store.commit(turn({ answers: [...answers, answerOf('z', 'q-1')] }))
    expect([again.answered, again.unused]).toEqual([['a'], new Set(['y'])])
    expect(bench.acks()).toMatchObject({ x: 'completed', z: 'completed' })
    expect(bench.replies().map(({ content }) => content)).toEqual(['1'])
    const { journals } = await store.commit(turn({ claims: [claim('a', { run: 2 })] }))
    expect(journals.get('a')?.waits).toMatchObject([{ name: 'nap' }, { name: 'q', state: 'done' }])
  })
})
