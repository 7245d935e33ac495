// The order in which dispatchers that share one pool get their turns.
import { expect, test } from 'vitest'
import { Turns } from '../runtime/turns.ts'
import { FakeClock } from './support/fake-clock.ts'

function dispatchers(...names: string[]) {
  const clock = new FakeClock()
  const turns = new Turns(clock)
  const order: string[] = []
  const all = names.map((name) => {
    const place = turns.join()
    return { ask: () => place.soon(() => order.push(name)), served: () => place.served() }
  })
  return { clock, all, order: () => order.splice(0).join('') }
}

test('the one that got a worker longest ago has its turn first, in whatever order they asked', () => {
  const { clock, all, order } = dispatchers('a', 'b', 'c')
  const [a, b, c] = all
  a!.served()
  c!.served()
  for (const each of [a, c, b]) each!.ask()
  clock.advance(0)
  expect(order()).toBe('bac')
  b!.served()
  for (const each of [a, c, b]) each!.ask()
  clock.advance(0)
  expect(order()).toBe('acb')
})

test('one that asks again in its own turn waits for all that had asked before', () => {
  const clock = new FakeClock()
  const turns = new Turns(clock)
  const order: string[] = []
  const [greedy, other] = [turns.join(), turns.join()]
  const again = () => {
    order.push('greedy')
    if (order.length < 4) greedy.soon(again)
  }
  greedy.soon(again)
  other.soon(() => order.push('other'))
  clock.advance(0)
  expect(order.slice(0, 3).sort()).toEqual(['greedy', 'greedy', 'other'])
})

test('a turn that is not wanted any more does not happen, and others go on', () => {
  const { clock, all, order } = dispatchers('a', 'b')
  all[0]!.ask().cancel()
  all[1]!.ask()
  clock.advance(0)
  expect(order()).toBe('b')
})
