import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BatchSize } from '../../runtime/queue/batch-size.ts'

function after(...durationsMs: number[]): number {
  const size = new BatchSize()
  for (const ms of durationsMs) size.learn('f', ms)
  return size.max('f')
}

test('a function that has not run yet gets one message at a time', () => {
  expect(new BatchSize().max('f')).toBe(1)
})

describe('after one run of', () => {
  test.each([
    [0, 256],
    [0.001, 256],
    [0.02, 250],
    [0.1, 50],
    [1, 5],
    [2.6, 1],
    [5, 1],
    [30_000, 1],
  ])('%d ms it gets %d', (ms, expected) => {
    expect(after(ms)).toBe(expected)
  })
})

test('the first run, which compiles the function, counts only until there is a second one', () => {
  const size = new BatchSize()
  expect(size.mayBeQuick('f')).toBe(false)
  size.learn('f', 4)
  expect([size.max('f'), size.mayBeQuick('f')]).toEqual([1, true])
  size.learn('f', 0.05)
  expect([size.max('f'), size.mayBeQuick('f')]).toEqual([100, false])
  size.learn('slow', 10)
  expect(size.mayBeQuick('slow')).toBe(false)
})

test('a quick function that becomes slow is down to one at a time after a few runs, before a batch can pile up', () => {
  const size = new BatchSize()
  for (let n = 0; n < 1_000; n++) size.learn('f', 0.005)
  expect(size.max('f')).toBe(256)
  size.learn('f', 100)
  expect(size.max('f')).toBe(1)
})

test('one slow run among quick ones is forgotten again', () => {
  const quick = Array.from({ length: 100 }, () => 0.05)
  expect(after(...quick, 1_000)).toBe(1)
  expect(after(...quick, 1_000, ...quick)).toBeGreaterThan(90)
})

test('functions learn nothing from each other', () => {
  const size = new BatchSize()
  size.learn('quick', 0.1)
  size.learn('slow', 1_000)
  size.learn('__proto__', 1)
  expect([size.max('quick'), size.max('slow'), size.max('__proto__'), size.max('constructor')]).toEqual([
    50, 1, 5, 1,
  ])
})

test('whatever durations come, the size is a whole number from 1 to 256', () => {
  fc.assert(
    fc.property(fc.array(fc.double(), { maxLength: 20 }), (durationsMs) => {
      const size = after(...durationsMs)
      expect(Number.isInteger(size) && size >= 1 && size <= 256, String(size)).toBe(true)
    }),
    { examples: [[[Number.NaN]], [[1, Number.NaN, 1]], [[Number.POSITIVE_INFINITY]], [[-5]]] },
  )
})

test('a duration that is none teaches nothing', () => {
  expect(after(1, Number.NaN, -3, Number.POSITIVE_INFINITY)).toBe(after(1))
})
