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

/** A pool whose processes load after 10 ms and never answer. */
function poolOf(change: Partial<typeof LIMITS> = {}) {
  const clock = new FakeClock()
  let pid = 0
  const rooms: number[] = []
  const killed: number[] = []
  const nothing = () => undefined
  const pool = new Pool({
    clock,
    events: createEvents(),
    limits: { ...LIMITS, ...change },
    onRoom: () => rooms.push(clock.monotonic()),
    onStartFailed: nothing,
    spawner: {
      spawn: () => {
        const own = ++pid
        return {
          pid: own,
          alive: true,
          send: nothing,
          become: nothing,
          onReport: (listener) => void clock.after(10, () => listener({ type: 'loaded', definition: {} })),
          onData: nothing,
          onEnd: nothing,
          onChannelLost: nothing,
          kill: () => void killed.push(own),
        }
      },
      stop: async () => undefined,
    },
  })
  /** As the dispatcher does: follows a plan of this one function; the slots that are free for it. */
  const offer = (name: string, lanes: number, spec: Partial<FunctionSpec> = {}, quick = false) => {
    const all = { name, bundle: `${name}.cjs`, concurrency: 8, ...spec } as FunctionSpec
    const demand = {
      spec: all,
      waiting: 10_000,
      lanes,
      batchMax: quick ? 16 : 1,
      mayBeQuick: false,
      isolated: false,
    }
    return plan([demand], '', pool.capacity()).flatMap((step) => {
      if (step.type === 'batch') return pool.slot(step.pid) ?? []
      pool.start(step.spec, step.count)
      return []
    })
  }
  return { clock, offer, rooms, killed }
}

const message = (n: number) =>
  ({ n, alone: false, lane: '', timeoutMs: 60_000, message: {} }) as unknown as Dispatch
const receiver = { workspace: 'w', ended: () => undefined, step: () => undefined }

/** Assigns one batch each until no more processes start; returns how many are busy. */
function busy(spec: Partial<FunctionSpec>, quick: boolean): number {
  const { clock, offer } = poolOf()
  let at = 0
  for (let turn = 0; turn < 20; turn++) {
    for (const slot of offer('it', 100, spec, quick)) if (slot.idle) slot.run([message(++at)], receiver)
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

test('a reserved worker counts as busy, and is not assigned again until it runs or is released', () => {
  const { clock, offer, rooms } = poolOf({ concurrency: 1 })
  offer('it', 1)
  clock.advance(10)
  const [slot] = offer('it', 1)
  expect(offer('it', 1), 'offered alone it is still free').toHaveLength(1)
  slot!.reserve()
  expect(offer('it', 1)).toEqual([])
  expect(offer('another', 1), 'nor does another function get its place').toEqual([])
  rooms.length = 0
  slot!.release()
  slot!.release()
  expect(rooms, 'others may want it').toHaveLength(1)
  const [again] = offer('it', 1)
  again!.reserve()
  again!.run([message(1)], receiver)
  expect(offer('it', 1)).toEqual([])
})

test('a worker that is reserved is not ended to make room for another function', () => {
  const { clock, offer, killed } = poolOf({ concurrency: 2, warmMax: 1 })
  offer('it', 2)
  clock.advance(10)
  const slots = offer('it', 2)
  slots[0]!.reserve()
  offer('another', 1)
  clock.advance(1)
  expect(killed).toEqual([slots[1]!.pid])
})

test('a second batch is reserved behind the first, and no third', () => {
  const { clock, offer } = poolOf({ concurrency: 1 })
  offer('it', 1)
  clock.advance(10)
  offer('it', 1)[0]!.run([message(1)], receiver)
  const [second] = offer('it', 1, {}, true)
  second!.reserve()
  expect(offer('it', 1, {}, true)).toEqual([])
  second!.release()
  expect(offer('it', 1, {}, true)).toHaveLength(1)
})
