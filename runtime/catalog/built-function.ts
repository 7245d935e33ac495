// The result of building one source: a function, a fault, or both when a working function broke.
import type { FunctionSpec } from '../protocol/function.ts'
import type { Causes } from './build-errors.ts'
import type { Bundle } from './bundle.ts'
import type { FunctionSource } from './discover.ts'

export interface BuiltFunction {
  readonly source: FunctionSource
  readonly bundle?: Bundle
  /** The function; with a fault, its last good version. Undefined only together with a fault. */
  readonly spec?: FunctionSpec
  readonly fault?: FunctionFault
}

export interface FunctionFault {
  readonly text: string
  /** True: the module did not load, which may be temporary. False: its source must be edited. */
  readonly passes: boolean
  /** Inputs of the failed build. */
  readonly causes?: Causes
}

/** Keeps the last good version of a broken function. */
export function orBefore(built: BuiltFunction, before: BuiltFunction | undefined): BuiltFunction {
  return built.fault && before?.spec ? { ...before, ...built, spec: before.spec } : built
}

export function specsOf(built: readonly BuiltFunction[]): FunctionSpec[] {
  return built.flatMap(({ spec }) => spec ?? [])
}
