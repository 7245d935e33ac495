// Things that wait for their time, on a clock that the test moves: when they are given back, and what becomes
// of those that there is no room for.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TimeQueue, type TimeQueueOptions } from '../../runtime/queue/timers.ts'
import { FakeClock } from '../support/fake-clock.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

function queueOf(max: number, options: Partial<TimeQueueOptions<string>> = {}) {
  const clock = new FakeClock()
  const startMs = clock.now()
  const due: string[][] = []
  const queue = new TimeQueue<string>({ clock, max, onDue: (values) => due.push(values), ...options })
  /** `at`: milliseconds from the start. */
  const push = (value: string, at: number) => queue.push(startMs + at, value)
  return { clock, queue, push, due, startMs }
}

test('things come when they are due, not before, in the order of their times', () => {
  const { clock, push, due } = queueOf(10)
  for (const at of [300, 100, 200]) push(String(at), at)
  clock.advance(99)
  expect(due).toEqual([])
  clock.advance(1)
  expect(due).toEqual([['100']])
  clock.advance(1_000)
  expect(due).toEqual([['100'], ['200'], ['300']])
})

test('what is due at once, or was due before, comes with the next turn of the loop and not inside push', () => {
  const { clock, push, due } = queueOf(10)
  push('late', -HOUR)
  push('now', 0)
  expect(due).toEqual([])
  clock.advance(0)
  expect(due).toEqual([['late', 'now']])
})

test('what is due at the same time comes together', () => {
  const { clock, push, due } = queueOf(10)
  for (const value of ['a', 'b', 'c']) push(value, 50)
  clock.advance(50)
  expect(due.map((values) => values.sort())).toEqual([['a', 'b', 'c']])
})

test('however many wait, one timer is set; none when nothing waits', () => {
  const { clock, queue, push } = queueOf(10_000)
  expect(clock.timers).toBe(0)
  for (let n = 0; n < 1_000; n++) push(String(n), 10_000 - n)
  expect(clock.timers).toBe(1)
  clock.advance(9_500)
  expect(clock.timers).toBe(1)
  expect(queue.size).toBe(500)
  clock.advance(500)
  expect([clock.timers, queue.size, queue.nextAtMs]).toEqual([0, 0, Number.POSITIVE_INFINITY])
})

test('a time far beyond 2^31 ms neither fires early nor spins', () => {
  const { clock, push, due } = queueOf(10)
  push('in fifty days', 50 * DAY)
  clock.advance(50 * DAY - 1)
  expect(due).toEqual([])
  clock.advance(1)
  expect(due).toEqual([['in fifty days']])
})

test('a year that no timer can wait for is simply far away', () => {
  const { clock, queue, push, due } = queueOf(10)
  push('in the year 9999', Date.UTC(9999, 0, 1))
  queue.push(Number.MAX_SAFE_INTEGER, 'never')
  clock.advance(DAY)
  expect([due, queue.size, clock.timers]).toEqual([[], 2, 1])
})

test('the wall clock put forward by an hour: what is due by it comes within a minute [77]', () => {
  const { clock, push, due } = queueOf(10)
  push('a', HOUR)
  push('b', 2 * HOUR)
  clock.jump(HOUR)
  clock.advance(60_000)
  expect(due).toEqual([['a']])
  clock.advance(59 * 60_000 - 1)
  expect(due).toEqual([['a']])
  clock.advance(1)
  expect(due).toEqual([['a'], ['b']])
})

test('the wall clock put back by an hour: nothing comes before the wall clock says so [77]', () => {
  const { clock, push, due } = queueOf(10)
  push('a', 30_000)
  clock.jump(-HOUR)
  clock.advance(30_000)
  expect(due).toEqual([])
  clock.advance(HOUR - 1)
  expect(due).toEqual([])
  clock.advance(1)
  expect(due).toEqual([['a']])
})

test('a machine that sleeps through the time of many gives them all at once when it wakes [78]', () => {
  const { clock, push, due } = queueOf(1_000)
  for (let n = 0; n < 500; n++) push(String(n), n * 60_000)
  clock.jump(8 * HOUR)
  clock.advance(60_000)
  expect(due.flat()).toHaveLength(482)
})

test('more than the limit: the farther half is given up, and the horizon says when to look for it', () => {
  const forgotten: string[] = []
  const horizons: number[] = []
  const { clock, queue, push, startMs, due } = queueOf(4, {
    onForget: (values) => forgotten.push(...values),
    onHorizon: () => horizons.push(clock.now() - startMs),
  })
  for (const at of [500, 100, 400, 200]) expect(push(String(at), at)).toBe(true)
  expect(push('300', 300), 'itself among the farther half').toBe(false)
  expect(forgotten.sort()).toEqual(['300', '400', '500'])
  expect(push('350', 350), 'beyond the horizon').toBe(false)
  expect(push('300 again', 300), 'at the horizon').toBe(false)
  expect(push('250', 250)).toBe(true)
  expect(queue.size).toBe(3)
  clock.advance(299)
  expect([due.flat(), horizons]).toEqual([['100', '200', '250'], []])
  clock.advance(1)
  expect(horizons).toEqual([300])
  expect(push('600', 600), 'behind the horizon there is room again').toBe(true)
})

test('a crowd at one instant that has no room is given up as a whole, and so announced as a whole', () => {
  const horizons: number[] = []
  const { clock, queue, push, startMs } = queueOf(4, {
    onHorizon: () => horizons.push(clock.now() - startMs),
  })
  const kept = Array.from({ length: 20 }, (_, n) => push(String(n), 700))
  expect(kept.lastIndexOf(true)).toBe(3)
  expect(queue.size).toBe(0)
  clock.advance(1_000)
  expect(horizons).toEqual([700])
})

test('an emptied queue gives its things back, forgets its horizon and stops its timer', () => {
  const { clock, queue, push, due } = queueOf(4)
  for (let n = 0; n < 6; n++) push(String(n), 100 + n)
  expect(queue.clear().sort()).toEqual(['0', '1'])
  expect([queue.size, queue.nextAtMs, clock.timers]).toEqual([0, Number.POSITIVE_INFINITY, 0])
  clock.advance(HOUR)
  expect(due).toEqual([])
  expect(push('later', 2 * HOUR)).toBe(true)
  clock.advance(HOUR)
  expect(due).toEqual([['later']])
})

type Step = ['push', number] | ['advance', number] | ['jump', number]

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant('push' as const), fc.integer({ min: -50, max: 500 })) },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.constant('push' as const), fc.integer({ min: -HOUR, max: 9 * HOUR })),
    },
    { weight: 3, arbitrary: fc.tuple(fc.constant('advance' as const), fc.integer({ min: 0, max: 300 })) },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.constant('advance' as const), fc.integer({ min: 0, max: 2 * HOUR })),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.constant('jump' as const), fc.constantFrom(-HOUR, -1, 1, 400, HOUR)),
    },
  ),
  { maxLength: 80, size: 'max' },
)

test('whatever is pushed comes exactly once, when it is due: from the queue, or from an owner who looks at each horizon', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), steps, (max, drawn: readonly Step[]) => {
      const clock = new FakeClock()
      const startMs = clock.now()
      const dueAt = new Map<number, number>()
      /** What the owner believes to be in the queue; everything else it looks for when the horizon comes. */
      const known = new Set<number>()
      const come = new Set<number>()
      let jumpedAtMs = Number.NEGATIVE_INFINITY
      const own = (value: number) => {
        if (queue.push(dueAt.get(value)!, value)) known.add(value)
      }
      const queue = new TimeQueue<number>({
        clock,
        max,
        onDue: (values) => {
          for (const value of values) {
            expect(come.has(value), 'comes once').toBe(false)
            expect(dueAt.get(value), 'not before its time').toBeLessThanOrEqual(clock.now())
            known.delete(value)
            come.add(value)
          }
        },
        onForget: (values) => values.forEach((value) => known.delete(value)),
        onHorizon: () => {
          for (const [value, atMs] of dueAt) {
            if (known.has(value) || come.has(value)) continue
            if (atMs <= clock.now()) come.add(value)
            else own(value)
          }
        },
      })

      for (const [what, ms] of drawn) {
        if (what === 'push') {
          dueAt.set(dueAt.size, startMs + ms)
          own(dueAt.size - 1)
        } else if (what === 'advance') clock.advance(ms)
        else {
          clock.jump(ms)
          jumpedAtMs = clock.monotonic()
        }
        clock.advance(0)
        expect(queue.size).toBe(known.size)
        expect(queue.size).toBeLessThanOrEqual(max)
        expect(clock.timers).toBeLessThanOrEqual(1)
        // After a jump the truth is known when the longest wait is over.
        if (clock.monotonic() - jumpedAtMs < 60_000) continue
        for (const [value, atMs] of dueAt)
          if (atMs <= clock.now() && !come.has(value)) expect.fail(`${value} is due`)
      }
      clock.advance(Math.max(0, ...[...dueAt.values()].map((atMs) => atMs - clock.now())) + 60_000)
      expect(come.size, 'in the end all have come').toBe(dueAt.size)
      expect(clock.timers).toBe(0)
    }),
    { numRuns: 150 },
  )
})
