import { expect, test } from 'vitest'
import { coarse } from '../../runtime/protocol/clock.ts'
import { FakeClock } from '../support/fake-clock.ts'

function late() {
  const real = new FakeClock()
  let wakes = 0
  const counting = {
    ...bound(real),
    after: (ms: number, fn: () => void) =>
      real.after(ms, () => {
        wakes++
        fn()
      }),
  }
  return { real, clock: coarse(counting, 250), wakes: () => wakes }
}

const bound = (clock: FakeClock) => ({
  now: () => clock.now(),
  monotonic: () => clock.monotonic(),
  soon: (fn: () => void) => clock.soon(fn),
})

test('calls that are due within one step come together, none early and none later than the step', () => {
  const { real, clock, wakes } = late()
  const called: (readonly [number, number])[] = []
  for (const ms of [900, 1, 1_010, 260, 240, 1_240])
    clock.after(ms, () => called.push([ms, real.monotonic()]))
  real.advance(2_000)
  expect(called).toEqual([
    [1, 250],
    [240, 250],
    [260, 500],
    [900, 1_000],
    [1_010, 1_250],
    [1_240, 1_250],
  ])
  expect(wakes()).toBe(4)
})

test('a call that was cancelled does not come, and where it was the only one the process does not wake for it', () => {
  const { real, clock, wakes } = late()
  const called: string[] = []
  const alone = clock.after(100, () => called.push('alone'))
  const first = clock.after(600, () => called.push('first'))
  clock.after(700, () => {
    called.push('second')
    first.cancel()
  })
  alone.cancel()
  alone.cancel()
  first.cancel()
  real.advance(2_000)
  expect(called).toEqual(['second'])
  expect(wakes()).toBe(1)
})

test('a call may ask for the next one, and may cancel another of the same step', () => {
  const { real, clock } = late()
  const called: number[] = []
  const again = () => {
    called.push(real.monotonic())
    victim.cancel()
    clock.after(1_000, again)
  }
  clock.after(1_000, again)
  const victim = clock.after(1_000, () => expect.fail('it was cancelled'))
  real.advance(3_500)
  expect(called).toEqual([1_000, 2_000, 3_000])
})
