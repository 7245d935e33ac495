// Order, case by case; test/queue/lanes-model.test.ts looks for further cases.
import { describe, expect, test } from 'vitest'
import type { FunctionSpec } from '../../runtime/protocol/function.ts'
import { Lanes } from '../../runtime/queue/lanes.ts'
import type { Entry } from '../../runtime/queue/message.ts'
import { entryOf, setWaits } from '../support/entries.ts'

const specs = ['f', 'g', 'h'].map(
  (name): FunctionSpec => ({
    name,
    file: `functions/${name}.ts`,
    rule: { content: [] },
    timeoutMs: 1_000,
    retry: { attempts: 3, minDelayMs: 0, maxDelayMs: 0, factor: 1 },
    concurrency: 1,
    key: 'address',
    version: 1,
    holdsWhileWaiting: false,
    rawContent: false,
    bundle: `/cache/${name}.mjs`,
  }),
)
const [F, G] = specs as [FunctionSpec, FunctionSpec, FunctionSpec]

function entry(
  order: number,
  key: string | null = 'k',
  more: Partial<Entry & { waits: boolean }> = {},
): Entry {
  const fresh = {
    spec: F,
    contentBytes: 10,
    runs: 0,
    attempts: 0,
    turnedAwaySinceMs: null,
    crashes: 0,
    isolated: false,
  }
  const { waits = false, ...facts } = more
  return entryOf(`m-${order}`, { order, key, ...fresh, ...facts, waits: false }, waits)
}

function lanesOf(...entries: readonly Entry[]): Lanes {
  const lanes = new Lanes()
  for (const each of entries) lanes.add(each)
  return lanes
}

const take = (lanes: Lanes, max = 100, spec = F, aloneToo = true, maxBytes = 1_000_000) =>
  lanes.take(spec.name, max, maxBytes, aloneToo)
const orders = (entries: readonly Entry[]) => entries.map(({ order }) => order)
const ready = (lanes: Lanes) => [...lanes.readyHeads()].map(({ spec }) => spec.name).sort()

function wake(lanes: Lanes, entry: Entry): void {
  setWaits(entry, false)
  lanes.wake(entry)
}

function retryLater(lanes: Lanes, failed: Entry): void {
  failed.runs++
  setWaits(failed, true)
  lanes.putBack(failed)
}

describe('one key', () => {
  test('comes in the order of numbers, in whatever order it was added, as many together as are asked for', () => {
    const lanes = lanesOf(entry(4), entry(2), entry(8), entry(6))
    expect(orders(take(lanes, 3))).toEqual([2, 4, 6])
    expect(take(lanes), 'nothing beside what is out').toEqual([])
  })

  test('goes on only when all that was taken together is back', () => {
    const [a, b, c] = [entry(2), entry(4), entry(6)]
    const lanes = lanesOf(a, b, c)
    take(lanes, 2)
    lanes.remove(b)
    expect([take(lanes), ready(lanes)]).toEqual([[], []])
    lanes.remove(a)
    expect(take(lanes)).toEqual([c])
  })

  test('waits as a whole while its first message waits for a retry', () => {
    const [a, b] = [entry(2), entry(4)]
    const lanes = lanesOf(a, b)
    take(lanes, 1)
    retryLater(lanes, a)
    expect([take(lanes), ready(lanes), lanes.waiting('f')]).toEqual([[], [], 2])
    wake(lanes, a)
    expect(take(lanes)).toEqual([a, b])
  })

  test('lets nothing pass a message that has begun: not what turns up late with a smaller number', () => {
    const [late, a, b] = [entry(1), entry(2), entry(4)]
    const lanes = lanesOf(a, b)
    take(lanes, 2)
    lanes.add(late)
    lanes.putBack(b)
    retryLater(lanes, a)
    expect(take(lanes)).toEqual([])
    wake(lanes, a)
    expect(take(lanes)).toEqual([a, late, b])
  })

  test('lets nothing pass a message that had begun before a restart', () => {
    const begun = entry(8, 'k', { runs: 1, waits: true })
    const lanes = lanesOf(entry(2), begun)
    expect(take(lanes)).toEqual([])
    wake(lanes, begun)
    expect(orders(take(lanes))).toEqual([8, 2])
  })

  test('never gives out a message whose retry is not due, even behind one that is', () => {
    const [a, b] = [entry(2, 'k', { runs: 1 }), entry(4, 'k', { runs: 1, waits: true })]
    const lanes = lanesOf(a, b)
    expect(take(lanes)).toEqual([a])
    lanes.remove(a)
    expect(take(lanes)).toEqual([])
    wake(lanes, b)
    expect(take(lanes)).toEqual([b])
  })

  test('is passed on between functions without changing its order', () => {
    const lanes = lanesOf(entry(2), entry(4, 'k', { spec: G }), entry(6))
    expect(take(lanes, 10, G)).toEqual([])
    const first = take(lanes)
    expect([orders(first), ready(lanes)]).toEqual([[2], []])
    lanes.remove(first[0]!)
    expect([ready(lanes), take(lanes)]).toEqual([['g'], []])
    expect(orders(take(lanes, 10, G))).toEqual([4])
  })

  test('ends a batch where the content is enough, but never before the first message', () => {
    const big = { contentBytes: 600 }
    const lanes = lanesOf(entry(2, 'k', big), entry(4, 'k', big), entry(6, 'k', big))
    expect(orders(take(lanes, 10, F, true, 1_000))).toEqual([2, 4])
    expect(orders(take(lanesOf(entry(2, 'k', big)), 10, F, true, 1))).toEqual([2])
  })
})

describe('several keys', () => {
  test('are free of each other, and no key at all means no order at all', () => {
    const [a, b] = [entry(2, 'a'), entry(4, 'b')]
    const lanes = lanesOf(a, b, entry(6, null), entry(8, null))
    take(lanes, 1)
    retryLater(lanes, a)
    expect(orders(take(lanes))).toEqual([4, 6, 8])
  })

  test('take turns, so that a busy one does not keep the others waiting', () => {
    const lanes = new Lanes()
    for (let n = 0; n < 300; n++) lanes.add(entry(n, n < 100 ? `quiet-${n % 3}` : 'busy'))
    const served = Array.from({ length: 12 }, () => {
      const [one] = take(lanes, 1)
      lanes.remove(one!)
      return one!.key
    })
    for (const key of ['quiet-0', 'quiet-1', 'quiet-2', 'busy'])
      expect(served.filter((each) => each === key)).toHaveLength(3)
  })

  test('a function that cannot run keeps no other from running', () => {
    // Both lanes wait for f; then g’s message comes to stand before f’s in the second one.
    const lanes = lanesOf(entry(2, 'a'), entry(6, 'b'), entry(4, 'b', { spec: G }))
    expect(ready(lanes)).toEqual(['f', 'g'])
    expect(orders(take(lanes, 10, G))).toEqual([4])
  })
})

describe('a message that may end its process', () => {
  test('comes alone, and only for a process that is idle', () => {
    const [a, b, c] = [entry(2, 'a', { isolated: true }), entry(4, 'a'), entry(6, 'b')]
    const lanes = lanesOf(a, b, c)
    expect(take(lanes, 10, F, false)).toEqual([])
    expect(take(lanes)).toEqual([a])
    expect(take(lanes)).toEqual([c])
    lanes.remove(a)
    expect(take(lanes)).toEqual([b])
  })

  test('ends the batch that it would have been the next of', () => {
    const lanes = lanesOf(entry(2), entry(4, 'k', { isolated: true }), entry(6, 'other'))
    expect(orders(take(lanes))).toEqual([2, 6])
  })
})

test('what is put in anew after a reload comes in the same order, and what is out stays out', () => {
  const lanes = lanesOf(entry(2), entry(4), entry(6), entry(8, 'b'), entry(1, null))
  const out = take(lanes, 1)
  const rest = lanes.empty()
  expect([orders(out), orders(rest)]).toEqual([[2], [1, 4, 6, 8]])
  expect([lanes.size, lanes.waiting('f'), ready(lanes)]).toEqual([1, 0, []])
  for (const each of rest) lanes.add({ ...each, spec: G })
  lanes.remove(out[0]!)
  expect(orders(take(lanes, 10, G)).sort()).toEqual([1, 4, 6, 8])
})

test('an entry that is not there any more can be put back, woken and removed without harm', () => {
  const [a, b] = [entry(2), entry(4)]
  const lanes = lanesOf(a, b)
  lanes.remove(a)
  lanes.remove(a)
  lanes.putBack(a)
  wake(lanes, a)
  expect([lanes.size, lanes.waiting('f')]).toEqual([1, 1])
  expect(take(lanes)).toEqual([b])
})

/** Takes half a second; with a line that is moved up for each message, more than half a minute. */
test('200,000 messages of one key go through one lane in batches, as the executor takes them', () => {
  const count = 200_000
  const lanes = lanesOf()
  for (let order = 0; order < count; order++) lanes.add(entry(order))
  let last = -1
  for (let batch = take(lanes, 64); batch.length > 0; batch = take(lanes, 64)) {
    for (const each of batch) {
      if (each.order !== last + 1) throw new Error(`${each.order} after ${last}`)
      last = each.order
      lanes.remove(each)
    }
  }
  expect([last, lanes.size]).toEqual([count - 1, 0])
}, 20_000)
