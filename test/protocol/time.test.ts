// Instants as text: accepted and rejected forms, and that SQLite reads the same instant from the same text.
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { isoTime, parseTime, sqliteTime } from '../../runtime/protocol/time.ts'

const NOON = Date.UTC(2026, 10, 24, 12, 0, 0)

describe('reads', () => {
  test.each<[string, number]>([
    ['2026-11-24 06:02:20', Date.UTC(2026, 10, 24, 6, 2, 20)],
    ['2026-11-24T06:02:20Z', Date.UTC(2026, 10, 24, 6, 2, 20)],
    ['2026-11-24T06:02:20', Date.UTC(2026, 10, 24, 6, 2, 20)],
    ['2026-11-24 06:02:20Z', Date.UTC(2026, 10, 24, 6, 2, 20)],
    ['2026-11-24T06:02:20z', Date.UTC(2026, 10, 24, 6, 2, 20)],
    ['2026-11-24 06:02', Date.UTC(2026, 10, 24, 6, 2)],
    ['2026-11-24T06:02Z', Date.UTC(2026, 10, 24, 6, 2)],
    ['2026-11-24', Date.UTC(2026, 10, 24)],
    ['2026-11-24 06:02:20.1', Date.UTC(2026, 10, 24, 6, 2, 20, 100)],
    ['2026-11-24 06:02:20.12', Date.UTC(2026, 10, 24, 6, 2, 20, 120)],
    ['2026-11-24 06:02:20.123', Date.UTC(2026, 10, 24, 6, 2, 20, 123)],
    ['2026-11-24T06:02:20.123456789Z', Date.UTC(2026, 10, 24, 6, 2, 20, 123)],
    ['2026-11-24T06:02:20,5Z', Date.UTC(2026, 10, 24, 6, 2, 20, 500)],
    ['+012026-11-24T06:02:20.000Z', Date.UTC(12026, 10, 24, 6, 2, 20)],
    ['-000001-11-24 06:02:20', Date.UTC(-1, 10, 24, 6, 2, 20)],
    ['2026-11-24T14:00:00+02:00', NOON],
    ['2026-11-24T14:00:00+0200', NOON],
    ['2026-11-24T14:00:00+02', NOON],
    ['2026-11-24 14:00:00 +02:00', NOON],
    ['2026-11-24T06:15:00-05:45', NOON],
    ['2026-11-25T02:00+14:00', NOON],
    ['2026-11-24T12:00:00-00:00', NOON],
    ['2026-11-24 12:00:00 ', NOON],
    ['2028-02-29', Date.UTC(2028, 1, 29)],
    ['2000-02-29', Date.UTC(2000, 1, 29)],
    ['0000-02-29 00:00:00', -62_162_121_600_000],
    ['0099-01-01 00:00:00', -59_042_995_200_000],
    ['1969-12-31 23:59:59.999', -1],
    ['9999-12-31 23:59:59.999', 253_402_300_799_999],
  ])('%s', (text, atMs) => {
    expect(parseTime(text)).toBe(atMs)
  })
})

describe('refuses', () => {
  test.each([
    ['nothing', ''],
    ['words', 'not-a-date'],
    ['SQLite’s word for now', 'now'],
    ['seconds since 1970', '1795442399'],
    ['a day number', '2461368.5'],
    ['a space in front', ' 2026-11-24 06:02:20'],
    ['a time without a date', '06:02:20'],
    ['a date with a zone and no time', '2026-11-24Z'],
    ['a short year', '26-11-24'],
    ['a long year', '12026-11-24'],
    ['a year of four digits with a sign', '+2026-11-24T06:02:20Z'],
    ['a day of one digit', '2026-11-4'],
    ['digits of another script', '２０２６-11-24'],
    ['February 30', '2026-02-30'],
    ['February 29 in a common year', '2026-02-29'],
    ['February 29 in a century year without one', '1900-02-29'],
    ['April 31', '2026-04-31 06:00:00'],
    ['day 0', '2026-11-00'],
    ['month 0', '2026-00-24'],
    ['month 13', '2026-13-24'],
    ['24 o’clock', '2026-11-24T24:00:00Z'],
    ['minute 60', '2026-11-24 06:60:00'],
    ['second 60', '2026-12-31T23:59:60Z'],
    ['an hour without a minute', '2026-11-24 06'],
    ['a fraction without digits', '2026-11-24 06:02:20.'],
    ['a fraction of ten digits', '2026-11-24 06:02:20.1234567890'],
    ['an offset of 24 hours', '2026-11-24T06:02:20+24:00'],
    ['an offset of 60 minutes', '2026-11-24T06:02:20+01:60'],
    ['an offset of one digit', '2026-11-24T06:02:20+2'],
    ['a zone by name', '2026-11-24T06:02:20 UTC'],
    ['a zone in brackets', '2026-11-24T06:02:20+01:00[Europe/Madrid]'],
    ['two zones', '2026-11-24T06:02:20ZZ'],
    ['a 100 kB text', '2026-11-24'.repeat(10_000)],
  ])('%s', (_, text) => {
    expect(parseTime(text)).toBeUndefined()
  })
})

test.each(['America/New_York', 'Asia/Kolkata', 'Pacific/Auckland'])(
  'a time without a zone means UTC on a machine in %s, in both forms and in summer too',
  (zone) => {
    const before = process.env.TZ
    onTestFinished(() => {
      if (before === undefined) delete process.env.TZ
      else process.env.TZ = before
    })
    process.env.TZ = zone
    expect(new Date(NOON).getHours(), 'the machine is in that zone').not.toBe(12)
    expect(parseTime('2026-11-24 12:00:00')).toBe(NOON)
    expect(parseTime('2026-11-24T12:00:00')).toBe(NOON)
    expect(parseTime('2026-07-24 12:00:00')).toBe(Date.UTC(2026, 6, 24, 12))
    // An hour that clocks in New York skip.
    expect(parseTime('2026-03-08 02:30:00')).toBe(Date.UTC(2026, 2, 8, 2, 30))
    expect(sqliteTime(NOON)).toBe('2026-11-24 12:00:00.000')
    expect(isoTime(NOON)).toBe('2026-11-24T12:00:00.000Z')
  },
)

const FIRST_MS = -62_167_219_200_000
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)
const instants = fc.integer({ min: FIRST_MS, max: LAST_MS })

test('any instant of the years 0000 to 9999 comes back from both forms, to the millisecond', () => {
  fc.assert(
    fc.property(instants, (atMs) => {
      expect(parseTime(isoTime(atMs))).toBe(atMs)
      expect(parseTime(sqliteTime(atMs))).toBe(atMs)
    }),
    { examples: [[FIRST_MS], [LAST_MS], [0], [-1]] },
  )
})

test('an instant later than text can sort becomes the last one that can [107]', () => {
  for (const atMs of [LAST_MS + 1, Date.UTC(12026, 0), 8.64e15])
    expect(sqliteTime(atMs)).toBe('9999-12-31 23:59:59.999')
})

test('either form sorts as text as the instants sort', () => {
  fc.assert(
    fc.property(instants, instants, (a, b) => {
      expect(isoTime(a) < isoTime(b)).toBe(a < b)
      expect(sqliteTime(a) < sqliteTime(b)).toBe(a < b)
    }),
  )
})

describe('beside SQLite', () => {
  const db = new Database(':memory:')
  const read = db.prepare("select cast(round(unixepoch(?, 'subsec') * 1000) as integer)").pluck()
  const sqlite = (text: string): number | null => read.get(text) as number | null

  const two = (from: number, to: number) =>
    fc.integer({ min: from, max: to }).map((n) => String(n).padStart(2, '0'))
  const dates = fc
    .tuple(fc.integer({ min: 1, max: 9998 }), two(1, 12), two(1, 28))
    .map(([year, month, day]) => `${String(year).padStart(4, '0')}-${month}-${day}`)
  const fractions = fc.integer({ min: 0, max: 999 }).map((n) => `.${String(n).padStart(3, '0')}`)
  const seconds = fc.tuple(two(0, 59), fc.oneof(fc.constant(''), fractions)).map(([s, f]) => `:${s}${f}`)
  const zones = fc.oneof(
    fc.constantFrom('', 'Z', 'z', ' Z'),
    fc
      .tuple(fc.constantFrom('+', '-', ' +', ' -'), two(0, 14), two(0, 59))
      .map(([s, h, m]) => `${s}${h}:${m}`),
  )
  const times = fc
    .tuple(fc.constantFrom(' ', 'T'), two(0, 23), two(0, 59), fc.oneof(fc.constant(''), seconds), zones)
    .map(([between, hour, minute, rest, zone]) => `${between}${hour}:${minute}${rest}${zone}`)

  test('every form of a real date that SQLite reads means the same instant here', () => {
    fc.assert(
      fc.property(dates, fc.oneof(fc.constant(''), times), (date, time) => {
        const text = date + time
        expect(sqlite(text), text).not.toBeNull()
        expect(parseTime(text), text).toBe(sqlite(text))
      }),
      { numRuns: 1_000 },
    )
  })

  test('SQLite reads what is written here as the same instant', () => {
    fc.assert(
      fc.property(instants, (atMs) => {
        expect(sqlite(sqliteTime(atMs))).toBe(atMs)
        expect(sqlite(isoTime(atMs))).toBe(atMs)
      }),
    )
  })

  test.each(['2026-02-30', '2026-11-24 24:00', 'now', '06:02:20', '2461368.5'])(
    'SQLite accepts %s as an instant; it is rejected here, since its meaning is ambiguous',
    (text) => {
      expect(sqlite(text)).not.toBeNull()
      expect(parseTime(text)).toBeUndefined()
    },
  )

  test.each(['2026-11-24T14:00:00+0200', '2026-11-24T14:00:00+02', '2026-11-24T12:00:00,5'])(
    '%s is read here although SQLite cannot',
    (text) => {
      expect(sqlite(text)).toBeNull()
      expect(parseTime(text)).toBeDefined()
    },
  )
})
