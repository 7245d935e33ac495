// Cron expressions: occurrences, also across daylight saving, and rejections.
import { expect, test } from 'vitest'
import { lastOccurrence, nextOccurrence } from '../../runtime/protocol/cron.ts'

const iso = (atMs: number | undefined) => (atMs === undefined ? undefined : new Date(atMs).toISOString())

test.each([
  ['0 9 * * *', 'UTC', '2026-11-24T06:00:00Z', '2026-11-24T09:00:00.000Z'],
  ['0 9 * * *', 'UTC', '2026-11-24T08:59:59.999Z', '2026-11-24T09:00:00.000Z'],
  ['0 9 * * *', 'UTC', '2026-11-24T09:00:00Z', '2026-11-25T09:00:00.000Z'],
  ['0 9 * * *', 'America/New_York', '2026-11-24T06:00:00Z', '2026-11-24T14:00:00.000Z'],
  ['0 9 * * *', 'Asia/Kolkata', '2026-11-24T06:00:00Z', '2026-11-25T03:30:00.000Z'],
  ['*/15 * * * * *', 'UTC', '2026-11-24T06:00:00Z', '2026-11-24T06:00:15.000Z'],
  ['@daily', 'UTC', '2026-11-24T06:00:00Z', '2026-11-25T00:00:00.000Z'],
  ['0 0 29 2 *', 'UTC', '2026-11-24T06:00:00Z', '2028-02-29T00:00:00.000Z'],
  ['0 0 31 2 *', 'UTC', '2026-11-24T06:00:00Z', undefined],
  // 02:30 does not exist on the day on which clocks go forward: it runs when the gap is over.
  ['30 2 * * *', 'America/New_York', '2027-03-14T06:00:00Z', '2027-03-14T07:00:00.000Z'],
  // 01:30 exists twice on the day on which they go back: it runs the first time only.
  ['30 1 * * *', 'America/New_York', '2026-11-01T04:00:00Z', '2026-11-01T05:30:00.000Z'],
  ['30 1 * * *', 'America/New_York', '2026-11-01T05:30:00Z', '2026-11-02T06:30:00.000Z'],
])('%s in %s after %s is %s [88]', (expression, zone, after, next) => {
  expect(iso(nextOccurrence(expression, Date.parse(after), zone))).toBe(next)
})

test.each([
  ['0 9 * * *', '2026-11-24T08:59:59.999Z', '2026-11-23T09:00:00.000Z'],
  ['0 9 * * *', '2026-11-24T09:00:00.000Z', '2026-11-24T09:00:00.000Z'],
  ['0 9 * * *', '2026-11-24T23:00:00.000Z', '2026-11-24T09:00:00.000Z'],
  ['0 0 31 2 *', '2026-11-24T23:00:00.000Z', undefined],
])('the last %s up to %s was %s [88]', (expression, at, last) => {
  expect(iso(lastOccurrence(expression, Date.parse(at), 'UTC'))).toBe(last)
})

test.each([
  ['* * * *', 'UTC', /"\* \* \* \*" is not a cron expression/],
  ['61 * * * *', 'UTC', /not a cron expression: Invalid value for minute: 61/],
  ['0 0 0 1 1 * 2020', 'UTC', /not a cron expression/],
  ['', 'UTC', /"" is not a cron expression/],
  ['tomorrow', 'UTC', /"tomorrow" is not a cron expression/],
  ['2026-12-01T00:00:00', 'UTC', /is a date, not a cron expression/],
  [
    '0 9 * * *',
    'Mars/Olympus',
    /"Mars\/Olympus" is not a time zone; expected a name such as 'Europe\/Berlin'/,
  ],
])('%j in %s is rejected and named [88]', (expression, zone, text) => {
  expect(() => nextOccurrence(expression, 0, zone)).toThrow(text)
  expect(() => nextOccurrence(expression, 0, zone)).toThrow(RangeError)
})
