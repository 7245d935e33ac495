// How long a pause lasts, as a table and as properties.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Backoff, backoffMs, jitterMs } from '../../runtime/protocol/backoff.ts'

test.each<[what: string, backoff: Backoff, pausesMs: readonly number[]]>([
  ['doubles up to the maximum', { minMs: 10, maxMs: 100 }, [10, 20, 40, 80, 100, 100]],
  ['grows by its factor', { minMs: 10, maxMs: 1_000, factor: 3 }, [10, 30, 90, 270, 810, 1_000]],
  ['stays as it is with a factor of 1', { minMs: 10, maxMs: 100, factor: 1 }, [10, 10, 10, 10]],
  ['is the maximum where that is less than the first', { minMs: 10, maxMs: 5 }, [5, 5, 5]],
])('a pause %s', (_what, backoff, pausesMs) => {
  expect(pausesMs.map((_, at) => backoffMs(backoff, at + 1))).toEqual(pausesMs)
})

const pauses = fc
  .record({
    minMs: fc.nat(60_000),
    moreMs: fc.nat(86_400_000),
    factor: fc.double({ min: 1, max: 100, noNaN: true }),
  })
  .map(({ minMs, moreMs, factor }): Backoff => ({ minMs, maxMs: minMs + moreMs, factor }))

test('a pause never shrinks and stays between the two ends, however many there were', () => {
  fc.assert(
    fc.property(pauses, fc.integer({ min: 1, max: 10_000 }), (backoff, nth) => {
      const [pauseMs, nextMs] = [backoffMs(backoff, nth), backoffMs(backoff, nth + 1)]
      expect(pauseMs).toBeGreaterThanOrEqual(backoff.minMs)
      expect(nextMs).toBeGreaterThanOrEqual(pauseMs)
      expect(nextMs).toBeLessThanOrEqual(backoff.maxMs)
    }),
  )
})

test('a first pause of nothing stays nothing, also where its factor has grown beyond all numbers', () => {
  expect(backoffMs({ minMs: 0, maxMs: 100, factor: 100 }, 10_000)).toBe(0)
})

test('before the first pause there is none', () => {
  expect([0, -1].map((nth) => backoffMs({ minMs: 10, maxMs: 100 }, nth))).toEqual([0, 0])
})

test('a spread pause lies in the upper half of the whole one', () => {
  expect([0, 0.25, 0.5, 1].map((random) => jitterMs(1_000, random))).toEqual([500, 625, 750, 1_000])
})
