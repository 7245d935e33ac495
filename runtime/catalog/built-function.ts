// What became of one source: a function, or what is wrong with it, or both, when it got worse.
import type { FunctionSpec } from '../protocol/function.ts'
import type { Causes } from './build-errors.ts'
import type { Bundle } from './bundle.ts'
import type { FunctionSource } from './discover.ts'

export interface BuiltFunction {
  readonly source: FunctionSource
  readonly bundle?: Bundle
  /** The function; with a fault, as it was before. Without one there is a fault. */
  readonly spec?: FunctionSpec
  readonly fault?: FunctionFault
}

export interface FunctionFault {
  readonly text: string
  /** It did not load, which may pass. Otherwise its source must be edited. */
  readonly passes: boolean
  /** It did not build, for a reason in these. */
  readonly causes?: Causes
}

/** A function that got worse stays what it was. */
export function orBefore(built: BuiltFunction, before: BuiltFunction | undefined): BuiltFunction {
  return built.fault && before?.spec ? { ...before, ...built, spec: before.spec } : built
}

export function specsOf(built: readonly BuiltFunction[]): FunctionSpec[] {
  return built.flatMap(({ spec }) => spec ?? [])
}
