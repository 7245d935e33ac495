// Functions whose rules could take the same message. In a reload the changed ones are at fault: they keep
// their last good version or are left out, and all others are used. Pure.
import type { BuiltFunction } from './built-function.ts'
import { clashOf } from './specificity.ts'

/** `before`: the functions in use, by name; they have no clash. */
export function withoutClashes(
  built: readonly BuiltFunction[],
  before: ReadonlyMap<string, BuiltFunction>,
): readonly BuiltFunction[] {
  let all = built
  // Each round removes at least one new rule.
  for (;;) {
    const faults = clashFaults(all, before)
    if (faults.size === 0) return all
    all = all.map((each) => {
      const text = faults.get(each.source.name)
      if (text === undefined) return each
      const { spec: _, ...rest } = each
      const spec = before.get(each.source.name)?.spec
      const told = [...(each.fault ? [each.fault.text] : []), ...text].join('\n')
      return { ...rest, fault: { text: told, passes: false }, ...(spec && { spec }) }
    })
  }
}

function clashFaults(
  built: readonly BuiltFunction[],
  before: ReadonlyMap<string, BuiltFunction>,
): Map<string, string[]> {
  const faults = new Map<string, string[]>()
  for (const [at, a] of built.entries())
    for (const b of built.slice(at + 1)) {
      const clash = a.spec && b.spec && clashOf(a.spec, b.spec)
      if (clash === undefined) continue
      for (const { source, spec } of [a, b]) {
        if (JSON.stringify(spec?.rule) === JSON.stringify(before.get(source.name)?.spec?.rule)) continue
        faults.set(source.name, [...(faults.get(source.name) ?? []), clash])
      }
    }
  return faults
}
