// The order of rules by specificity, and whether two of equal rank could take the same message. Pure.
import type { FunctionSpec, Rule, Scalar } from '../protocol/function.ts'

/** The default of `trigger`; it does not count as a condition. */
export const WAKING: readonly boolean[] = [true]

/** From most to least specific, after conditions on content. */
const COLUMNS = ['threadId', 'platformId', 'channelType', 'kind'] as const

/** The rank of a function without `on`: its kind alone. */
export const KIND_ALONE = rankOf({ kind: [''], content: [] })

/** Higher wins. Conditions on content count first, then thread, platform, channel, kind. */
export function rankOf(rule: Rule): number {
  return COLUMNS.reduce((rank, column) => rank * 2 + (rule[column] ? 1 : 0), rule.content.length)
}

/** Why these two rules clash, or undefined when they do not. */
export function clashOf(a: FunctionSpec, b: FunctionSpec): string | undefined {
  if (rankOf(a.rule) !== rankOf(b.rule)) return undefined
  const [wakesA, wakesB] = [a.rule.trigger ?? WAKING, b.rule.trigger ?? WAKING]
  if (!wakesA.some((flag) => wakesB.includes(flag))) return undefined
  const shared: string[] = []
  for (const column of COLUMNS) {
    const [mine, theirs] = [a.rule[column], b.rule[column]]
    if (!mine || !theirs) continue
    const both = mine.filter((value) => theirs.includes(value))
    if (both.length === 0) return undefined
    shared.push(`${column} ${list(both)}`)
  }
  for (const { path, values } of a.rule.content) {
    const theirs = b.rule.content.find((condition) => condition.path.join('.') === path.join('.'))
    if (!theirs) continue
    const both = values.filter((value) => theirs.values.includes(value))
    if (both.length === 0) return undefined
    shared.push(`content.${path.join('.')} ${list(both)}`)
  }
  return (
    `${a.file} and ${b.file} could both take a message${shared.length > 0 ? ` with ${shared.join(', ')}` : ''}, ` +
    'and neither is more specific. Give one of them one more condition in `on` (threadId, platformId, channelType, content), or other values.'
  )
}

function list(values: readonly Scalar[]): string {
  return (
    values
      .slice(0, 3)
      .map((value) => JSON.stringify(value))
      .join(' or ') + (values.length > 3 ? ' …' : '')
  )
}
