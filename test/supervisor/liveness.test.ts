// The decisions of a supervisor, as tables.
import { describe, expect, test } from 'vitest'
import {
  decideAfterExit,
  decideStale,
  LIMITS,
  type LivenessSigns,
  type RuntimeExit,
} from '../../runtime/supervisor/liveness.ts'
import { wasAway } from '../../runtime/supervisor/presence.ts'

const MINUTE = 60_000
const SPAWNED = Date.UTC(2026, 10, 24, 12, 0, 0, 500)

test.each<[string, number, number, boolean]>([
  ['a look in time', 2_500, 2_500, false],
  ['a look that is a little late', 5_000, 5_000, false],
  ['a process that was suspended', 5_001, 5_001, true],
  ['a machine that slept, where the steady clock stands still then', 600_000, 1_000, true],
  ['a wall clock that was set forth', 8_000, 2_500, true],
  ['a wall clock that was set back', -3_600_000, 2_500, true],
  ['a wall clock that was corrected', 2_000, 2_500, false],
])('whether the supervisor was away: %s [156]', (_, wallMs, steadyMs, away) => {
  const before = { atMs: SPAWNED, steadyMs: 77 }
  expect(wasAway(before, { atMs: SPAWNED + wallMs, steadyMs: 77 + steadyMs }, 5_000)).toBe(away)
})

describe('staleness', () => {
  const signs = (change: Partial<LivenessSigns>): LivenessSigns => ({
    nowMs: SPAWNED,
    spawnedAtMs: SPAWNED,
    heartbeatAtMs: undefined,
    claims: [],
    due: false,
    declaredMs: 0,
    presentSinceMs: SPAWNED,
    ...change,
  })
  const claimed = (afterMs: number) => [{ id: 'm', atMs: SPAWNED + afterMs }]

  test.each<[string, Partial<LivenessSigns>, RegExp | undefined]>([
    [
      'an old claim, seen by a supervisor that has just come back [156]',
      { nowMs: SPAWNED + 600 * MINUTE, claims: claimed(5_000), presentSinceMs: SPAWNED + 599.5 * MINUTE },
      undefined,
    ],
    [
      'the same, and a minute later no heartbeat has come',
      { nowMs: SPAWNED + 601 * MINUTE, claims: claimed(5_000), presentSinceMs: SPAWNED + 599.5 * MINUTE },
      /"m" was claimed 36055 s ago/,
    ],
    [
      'an old heartbeat, seen by a supervisor that has come back half an hour ago',
      { nowMs: SPAWNED + 600 * MINUTE, heartbeatAtMs: SPAWNED, presentSinceMs: SPAWNED + 570 * MINUTE },
      undefined,
    ],
    [
      'the same, a moment later',
      { nowMs: SPAWNED + 600 * MINUTE + 1, heartbeatAtMs: SPAWNED, presentSinceMs: SPAWNED + 570 * MINUTE },
      /no heartbeat for 36000 s/,
    ],
    ['just started', {}, undefined],
    ['idle for hours, without a heartbeat file', { nowMs: SPAWNED + 600 * MINUTE }, undefined],
    [
      'a heartbeat of 30 minutes',
      { nowMs: SPAWNED + 40 * MINUTE, heartbeatAtMs: SPAWNED + 10 * MINUTE },
      undefined,
    ],
    [
      'an older heartbeat',
      { nowMs: SPAWNED + 40 * MINUTE + 1, heartbeatAtMs: SPAWNED + 10 * MINUTE },
      /no heartbeat for 1800 s/,
    ],
    [
      'an older heartbeat, while an operation of an hour was declared',
      { nowMs: SPAWNED + 41 * MINUTE, heartbeatAtMs: SPAWNED + 10 * MINUTE, declaredMs: 60 * MINUTE },
      undefined,
    ],
    [
      'the heartbeat of an earlier instance, nothing due',
      { nowMs: SPAWNED + 40 * MINUTE, heartbeatAtMs: SPAWNED - 90 * MINUTE },
      undefined,
    ],
    [
      'the heartbeat of an earlier instance, and work that was never begun',
      { nowMs: SPAWNED + 31 * MINUTE, heartbeatAtMs: SPAWNED - 90 * MINUTE, due: true },
      /no heartbeat for 1860 s/,
    ],
    ['a claim of a minute', { nowMs: SPAWNED + MINUTE + 5_000, claims: claimed(5_000) }, undefined],
    [
      'an older claim and no heartbeat file',
      { nowMs: SPAWNED + MINUTE + 5_001, claims: claimed(5_000) },
      /"m" was claimed 60 s ago/,
    ],
    [
      'an older claim and the heartbeat from before it',
      { nowMs: SPAWNED + 2 * MINUTE, claims: claimed(5_000), heartbeatAtMs: SPAWNED + 5_000 },
      /"m" was claimed/,
    ],
    [
      'an older claim and one heartbeat since',
      { nowMs: SPAWNED + 20 * MINUTE, claims: claimed(5_000), heartbeatAtMs: SPAWNED + 5_001 },
      undefined,
    ],
    [
      'an older claim, while an operation of ten minutes was declared',
      { nowMs: SPAWNED + 6 * MINUTE, claims: claimed(5_000), declaredMs: 10 * MINUTE },
      undefined,
    ],
    [
      'a claim that an earlier instance left behind',
      { nowMs: SPAWNED + 2 * MINUTE, claims: claimed(-3 * MINUTE) },
      undefined,
    ],
    [
      'a claim in the second of the start, written in whole seconds',
      { nowMs: SPAWNED + 2 * MINUTE, claims: claimed(-500) },
      /"m" was claimed/,
    ],
  ])('%s', (_, change, expected) => {
    const verdict = decideStale(signs(change), LIMITS)
    if (expected) expect(verdict).toMatch(expected)
    else expect(verdict).toBeUndefined()
  })
})

describe('after an unexpected exit', () => {
  const end = (change: Partial<RuntimeExit>): RuntimeExit => ({
    code: 1,
    signal: null,
    lastWords: '',
    ranMs: 10,
    failures: 0,
    workLeft: true,
    random: 1,
    ...change,
  })

  test.each<[string, Partial<RuntimeExit>, unknown]>([
    ['0, all done', { code: 0, workLeft: false }, { type: 'idle' }],
    ['0 at once, with work left', { code: 0 }, { type: 'pause', delayMs: 1_000, failures: 1 }],
    ['0 after a long life, with work left', { code: 0, ranMs: 60_000, failures: 4 }, { type: 'idle' }],
    ['1, first time', {}, { type: 'pause', delayMs: 1_000, failures: 1 }],
    ['1, fourth time', { failures: 3 }, { type: 'pause', delayMs: 8_000, failures: 4 }],
    ['1, hundredth time', { failures: 99 }, { type: 'pause', delayMs: 300_000, failures: 100 }],
    ['1 after a long life', { failures: 99, ranMs: 60_000 }, { type: 'pause', delayMs: 1_000, failures: 1 }],
    ['1 with nothing left to do', { workLeft: false }, { type: 'pause', delayMs: 1_000, failures: 1 }],
    ['a signal', { code: null, signal: 'SIGKILL' }, { type: 'pause', reason: 'it was ended by SIGKILL' }],
    [
      'no such program',
      { code: null, lastWords: 'spawn x ENOENT' },
      { type: 'pause', reason: 'it could not be started: spawn x ENOENT' },
    ],
    ['75', { code: 75 }, { type: 'pause', delayMs: 15_000, failures: 1 }],
    ['75, many times', { code: 75, failures: 50 }, { type: 'pause', delayMs: 300_000, failures: 51 }],
    [
      '78',
      { code: 78, lastWords: 'no functions' },
      { type: 'refused', reason: 'its configuration is wrong (exit code 78): no functions' },
    ],
  ])('%s', (_, change, expected) => {
    expect(decideAfterExit(end(change), LIMITS)).toMatchObject(expected as object)
  })

  test('a delay is a random point in its upper half', () => {
    const delays = [0, 0.5, 1].map((random) => decideAfterExit(end({ code: 1, failures: 2, random }), LIMITS))
    expect(delays).toMatchObject([2_000, 3_000, 4_000].map((delayMs) => ({ delayMs })))
  })
})
