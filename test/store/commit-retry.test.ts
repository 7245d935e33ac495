// When a commit that failed is tried again, and what is said of it, in time that the test owns.
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { createEvents } from '../../runtime/protocol/events.ts'
import { CommitRetry, DOUBTS_MAX, type Passing } from '../../runtime/store/commit-retry.ts'
import { explain } from '../../runtime/store/sqlite/classify.ts'
import { FakeClock } from '../support/fake-clock.ts'

const error = (code: string) => new Database.SqliteError('as planned', code)

/** Fails each try until `healAfter` of them have failed; true when it was given up. */
function play(meaning: Passing, code: string, healAfter: number) {
  const clock = new FakeClock()
  const events = createEvents()
  const [triesMs, told, recovered]: [number[], string[], number[]] = [[], [], []]
  events.on('commit-failed', (about) => told.push(`${about.code} ${about.results} at ${clock.monotonic()}`))
  events.on('commit-recovered', ({ results }) => recovered.push(results))
  let givenUp = false
  const attempt = () => {
    triesMs.push(clock.monotonic())
    if (triesMs.length > healAfter) return pause.healed(3)
    givenUp = !pause.begin(meaning, error(code), 3)
  }
  const pause = new CommitRetry({ clock, events, explain, again: attempt })
  attempt()
  clock.advance(3_600_000)
  return { triesMs, told, recovered, givenUp, timers: clock.timers }
}

test('a lock of a moment is tried again at once, and never spoken of', () => {
  expect(play('retry', 'SQLITE_BUSY', 4)).toMatchObject({
    triesMs: [0, 10, 30, 70, 150],
    told: [],
    recovered: [],
  })
})

test('a lock that stays is reported once after a second, tried ever less often, and reported once when it is gone', () => {
  const { triesMs, told, recovered } = play('retry', 'SQLITE_BUSY', 20)
  expect(told).toEqual(['SQLITE_BUSY 3 at 1270'])
  expect(recovered).toEqual([3])
  expect(triesMs.slice(-3).map((ms, at, all) => ms - (all[at - 1] ?? ms))).toEqual([0, 1_000, 1_000])
})

test('a full disk is reported at once, and waited for however long it takes [69]', () => {
  const { told, givenUp, triesMs } = play('hold', 'SQLITE_FULL', 500)
  expect([told, givenUp]).toEqual([['SQLITE_FULL 3 at 0'], false])
  expect(triesMs.at(-1)! - triesMs.at(-2)!).toBe(5_000)
})

test('a disk that does not do its work is given up after a row of chances [71, 72]', () => {
  const { told, givenUp, triesMs, timers } = play('doubt', 'SQLITE_IOERR_FSYNC', 500)
  expect([told, givenUp, triesMs.length, timers]).toEqual([
    ['SQLITE_IOERR_FSYNC 3 at 0'],
    true,
    DOUBTS_MAX + 1,
    0,
  ])
  expect(play('doubt', 'SQLITE_CORRUPT', DOUBTS_MAX)).toMatchObject({ givenUp: false, recovered: [3] })
})

test('while the runtime stops a lock is tried again at once and often, and a disk in doubt no oftener than before [163]', () => {
  const clock = new FakeClock()
  const tries = (meaning: Passing, code: string) => {
    const triesMs: number[] = []
    const again = () => {
      triesMs.push(clock.monotonic())
      pause.begin(meaning, error(code), 1)
    }
    const pause = new CommitRetry({ clock, events: createEvents(), explain, again })
    again()
    clock.advance(5_000)
    triesMs.splice(0)
    pause.hurry()
    clock.advance(800)
    pause.stop()
    return triesMs.length
  }
  expect(tries('retry', 'SQLITE_BUSY')).toBeGreaterThanOrEqual(40)
  expect(tries('hold', 'SQLITE_FULL')).toBeGreaterThanOrEqual(40)
  expect(tries('doubt', 'SQLITE_IOERR_FSYNC')).toBe(1)
})
