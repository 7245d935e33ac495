// A run that has ended and is not on disk yet: what is decided about it, how that is written, and how it is
// reported.
import type { RunResult } from '../protocol/commit-batch.ts'
import type { EndedRun } from '../protocol/events.ts'
import type { FunctionSpec } from '../protocol/function.ts'
import type { Outcome } from '../protocol/outcome.ts'
import type { Entry } from './message.ts'
import { LATEST_MS, type Next } from './retry-policy.ts'

/** A decided run of a message that is `finishing`. */
export interface DecidedRun {
  readonly entry: Entry
  readonly run: number
  readonly attempt: number
  readonly outcome: Outcome
  readonly durationMs: number
  readonly next: Next
  /** How far the wall clock was ahead of the monotonic one when this was decided. */
  readonly aheadMs: number
}

/**
 * The wall clock may be set before a decision is on disk: the pause before a retry is a length, and stays as
 * long.
 */
export function byTheClock(decided: DecidedRun, aheadMs: number): DecidedRun {
  const { next } = decided
  const setMs = Math.round(aheadMs - decided.aheadMs)
  // One of the two clocks knows whole milliseconds only.
  if (next.type !== 'retry' || Math.abs(setMs) <= 1) return decided
  return { ...decided, aheadMs, next: { ...next, nextAtMs: Math.min(next.nextAtMs + setMs, LATEST_MS) } }
}

/** As the store keeps it. */
export function resultOf({ entry, run, outcome, durationMs, next }: DecidedRun): RunResult {
  return {
    id: entry.message.id,
    run,
    next:
      next.type === 'completed' || next.type === 'waiting' ? saidBy(next.type, outcome, entry.spec) : next,
    outcome: outcome.type,
    reason: reasonOf(next, outcome),
    error: errorOf(outcome),
    durationMs,
  }
}

function saidBy(
  type: 'completed' | 'waiting',
  outcome: Outcome,
  { version, holdsWhileWaiting: holds }: FunctionSpec,
): RunResult['next'] {
  if (type === 'completed' && outcome.type === 'replied')
    return { type, replies: outcome.replies, from: outcome.from }
  if (type === 'waiting' && outcome.type === 'suspended') {
    const { waits, replies, from } = outcome
    return { type, waits, version, holds, replies, from }
  }
  throw new Error(`outcome ${outcome.type} cannot become ${type}`)
}

/**
 * As listeners hear of it, once it is on disk. `lost`: the host took the claim away meanwhile, so nothing was
 * written.
 */
export function settledOf(
  { entry, run, attempt, outcome, durationMs, next }: DecidedRun,
  lost: boolean,
): EndedRun {
  return {
    id: entry.message.id,
    functionName: entry.spec.name,
    run,
    attempt,
    outcome,
    durationMs,
    verdict: lost ? 'lost' : next.type === 'completed' ? 'done' : next.type,
    reason: reasonOf(next, outcome),
    nextAtMs: next.type === 'retry' ? next.nextAtMs : null,
  }
}
function reasonOf(next: Next, outcome: Outcome): string | null {
  if ('reason' in next) return next.reason
  return outcome.type === 'cancelled' ? outcome.why : null
}

function errorOf(outcome: Outcome): string | null {
  switch (outcome.type) {
    case 'replied':
    case 'suspended':
    case 'cancelled':
      return null
    case 'threw':
    case 'bad-reply':
    case 'bad-message':
      return JSON.stringify(outcome.error)
    case 'timed-out':
      return JSON.stringify({ name: 'Timeout', message: `no end after ${outcome.afterMs} ms` })
    case 'exited':
      return JSON.stringify({
        name: 'ProcessExit',
        message:
          outcome.code === null
            ? 'the process closed its channel to the runtime and went on, so it was ended'
            : `the process exited with code ${outcome.code}`,
        stderr: outcome.stderr,
      })
    case 'killed':
      return JSON.stringify({
        name: 'ProcessKilled',
        message: `the process was killed by ${outcome.signal}`,
        stderr: outcome.stderr,
      })
    case 'out-of-memory':
      return JSON.stringify({
        name: 'OutOfMemory',
        message: 'the process ran out of heap',
        stderr: outcome.stderr,
      })
    default:
      return outcome satisfies never
  }
}
