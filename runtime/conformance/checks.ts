// All checks as data, and the findings of a check. folder.ts examines existing files, check-runtime.ts a
// running runtime.
import { FILE_CHECKS } from './file-checks.ts'
import { RUNTIME_CHECKS } from './runtime-checks.ts'

export const CHECKS = { ...FILE_CHECKS, ...RUNTIME_CHECKS }

export type CheckName = keyof typeof CHECKS

export interface Finding {
  readonly check: CheckName
  readonly verdict: 'pass' | 'fail' | 'skip'
  /** A short figure or word beside the claim: a count, a duration, or why the check was skipped. */
  readonly measure: string
  /** What was observed; set when the check failed. */
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
