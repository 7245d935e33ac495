// What must follow from how a run ended, said a second time and in other words than schedule/backoff says it.

import type { RunResult } from '../../runtime/protocol/commit-batch.ts'
import type { Outcome, Said } from '../../runtime/protocol/outcome.ts'
import { policyOf } from './cast.ts'
import type { Told } from './messages.ts'

export function isDeath({ type }: Outcome): boolean {
  return type === 'exited' || type === 'killed' || type === 'out-of-memory'
}

/** What is wrong with an ending, if anything is; `told` has been charged for the run already. */
export function judge(
  told: Told,
  outcome: Outcome,
  ending: RunResult,
  crashLimit: number,
): string | undefined {
  const { next } = ending
  const must = mustFollow(told, outcome, crashLimit)
  const said = `${outcome.type} (on record: ${ending.outcome}), ${told.charged} attempts and ${told.deaths} deaths`
  if (ending.outcome !== outcome.type || next.type !== must)
    return `after ${said}, it must be ${must} and is ${next.type}`
  if (next.type === 'completed' && outcome.type === 'replied' && !saysTheSame(next, outcome))
    return 'its replies are not those that its handler gave'
  if (next.type === 'waiting' && outcome.type === 'suspended')
    if (!saysTheSame(next, outcome) || !same(next.waits, outcome.waits))
      return 'it does not wait for what its handler waits for'
  // A clock that was set meanwhile may cost the millisecond that it does not show.
  if (next.type === 'retry' && next.nextAtMs + 1 < told.endedAtMs + pauseMs(told, outcome))
    return `after ${said}, the next attempt comes ${next.nextAtMs - told.endedAtMs} ms later`
  return undefined
}

/** Waits that a handler asks for cost nothing for a day, counted from the first one. */
export function isCharged(told: Told, outcome: Outcome): boolean {
  if (outcome.type !== 'threw' || outcome.retry.wish !== 'after')
    return outcome.type !== 'cancelled' && outcome.type !== 'suspended'
  const { endedAtMs, turnedAwaySinceMs = endedAtMs } = told
  return Math.max(endedAtMs - turnedAwaySinceMs, 0) + outcome.retry.delayMs > 24 * 3_600_000
}

function mustFollow(told: Told, outcome: Outcome, crashLimit: number) {
  const { charged, deaths, kind } = told
  const again = charged >= policyOf(kind).attempts ? 'failed' : 'retry'
  switch (outcome.type) {
    case 'replied':
      return 'completed'
    case 'bad-reply':
    case 'bad-message':
      return 'failed'
    case 'suspended':
      return 'waiting'
    case 'cancelled':
      return 'released'
    case 'threw':
      if (outcome.retry.wish === 'never') return 'failed'
      return isCharged(told, outcome) ? again : 'retry'
    case 'timed-out':
      return again
    case 'exited':
    case 'killed':
    case 'out-of-memory':
      return deaths >= crashLimit ? 'failed' : again
    default:
      return outcome satisfies never
  }
}

/** At least so long; of a pause that grows, the half is left to chance. A first death is answered at once. */
function pauseMs({ charged, deaths, kind }: Told, outcome: Outcome): number {
  if (isDeath(outcome) && deaths === 1) return 0
  if (outcome.type === 'threw' && outcome.retry.wish === 'after') return outcome.retry.delayMs
  const { minDelayMs, maxDelayMs, factor } = policyOf(kind)
  return Math.floor(Math.min(minDelayMs * factor ** (charged - 1), maxDelayMs) / 2)
}

function saysTheSame(a: Said, b: Said): boolean {
  return same(a.replies, b.replies) && (a.from ?? 0) === (b.from ?? 0)
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** What the batch says in the time of its making, in the time of now. */
export function byTheClock(ending: RunResult, setMs: number): RunResult {
  const { next } = ending
  if (next.type !== 'retry') return ending
  return { ...ending, next: { ...next, nextAtMs: next.nextAtMs + setMs } }
}
