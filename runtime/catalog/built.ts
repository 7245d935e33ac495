// What became of one source: a function, or what is wrong with it, or both, when it got worse.
import type { FunctionSpec } from '../protocol/function.ts'
import type { Causes } from './build-errors.ts'
import type { Bundle } from './bundle.ts'
import type { Source } from './discover.ts'

export interface Built {
  readonly source: Source
  readonly bundle?: Bundle
  /** The function; with a fault, as it was before. Without one there is a fault. */
  readonly spec?: FunctionSpec
  readonly fault?: Fault
}

export interface Fault {
  readonly text: string
  /** It did not load, which may pass. Otherwise its source must be edited. */
  readonly passes: boolean
  /** It did not build, for a reason in these. */
  readonly causes?: Causes
}

/** A function that got worse stays what it was. */
export function orBefore(built: Built, before: Built | undefined): Built {
  return built.fault && before?.spec ? { ...before, ...built, spec: before.spec } : built
}

export function specsOf(built: readonly Built[]): FunctionSpec[] {
  return built.flatMap(({ spec }) => spec ?? [])
}
