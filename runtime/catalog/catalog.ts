// All functions of a project, and which of them takes a message. Immutable: a reload makes another catalog.
// Routing runs once for every message, so rules are indexed by kind, the most specific first, and content is
// parsed only where a rule asks.
import { NanoclawError } from '../protocol/errors.ts'
import type { FunctionSpec, KeyRule, Routable } from '../protocol/function.ts'
import { Content } from './content.ts'
import { clashOf, KIND_ALONE, rankOf, WAKING } from './specificity.ts'

/** A rule prepared for the hot path, without its kind, which the index has checked. */
interface Entry {
  readonly spec: FunctionSpec
  readonly rank: number
  readonly wakes: ReadonlySet<boolean>
  readonly columns: readonly { readonly column: Column; readonly values: ReadonlySet<string | null> }[]
  readonly content: readonly { readonly path: readonly string[]; readonly values: ReadonlySet<unknown> }[]
}

const COLUMNS = ['channelType', 'platformId', 'threadId'] as const
type Column = (typeof COLUMNS)[number]

/** The kind that chat channels send. A function for `chat` takes it, too. */
const [CHAT_SDK, CHAT] = ['chat-sdk', 'chat'] as const

/** Clashes listed in one error; more of them have one common cause. */
const CLASHES_TOLD_MAX = 10

export class Catalog {
  /** Sorted. */
  readonly names: readonly string[]
  /** A rule or key reads content: the caller must read it from the file. */
  readonly readsContent: boolean
  readonly #specs: ReadonlyMap<string, FunctionSpec>
  readonly #broken: ReadonlySet<string>
  readonly #byKind: ReadonlyMap<string, readonly Entry[]>
  readonly #anyKind: readonly Entry[]
  readonly #content = new Content()

  /**
   * `broken`: names of functions that did not load; messages that they would take by default wait for them.
   * @throws NanoclawError `bad_function` when two equally specific rules could take the same message.
   */
  constructor(specs: readonly FunctionSpec[], broken: readonly string[] = []) {
    refuseClashes(specs)
    const entries = specs.map(entryOf).sort((a, b) => b.rank - a.rank)
    this.names = specs.map(({ name }) => name).sort()
    this.readsContent = specs.some(({ rule, key }) => rule.content.length > 0 || keyReadsContent(key))
    this.#specs = new Map(specs.map((spec) => [spec.name, spec]))
    this.#broken = new Set(broken)
    this.#byKind = indexByKind(entries)
    this.#anyKind = entries.filter(({ spec }) => !spec.rule.kind)
  }

  get(name: string): FunctionSpec | undefined {
    return this.#specs.get(name)
  }

  /**
   * The function that takes this message: the most specific rule wins. undefined: no function, or see
   * brokenFor.
   */
  route(message: Routable): FunctionSpec | undefined {
    const entry = this.#match(message)
    return this.#waitsForBroken(message, entry) === undefined ? entry?.spec : undefined
  }

  /**
   * The broken function that this message waits for. It is assumed to take its own name as kind, since its
   * `on` is not known; only a more specific rule takes such a message instead.
   */
  brokenFor(message: Routable): string | undefined {
    return this.#waitsForBroken(message, this.#match(message))
  }

  /** Context that no function takes: it does not wait for a function either. */
  isContext(message: Routable): boolean {
    return !doesWake(message) && !this.#match(message) && this.brokenFor(message) === undefined
  }

  /** Messages with the same key run one after the other; null: no order. */
  keyOf(spec: FunctionSpec, message: Routable): string | null {
    if (spec.key === 'none') return null
    if (spec.key === 'address') return textOf('', [message.channelType, message.platformId, message.threadId])
    return textOf(
      JSON.stringify(spec.key),
      spec.key.map((path) => this.#part(path, message)),
    )
  }

  /** Functions for the kind `chat-sdk` come before those for `chat`; these before those for any kind. */
  #match(message: Routable): Entry | undefined {
    const entry = this.#matchAs(message.kind, message)
    return message.kind === CHAT_SDK && !entry?.spec.rule.kind ? this.#matchAs(CHAT, message) : entry
  }

  #matchAs(kind: string, message: Routable): Entry | undefined {
    for (const entry of this.#byKind.get(kind) ?? this.#anyKind) {
      if (this.#takes(entry, message)) return entry
    }
    return undefined
  }

  #takes({ wakes, columns, content }: Entry, message: Routable): boolean {
    if (!wakes.has(doesWake(message))) return false
    for (const { column, values } of columns) if (!values.has(message[column])) return false
    for (const { path, values } of content)
      if (!values.has(this.#content.at(message.content, path))) return false
    return true
  }

  #waitsForBroken({ kind }: Routable, entry: Entry | undefined): string | undefined {
    if (entry !== undefined && entry.rank > KIND_ALONE) return undefined
    if (this.#broken.has(kind)) return kind
    const isOwn = entry?.spec.rule.kind?.includes(kind) ?? false
    return kind === CHAT_SDK && !isOwn && this.#broken.has(CHAT) ? CHAT : undefined
  }

  #part([first, ...rest]: readonly string[], message: Routable): unknown {
    if (first === 'content') return this.#content.at(message.content, rest) ?? null
    return message[first as Exclude<keyof Routable, 'content'>]
  }
}

/**
 * Newer hosts write answers (to a question, to a command) with trigger 0, since their runner polls for them.
 * Context never has this kind.
 */
function doesWake({ trigger, kind }: Routable): boolean {
  return trigger || kind === 'system'
}

function refuseClashes(specs: readonly FunctionSpec[]): void {
  const clashes = specs.flatMap((a, at) => specs.slice(at + 1).flatMap((b) => clashOf(a, b) ?? []))
  if (clashes.length === 0) return
  const more = clashes.length - CLASHES_TOLD_MAX
  const told = clashes.slice(0, CLASHES_TOLD_MAX)
  throw new NanoclawError(
    'bad_function',
    [...told, ...(more > 0 ? [`… and ${more} more pairs`] : [])].join('\n'),
  )
}

function entryOf(spec: FunctionSpec): Entry {
  return {
    spec,
    rank: rankOf(spec.rule),
    wakes: new Set(spec.rule.trigger ?? WAKING),
    columns: COLUMNS.flatMap((column) => {
      const values = spec.rule[column]
      return values ? [{ column, values: new Set(values) }] : []
    }),
    content: spec.rule.content.map(({ path, values }) => ({ path, values: new Set(values) })),
  }
}

/** Each list includes the rules without a kind, in rank order. */
function indexByKind(entries: readonly Entry[]): Map<string, Entry[]> {
  const kinds = new Set(entries.flatMap(({ spec }) => spec.rule.kind ?? []))
  const takes = ({ spec }: Entry, kind: string) => spec.rule.kind?.includes(kind) ?? true
  return new Map([...kinds].map((kind) => [kind, entries.filter((entry) => takes(entry, kind))]))
}

function keyReadsContent(key: KeyRule): boolean {
  return typeof key !== 'string' && key.some(([first]) => first === 'content')
}

/**
 * JSON distinguishes what joined text would not: 'a,b' + 'c' and 'a' + 'b,c'. Keys of different paths never
 * collide.
 */
function textOf(paths: string, parts: readonly unknown[]): string | null {
  return parts.every((part) => part === null) ? null : paths + JSON.stringify(parts)
}
