// Everything that is checked, as data, and what a check found. folder.ts looks at files that lie there, play.ts at a runtime
// that runs.
import { FILE_CHECKS } from './file-checks.ts'
import { RUNTIME_CHECKS } from './runtime-checks.ts'

export const CHECKS = { ...FILE_CHECKS, ...RUNTIME_CHECKS }

export type CheckName = keyof typeof CHECKS

export interface Finding {
  readonly check: CheckName
  readonly verdict: 'pass' | 'fail' | 'skip'
  /** One short figure or word beside the claim: how many, how long, or why it was skipped. */
  readonly measure: string
  /** What was seen, when it failed. */
  readonly found: string
}

export function pass(check: CheckName, measure = ''): Finding {
  return { check, verdict: 'pass', measure, found: '' }
}

export function fail(check: CheckName, found: string): Finding {
  return { check, verdict: 'fail', measure: '', found }
}

export function skip(check: CheckName, why: string): Finding {
  return { check, verdict: 'skip', measure: why, found: '' }
}
