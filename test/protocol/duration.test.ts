import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatDuration, parseDuration } from '../../runtime/protocol/duration.ts'

describe('a duration', () => {
  test.each<[unknown, number]>([
    [0, 0],
    [1500, 1500],
    [0.5, 0.5],
    ['200ms', 200],
    ['5s', 5_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['1.5s', 1_500],
    ['250', 250],
    ['5 s', 5_000],
    [' 5s ', 5_000],
    ['0s', 0],
  ])('%j is %d ms', (value, ms) => {
    expect(parseDuration(value)).toBe(ms)
  })
})

describe('not a duration', () => {
  test.each([
    ['less than nothing', -1],
    ['less than nothing, in words', '-5s'],
    ['endless', Number.POSITIVE_INFINITY],
    ['endless, in digits', '9'.repeat(400)],
    ['more than a number can say', `${'9'.repeat(305)}d`],
    ['not a number', Number.NaN],
    ['nothing', ''],
    ['a space', ' '],
    ['words', 'soon'],
    ['a unit alone', 's'],
    ['an unknown unit', '5w'],
    ['a unit in full', '5 seconds'],
    ['a capital unit', '5S'],
    ['a point without digits', '5.s'],
    ['a point without a whole', '.5s'],
    ['an exponent', '1e3'],
    ['hexadecimal', '0x10'],
    ['two spaces', '5  s'],
    ['two lengths', '1h30m'],
    ['two lines', '5s\n5s'],
    ['null', null],
    ['undefined', undefined],
    ['a big integer', 5n],
    ['a list', ['5s']],
    ['an object that says it is one', { valueOf: (): number => 5, toString: () => '5s' }],
  ])('%s', (_, value) => {
    expect(parseDuration(value)).toBeUndefined()
  })
})

test('any input gives a finite non-negative number, or undefined', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.anything(), fc.double(), fc.stringMatching(/^\d{1,400}(\.\d+)?(ms|s|m|h|d)?$/)),
      (value) => {
        const ms = parseDuration(value)
        expect(ms === undefined || (Number.isFinite(ms) && ms >= 0)).toBe(true)
      },
    ),
  )
})

describe('for people', () => {
  test.each<[number, string]>([
    [0, '0.00 ms'],
    [0.456, '0.46 ms'],
    [1, '1 ms'],
    [1.25, '1.3 ms'],
    [12, '12 ms'],
    [999, '999 ms'],
    [1_000, '1 s'],
    [1_500, '1.5 s'],
    [59_000, '59 s'],
    [60_000, '1 min'],
    [180_000, '3 min'],
    [7_200_000, '2 h'],
    [345_600_000, '4 d'],
  ])('%d ms reads %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  test('the text is never more than 5 % off', () => {
    const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1e3, min: 6e4, h: 3.6e6, d: 8.64e7 }
    fc.assert(
      fc.property(fc.double({ min: 1, max: 1e11, noNaN: true }), (ms) => {
        const [value, unit] = formatDuration(ms).split(' ') as [string, string]
        expect(Math.abs((Number(value) * unitMs[unit]!) / ms - 1)).toBeLessThan(0.05)
      }),
    )
  })
})
