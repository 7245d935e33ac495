// How many processes a function is given, with processes that load at once and never answer.
import { expect, test } from 'vitest'
import { createEvents } from '../../runtime/protocol/events.ts'
import type { FunctionSpec } from '../../runtime/protocol/function.ts'
import type { Dispatch } from '../../runtime/protocol/ipc.ts'
import { plan } from '../../runtime/queue/scheduler.ts'
import { Pool } from '../../runtime/workers/pool.ts'
import { FakeClock } from '../support/fake-clock.ts'

const LIMITS = {
  concurrency: 8,
  warmMax: 8,
  startsMax: 3,
  quickMax: 2,
  loadTimeoutMs: 1_000,
  abortGraceMs: 100,
  killGraceMs: 100,
  maxMemoryMb: 100,
  maxReplyBytes: 1_000,
  maxLogBytes: 1_000,
  maxMessagesPerWorker: 100,
  env: {},
  nodeArgs: [],
  cwd: '',
}

/** Offers until no more come up, with one batch for each; says how many processes are at work. */
function busy(spec: Partial<FunctionSpec>, quick: boolean): number {
  const clock = new FakeClock()
  let pid = 0
  const nothing = () => undefined
  const pool = new Pool({
    clock,
    events: createEvents(),
    limits: LIMITS,
    onRoom: nothing,
    onStartFailed: nothing,
    spawner: {
      spawn: () => ({
        pid: ++pid,
        alive: true,
        send: nothing,
        become: nothing,
        onReport: (listener) => void clock.after(10, () => listener({ type: 'loaded', definition: {} })),
        onData: nothing,
        onEnd: nothing,
        onChannelLost: nothing,
        kill: nothing,
      }),
      stop: async () => undefined,
    },
  })
  const all = { name: 'it', bundle: 'it.cjs', concurrency: 8, ...spec } as FunctionSpec
  let at = 0
  for (let turn = 0; turn < 20; turn++) {
    const demand = { spec: all, waiting: 10_000, lanes: 100, batchMax: quick ? 16 : 1, isolated: false }
    for (const step of plan([demand], '', pool.capacity())) {
      if (step.type === 'start') pool.start(step.spec, step.count)
      else if (pool.slot(step.pid)?.idle)
        pool
          .slot(step.pid)
          ?.run([{ n: ++at, alone: false, lane: '', timeoutMs: 60_000, message: {} } as Dispatch], {
            workspace: 'w',
            ended: nothing,
          })
    }
    clock.advance(10)
  }
  return at
}

test.each([
  ['one that may wait: the concurrency of all', {}, false, 8],
  ['one that may wait, with a figure of its own', { concurrency: 5 }, false, 5],
  ['one that cannot be waiting: the cores', {}, true, 2],
  ['one that cannot be waiting, with a smaller figure of its own', { concurrency: 1 }, true, 1],
])('a function has at work: %s', (_what, spec, quick, count) => {
  expect(busy(spec, quick)).toBe(count)
})
