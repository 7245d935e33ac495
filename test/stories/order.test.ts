// Order and concurrency of messages.
import { describe, expect, it } from 'vitest'
import { sharedBench, type Workbench, workbench } from '../support/runtime.ts'

const shared = sharedBench(['slow', 'throw', 'echo'], { concurrency: 2 })

describe('messages with the same reply address', () => {
  it('run one after the other, in the order of the file', async () => {
    const bench = shared()
    const ids = [30, 1, 20, 1].map((ms) => bench.send('slow', { ms }, { thread_id: 'a' }))
    await bench.ended(...ids)
    expectInOrder(bench, ids)
  })

  it('wait while one of them is retrying', async () => {
    const bench = shared()
    const first = bench.send('throw', { succeedAt: 3 }, { thread_id: 'b' })
    const rest = [1, 2, 3].map(() => bench.send('echo', {}, { thread_id: 'b' }))
    await bench.ended(first, ...rest)
    expect(bench.runs(first)).toHaveLength(3)
    expectInOrder(bench, [first, ...rest])
  })

  it('continue when one of them has failed [W30]', async () => {
    const bench = shared()
    const first = bench.send('throw', {}, { channel_type: 'c' })
    const next = bench.send('echo', {}, { channel_type: 'c' })
    await bench.ended(first, next)
    expect([bench.ack(first), bench.ack(next)]).toEqual(['failed', 'completed'])
    expectInOrder(bench, [first, next])
  })
})

describe('messages of different conversations', () => {
  it('run at the same time, as far as concurrency allows [W40]', async () => {
    const bench = shared()
    const ids = ['x', 'y', 'z'].map((thread) => bench.send('slow', { ms: 300 }, { thread_id: thread }))
    await bench.ended(...ids)
    expect(mostAtOnce(bench, ids)).toBe(2)
  })

  it('without an address have no order', async () => {
    const bench = shared()
    const ids = [1, 2].map(() => bench.send('slow', { ms: 300 }))
    await bench.ended(...ids)
    expect(mostAtOnce(bench, ids)).toBe(2)
  })

  it('do not wait for a conversation whose head is retrying', async () => {
    const source = `export default { retry: { attempts: 2, minDelay: '6s' }, handler() { throw new Error('no') } }`
    const bench = await workbench(['echo'], {}, { 'never.js': source })
    const stuck = bench.send('never', {}, { thread_id: 'stuck' })
    const behind = bench.send('echo', {}, { thread_id: 'stuck' })
    const free = bench.send('echo', {}, { thread_id: 'free' })
    await bench.ended(free)
    expect([bench.ack(stuck), bench.ack(behind)]).not.toContain('failed')
    expect(bench.ack(behind)).toBeUndefined()
    await bench.ended(stuck, behind)
    expectInOrder(bench, [stuck, behind])
  })
})

describe('a function', () => {
  it('may set its own limit, and its own key or none', async () => {
    const slow =
      'async handler() { const from = Date.now(); await new Promise((r) => setTimeout(r, 800)); return { from, to: Date.now() } }'
    const bench = await workbench(
      [],
      { concurrency: 3 },
      {
        'single.js': `export default { concurrency: 1, ${slow} }`,
        'keyed.js': `export default { key: 'content.user', ${slow} }`,
        'free.js': `export default { key: null, ${slow} }`,
      },
    )
    const single = [1, 2].map(() => bench.send('single'))
    await bench.ended(...single)
    expect(mostAtOnce(bench, single)).toBe(1)
    await twoWarm(bench, 'keyed')
    const keyed = ['ann', 'bob', 'ann'].map((user) => bench.send('keyed', { user }, { thread_id: 'same' }))
    await bench.ended(...keyed)
    expect(mostAtOnce(bench, [keyed[0]!, keyed[1]!])).toBe(2)
    expectInOrder(bench, [keyed[0]!, keyed[2]!])
    await twoWarm(bench, 'free')
    const free = [1, 2].map(() => bench.send('free', {}, { thread_id: 'same' }))
    await bench.ended(...free)
    expect(mostAtOnce(bench, free)).toBe(2)
  })

  it('that is fast gets batches, and one slow message among them does not delay the others', async () => {
    const bench = shared()
    const quick = Array.from({ length: 400 }, () => bench.send('echo'))
    await bench.ended(...quick)
    const mixed = Array.from({ length: 60 }, (_, n) => bench.send('slow', { ms: n === 5 ? 3_000 : 0 }))
    await bench.ended(...mixed)
    const endOf = (id: string) => times(bench, id).to
    const slowest = mixed.splice(5, 1)[0]!
    expect(Math.max(...mixed.map(endOf))).toBeLessThan(endOf(slowest))
  })
})

/** Two processes of a function are up: how many run at once is then no matter of how fast they start. */
async function twoWarm(bench: Workbench, functionName: string): Promise<void> {
  const second = new Promise<void>((resolve) =>
    bench.events.on('worker-started', (started) => started.functionName === functionName && resolve()),
  )
  const ids = [1, 2].map((n) => bench.send(functionName, { user: `warm-${n}` }))
  await second
  await bench.ended(...ids)
}

interface Times {
  readonly from: number
  readonly to: number
}

/** When a handler began and ended, by its own clock; of a failed message, as the record has it. */
function times(bench: Workbench, id: string): Times {
  const told = bench.replies(id)[0]?.content
  if (told?.from) return told
  const text =
    'select min(started_at) as "from", max(ended_at) as "to" from nanoclaw_run where message_id = ?'
  return bench.outbound.prepare(text).get(id) as Times
}

function expectInOrder(bench: Workbench, ids: readonly string[]): void {
  for (const [at, id] of ids.slice(1).entries())
    expect(times(bench, ids[at]!).to).toBeLessThanOrEqual(times(bench, id).from)
}

function mostAtOnce(bench: Workbench, ids: readonly string[]): number {
  const all = ids.map((id) => times(bench, id))
  return Math.max(
    ...all.map(({ from }) => all.filter((other) => other.from <= from && from < other.to).length),
  )
}
