// What became of one source: a function, or what is wrong with it.
import type { FunctionSpec } from '../protocol/function.ts'
import type { Bundle } from './bundle.ts'
import type { Source } from './discover.ts'

/** `wrong`: it must be edited. `broken`: it did not load, which may pass. `fault`: either, and the spec is that of before. */
export type Built =
  | { readonly source: Source; readonly spec: FunctionSpec; readonly bundle: Bundle; readonly fault?: string }
  | { readonly source: Source; readonly wrong: string; readonly bundle?: Bundle }
  | { readonly source: Source; readonly broken: string; readonly bundle: Bundle }

/** A function that got worse stays what it was. */
export function orBefore(built: Built, before: Built | undefined): Built {
  const fault = faultOf(built)
  if (fault === undefined || !before || !('spec' in before)) return built
  return { ...before, bundle: built.bundle ?? before.bundle, fault }
}

/** What is wrong with it, if anything is. */
export function faultOf(built: Built): string | undefined {
  if ('spec' in built) return built.fault
  return 'wrong' in built ? built.wrong : built.broken
}

export function specOf(built: Built | undefined): FunctionSpec | undefined {
  return built && 'spec' in built ? built.spec : undefined
}

export function specsOf(built: readonly Built[]): FunctionSpec[] {
  return built.flatMap((each) => specOf(each) ?? [])
}
