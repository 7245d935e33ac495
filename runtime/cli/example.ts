// Hints made from rules: an example message that a function takes, and the one condition that a message
// misses.
import { Catalog } from '../catalog/catalog.ts'
import { Content } from '../catalog/content.ts'
import type { FunctionSpec, Routable, Rule, Scalar } from '../protocol/function.ts'
import { plain } from './print.ts'

/** A shell command whose message one of these functions takes; undefined: no example was found. */
export function sendExample(functions: readonly FunctionSpec[]): string | undefined {
  const catalog = new Catalog(functions)
  for (const spec of functions)
    for (const kind of spec.rule.kind ?? ['chat', spec.name, 'anything']) {
      const message = exampleOf(kind, spec.rule)
      if (catalog.route(message)?.name === spec.name) return lineOf(message, spec.rule)
    }
  return undefined
}

/** A message of `send` always starts a run: it has no flag for `trigger`. */
function exampleOf(kind: string, { channelType, platformId, threadId, content }: Rule): Routable {
  const value: Record<string, unknown> = {}
  for (const { path, values } of content) put(value, path, values[0] ?? null)
  return {
    kind,
    channelType: channelType?.[0] ?? null,
    platformId: platformId?.[0] ?? null,
    threadId: threadId?.[0] ?? null,
    trigger: true,
    content: JSON.stringify(content.length > 0 ? value : { text: 'hello' }),
  }
}

function put(into: Record<string, unknown>, [first = '', ...rest]: readonly string[], value: Scalar): void {
  if (rest.length === 0) into[first] = value
  else {
    const inner = into[first]
    const next = typeof inner === 'object' && inner !== null ? inner : {}
    into[first] = next
    put(next as Record<string, unknown>, rest, value)
  }
}

function lineOf({ kind, channelType, platformId, threadId, content }: Routable, rule: Rule): string {
  const flags = { channel: channelType, platform: platformId, thread: threadId }
  const words = [kind, rule.content.length > 0 ? String(content) : 'hello']
  for (const [flag, value] of Object.entries(flags)) if (value !== null) words.push(`--${flag}`, value)
  return ['npx nanoclaw send', ...words.map(quoted), '--wait'].join(' ')
}

/** Quotes a word for a shell. */
export function quoted(word: string): string {
  const shown = plain(word, 400)
  return /^[\w:./@+-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`
}

const COLUMNS = {
  kind: 'kind',
  channelType: 'channel',
  platformId: 'platform',
  threadId: 'thread',
} as const

/**
 * The one condition, other than the kind, that keeps a function from taking this message; undefined
 * otherwise.
 */
export function missedText(name: string, rule: Rule, message: Routable): string | undefined {
  if (rule.kind && !rule.kind.includes(message.kind)) return undefined
  const content = new Content()
  const conditions = [
    ...(['channelType', 'platformId', 'threadId'] as const).flatMap((column) => {
      const legal = rule[column]
      return legal
        ? [{ what: COLUMNS[column], legal: legal as readonly unknown[], found: message[column] as unknown }]
        : []
    }),
    ...rule.content.map(({ path, values }) => ({
      what: `content.${path.join('.')}`,
      legal: values as readonly unknown[],
      found: content.at(message.content, path),
    })),
  ]
  const missed = conditions.filter(({ legal, found }) => !legal.includes(found))
  const [only] = missed
  if (!only || missed.length > 1) return undefined
  const found =
    only.found === undefined || only.found === null ? 'it has none' : `it is ${valueText(only.found)}`
  const when = `${plain(only.what)} is ${only.legal.map(valueText).join(' or ')}`
  return `${plain(name)} takes ${rule.kind ? plain(message.kind) : 'it'} only when ${when}; here ${found}`
}

function valueText(value: unknown): string {
  return plain(typeof value === 'string' && value !== '' ? value : JSON.stringify(value), 60)
}
