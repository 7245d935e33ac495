// What follows from how a run ended, as a table; and where in time a retry falls, as properties.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Outcome } from '../../runtime/protocol/outcome.ts'
import { decideNext, type Next, type RunFacts } from '../../runtime/queue/retry-policy.ts'

const DAY_MS = 86_400_000
const NOW = Date.UTC(2026, 10, 24, 12)
const FACTS: RunFacts = {
  attempt: 1,
  crashes: 0,
  crashLimit: 3,
  policy: { attempts: 5, minDelayMs: 1_000, maxDelayMs: 60_000, factor: 2 },
  turnedAwaySinceMs: null,
  freeWaitMs: DAY_MS,
  nowMs: NOW,
  random: 0.5,
}
const LEFT = FACTS
const EXHAUSTED = { ...FACTS, attempt: 5 }
const PAST_EXHAUSTED = { ...FACTS, attempt: 6 }
const LAST_CRASH = { ...FACTS, crashes: 2 }
const CRASHED_OFTEN = { ...FACTS, crashes: 7 }

const error = { name: 'Error', message: 'm' }
const threw = (retry: Extract<Outcome, { type: 'threw' }>['retry']): Outcome => ({
  type: 'threw',
  error,
  retry,
})
const done = { type: 'completed' }
const failed = (reason: string) => ({ type: 'failed', reason })
/** After the first attempt, in the middle of the spread. */
const again = (reason: string, delayMs = 750) => ({ type: 'retry', reason, nextAtMs: NOW + delayMs })

describe.each<[string, Outcome, [left: object, exhausted: object, lastCrash: object]]>([
  ['replied', { type: 'replied', replies: [] }, [done, done, done]],
  [
    'threw',
    threw({ wish: 'policy' }),
    [again('handler_error'), failed('handler_error'), again('handler_error')],
  ],
  [
    'threw NonRetryableError',
    threw({ wish: 'never' }),
    [failed('non_retryable'), failed('non_retryable'), failed('non_retryable')],
  ],
  [
    'threw RetryAfterError',
    threw({ wish: 'after', delayMs: 90_000 }),
    [again('retry_after', 90_000), again('retry_after', 90_000), again('retry_after', 90_000)],
  ],
  [
    'threw RetryAfterError for at once',
    threw({ wish: 'after', delayMs: 0 }),
    [again('retry_after', 0), again('retry_after', 0), again('retry_after', 0)],
  ],
  ['timed out', { type: 'timed-out', afterMs: 5 }, [again('timeout'), failed('timeout'), again('timeout')]],
  [
    'exited',
    { type: 'exited', code: 0, stderr: '' },
    [again('worker_exit', 0), failed('worker_exit'), failed('crash_limit')],
  ],
  [
    'was killed',
    { type: 'killed', signal: 'SIGKILL', stderr: '' },
    [again('worker_signal', 0), failed('worker_signal'), failed('crash_limit')],
  ],
  [
    'ran out of memory',
    { type: 'out-of-memory', stderr: '' },
    [again('out_of_memory', 0), failed('out_of_memory'), failed('crash_limit')],
  ],
  [
    'made a reply that JSON cannot say',
    { type: 'bad-reply', reason: 'unserialisable_reply', error },
    [failed('unserialisable_reply'), failed('unserialisable_reply'), failed('unserialisable_reply')],
  ],
  [
    'made a reply that is too large',
    { type: 'bad-reply', reason: 'reply_too_large', error },
    [failed('reply_too_large'), failed('reply_too_large'), failed('reply_too_large')],
  ],
  [
    'got content that is not JSON',
    { type: 'bad-message', reason: 'bad_json', error },
    [failed('bad_json'), failed('bad_json'), failed('bad_json')],
  ],
  ...(['handed-back', 'behind-a-failure', 'not-started', 'process-died', 'shutdown'] as const).map(
    (why): [string, Outcome, [object, object, object]] => {
      const released = { type: 'released', keep: why === 'shutdown' }
      return [`was cancelled: ${why}`, { type: 'cancelled', why }, [released, released, released]]
    },
  ),
])('a run that %s', (_, outcome, [left, exhausted, lastCrash]) => {
  test('with attempts left', () => expect(decideNext(outcome, LEFT)).toEqual(left))
  test('as the last attempt', () => expect(decideNext(outcome, EXHAUSTED)).toEqual(exhausted))
  test('beyond the last attempt', () => expect(decideNext(outcome, PAST_EXHAUSTED)).toEqual(exhausted))
  test('as one crash too many', () => expect(decideNext(outcome, LAST_CRASH)).toEqual(lastCrash))
  test('long after too many crashes', () => expect(decideNext(outcome, CRASHED_OFTEN)).toEqual(lastCrash))
})

test('an only attempt is never followed by another', () => {
  const once = { ...FACTS, policy: { ...FACTS.policy, attempts: 1 } }
  expect(decideNext(threw({ wish: 'policy' }), once)).toEqual(failed('handler_error'))
  expect(decideNext(threw({ wish: 'after', delayMs: DAY_MS }), once)).toEqual(failed('handler_error'))
})

describe('a wait that the handler asks for [158]', () => {
  const asked = (delayMs: number, awayMs: number, attempt = 1) =>
    decideNext(threw({ wish: 'after', delayMs }), { ...FACTS, attempt, turnedAwaySinceMs: NOW - awayMs })

  test('costs no attempt for a day, counted from the first one', () => {
    expect(asked(1_000, DAY_MS / 2, 5)).toEqual(again('retry_after', 60_000))
    expect(asked(DAY_MS / 2 - 1, DAY_MS / 2, 5)).toEqual(again('retry_after', DAY_MS / 2 - 1))
    expect(asked(DAY_MS / 2, DAY_MS / 2)).toEqual(again('handler_error', DAY_MS / 2))
    expect(asked(DAY_MS / 2, DAY_MS / 2, 5)).toEqual(failed('handler_error'))
    expect(asked(1_000, DAY_MS, 5)).toEqual(failed('handler_error'))
    expect(asked(1_000, -DAY_MS, 5), 'the clock was set back').toEqual(again('retry_after', 1_000))
  })

  test('grows with the time for which it goes on, so that a day has not millions of runs', () => {
    let [awayMs, runs] = [0, 0]
    for (; runs < 10_000; runs++) {
      const next = asked(0, awayMs)
      if (next.type !== 'retry' || next.reason !== 'retry_after') break
      awayMs += Math.max(next.nextAtMs - NOW, 1)
    }
    expect(awayMs).toBeGreaterThan(DAY_MS * 0.9)
    expect(runs).toBeLessThan(2_000)
  })

  test('costs one each time where no time is free', () => {
    const facts = { ...FACTS, freeWaitMs: 0 }
    expect(decideNext(threw({ wish: 'after', delayMs: 0 }), facts)).toEqual(again('handler_error', 0))
  })
})

test('only the first death of a message is answered at once', () => {
  const killed: Outcome = { type: 'killed', signal: 'SIGKILL', stderr: '' }
  const second = { ...FACTS, attempt: 2, crashes: 1 }
  expect(decideNext(killed, FACTS)).toEqual(again('worker_signal', 0))
  expect(decideNext(killed, second)).toEqual(again('worker_signal', 1_500))
  expect(decideNext({ type: 'timed-out', afterMs: 5 }, FACTS), 'it was asked to end').toEqual(
    again('timeout'),
  )
})

test('a crash limit of one gives up at the first death', () => {
  const first = { ...FACTS, crashLimit: 1 }
  expect(decideNext({ type: 'exited', code: 1, stderr: '' }, first)).toEqual(failed('crash_limit'))
  expect(decideNext(threw({ wish: 'policy' }), first)).toEqual(again('handler_error'))
})

const policies = fc
  .record({
    attempts: fc.constant(100),
    minDelayMs: fc.double({ min: 0, max: 1e7, noNaN: true }),
    maxDelayMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
    factor: fc.double({ min: 1, max: 10, noNaN: true }),
  })
  .filter((policy) => policy.minDelayMs <= policy.maxDelayMs)
const randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const attempts = fc.integer({ min: 1, max: 99 })

const delayOf = (next: Next) => (next.type === 'retry' ? next.nextAtMs - NOW : Number.NaN)

describe('the wait before a retry', () => {
  test('lies in the upper half of min · factor^(attempt − 1), which is never above max', () => {
    fc.assert(
      fc.property(policies, randoms, attempts, (policy, random, attempt) => {
        const full = Math.min(policy.minDelayMs * policy.factor ** (attempt - 1), policy.maxDelayMs)
        const delayMs = delayOf(decideNext(threw({ wish: 'policy' }), { ...FACTS, policy, random, attempt }))
        expect(delayMs).toBeGreaterThanOrEqual(Math.floor(full / 2))
        expect(delayMs).toBeLessThanOrEqual(Math.ceil(full))
      }),
    )
  })

  test('never shrinks from one attempt to the next by more than the spread', () => {
    fc.assert(
      fc.property(policies, attempts, (policy, attempt) => {
        const at = (n: number, random: number) =>
          delayOf(decideNext(threw({ wish: 'policy' }), { ...FACTS, policy, random, attempt: n }))
        expect(at(Math.min(attempt + 1, 99), 0)).toBeGreaterThanOrEqual(at(attempt, 0))
      }),
    )
  })

  test('spreads messages that failed together over the whole half', () => {
    const at = (random: number) => delayOf(decideNext(threw({ wish: 'policy' }), { ...FACTS, random }))
    expect([at(0), at(0.25), at(0.5), at(0.999_999)]).toEqual([500, 625, 750, 1_000])
  })

  test('is a whole number of milliseconds within the calendar, whatever a handler wishes: it is stored as an integer', () => {
    const wishes = fc.oneof(
      fc.double({ min: 0, max: 1e300, noNaN: true }),
      fc.constantFrom(0.4, 1.5, 8.64e15, 1e20, Number.MAX_VALUE),
    )
    fc.assert(
      fc.property(wishes, (delayMs) => {
        const next = decideNext(threw({ wish: 'after', delayMs }), FACTS)
        if (next.type !== 'retry') throw new Error('no retry')
        expect(Number.isSafeInteger(next.nextAtMs)).toBe(true)
        expect(new Date(next.nextAtMs).getTime(), 'it can be shown').toBe(next.nextAtMs)
        if (delayMs < 1e12) expect(Math.abs(next.nextAtMs - NOW - delayMs)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('a wish for no time at all counts as no wish', () => {
    for (const delayMs of [Number.NaN, -1, Number.POSITIVE_INFINITY])
      expect(decideNext(threw({ wish: 'after', delayMs }), FACTS)).toEqual(again('handler_error'))
  })
})
