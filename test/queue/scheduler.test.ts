// What may run now, as a table: from what the lanes want and what the pool has to batches and starts, in
// their order.
import { expect, test } from 'vitest'
import type { FunctionSpec } from '../../runtime/protocol/function.ts'
import { type Capacity, type Demand, plan, type WorkerCapacity } from '../../runtime/queue/scheduler.ts'

type Wants = Partial<Omit<Demand, 'spec'>> & { readonly concurrency?: number; readonly bundle?: string }

/** Ten messages in ten lanes, one at a time, unless it says otherwise. */
const wants = (name: string, { concurrency = 100, bundle = name, ...other }: Wants = {}): Demand => ({
  spec: { name, bundle, concurrency } as FunctionSpec,
  waiting: 10,
  lanes: 10,
  batchMax: 1,
  mayBeQuick: false,
  isolated: false,
  ...other,
})

/**
 * `idle echo`, `busy echo`, `busy echo +` where it takes a second batch, `busy echo of old.js`; numbered from
 * 1.
 */
const pool = (workers: readonly string[], limits: Partial<Capacity> = {}): Capacity => ({
  workers: workers.map((text, at) => {
    const [, state, functionName = '', more, bundle = functionName] =
      /^(\w+) (\w+)( \+)?(?: of (\S+))?$/.exec(text) ?? []
    const takesMore = more !== undefined
    return { pid: at + 1, state: state as WorkerCapacity['state'], functionName, bundle, takesMore }
  }),
  concurrency: 100,
  quickMax: 100,
  ...limits,
})

/** `echo×4 in 1`: at most four messages of echo to worker 1. `start echo×2`: two workers more. */
const planned = (demand: readonly Demand[], capacity: Capacity, servedLast = '') =>
  plan(demand, servedLast, capacity).map((step) =>
    step.type === 'start'
      ? `start ${step.spec.name}×${step.count}`
      : `${step.spec.name}×${step.messagesMax} in ${step.pid}`,
  )

test.each<
  [what: string, demand: readonly Demand[], capacity: Capacity, steps: readonly string[], servedLast?: string]
>([
  ['nothing for nothing', [], pool(['idle echo']), []],
  [
    'a message in an idle worker',
    [wants('echo', { waiting: 1, lanes: 1 })],
    pool(['idle echo']),
    ['echo×1 in 1'],
  ],
  ['a start where there is no worker', [wants('echo', { waiting: 1, lanes: 1 })], pool([]), ['start echo×1']],
  [
    'starts for what idle workers and those that load leave over',
    [wants('echo', { waiting: 5, lanes: 5 })],
    pool(['idle echo', 'loading echo']),
    ['echo×1 in 1', 'start echo×3'],
  ],
  [
    'no worker of another function, none of an earlier bundle, none that ends',
    [wants('echo', { waiting: 1, lanes: 1 })],
    pool(['idle other', 'idle echo of old.js', 'ending echo']),
    ['start echo×1'],
  ],
  [
    'no more workers than lanes',
    [wants('echo', { lanes: 2 })],
    pool(['idle echo', 'idle echo', 'idle echo']),
    ['echo×1 in 1', 'echo×1 in 2'],
  ],

  // Batches.
  [
    'a batch as large as it may be',
    [wants('echo', { waiting: 10, batchMax: 4 }), wants('other')],
    pool(['idle echo'], { concurrency: 1 }),
    ['echo×4 in 1'],
  ],
  [
    'an equal share for each worker',
    [wants('echo', { waiting: 9, batchMax: 4 }), wants('other', { waiting: 1 })],
    pool(['idle echo', 'idle echo', 'idle echo'], { concurrency: 3 }),
    ['echo×3 in 1', 'echo×3 in 2', 'echo×3 in 3'],
  ],
  [
    'no more workers than there are full batches',
    [wants('echo', { waiting: 4, batchMax: 4 })],
    pool(['idle echo', 'idle echo']),
    ['echo×4 in 1'],
  ],
  [
    'a second batch behind the first, after the idle ones',
    [wants('echo', { waiting: 8, batchMax: 4, concurrency: 2 })],
    pool(['busy echo +', 'idle echo']),
    ['echo×4 in 2', 'echo×4 in 1'],
  ],
  [
    'no second batch in a worker that takes none',
    [wants('echo', { waiting: 4, batchMax: 4, concurrency: 1 })],
    pool(['busy echo']),
    [],
  ],
  [
    'no second batch for a function that runs one message at a time',
    [wants('echo', { concurrency: 1 })],
    pool(['busy echo +']),
    [],
  ],
  [
    'no second batch while another function wants something',
    [wants('echo', { batchMax: 4, concurrency: 1 }), wants('other', { concurrency: 1 })],
    pool(['busy echo +', 'busy other +']),
    [],
  ],

  // What runs with nothing beside it.
  [
    'an isolated message in an idle worker',
    [wants('echo', { batchMax: 4, isolated: true, concurrency: 2 })],
    pool(['busy echo +', 'idle echo']),
    ['echo×4 in 2'],
  ],
  [
    'no isolated message behind another',
    [wants('echo', { batchMax: 4, isolated: true, concurrency: 1 })],
    pool(['busy echo +']),
    [],
  ],

  // Limits.
  [
    'no more busy workers than the concurrency of all',
    [wants('echo')],
    pool(['busy other', 'idle echo', 'idle echo', 'idle echo'], { concurrency: 3 }),
    ['echo×1 in 2', 'echo×1 in 3'],
  ],
  ['no start where all that may be busy is', [wants('echo')], pool(['busy other'], { concurrency: 1 }), []],
  [
    'no more busy workers than the concurrency of the function, those of an earlier bundle included',
    [wants('echo', { concurrency: 3 })],
    pool(['busy echo of old.js', 'busy echo', 'idle echo', 'idle echo']),
    ['echo×1 in 3'],
  ],
  [
    'starts up to the concurrency of the function',
    [wants('echo', { concurrency: 3 })],
    pool(['busy echo', 'loading echo']),
    ['start echo×1'],
  ],
  [
    'no more busy workers than cores for a function that waits for nothing',
    [wants('echo', { waiting: 640, batchMax: 16 }), wants('other', { waiting: 0 })],
    pool(['idle echo', 'idle echo', 'idle echo'], { quickMax: 2 }),
    ['echo×16 in 1', 'echo×16 in 2'],
  ],
  [
    'as many as it may have for one that is a little slower',
    [wants('echo', { waiting: 640, batchMax: 15 }), wants('other', { waiting: 0 })],
    pool(['idle echo', 'idle echo', 'idle echo'], { quickMax: 2, concurrency: 3 }),
    ['echo×15 in 1', 'echo×15 in 2', 'echo×15 in 3'],
  ],
  [
    'no more busy workers than cores for a function of which one short run is known',
    [wants('echo', { waiting: 640, batchMax: 2, mayBeQuick: true })],
    pool(['idle echo'], { quickMax: 2 }),
    ['echo×2 in 1', 'start echo×1'],
  ],

  // Turns.
  [
    'first the functions behind the one that was served last',
    ['a', 'b', 'c'].map((name) => wants(name, { waiting: 1 })),
    pool(['idle a', 'idle b', 'idle c']),
    ['c×1 in 3', 'a×1 in 1', 'b×1 in 2'],
    'b',
  ],
  [
    'nothing for the function that was served last while others take all there is',
    [wants('long', { waiting: 1_000 }), wants('other')],
    pool(['idle long', 'idle other'], { concurrency: 1 }),
    ['other×1 in 2'],
    'long',
  ],
  [
    'a start of one function after its own batches, and before those of the functions that come later',
    [wants('long', { waiting: 1_000 }), wants('other', { waiting: 2 })],
    pool(['idle long', 'idle long', 'idle other'], { concurrency: 3 }),
    ['other×1 in 3', 'start other×1', 'long×1 in 1', 'long×1 in 2'],
    'long',
  ],
])('there is %s', (_what, demand, capacity, steps, servedLast) => {
  expect(planned(demand, capacity, servedLast)).toEqual(steps)
})
