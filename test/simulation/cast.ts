// The functions of the simulation, and what their handlers do: everything follows from a message's plan and
// from how often it has been started, so that a message behaves the same however much else is left out of a
// run.
import { Catalog } from '../../runtime/catalog/catalog.ts'
import type { FunctionSpec, KeyRule, RetryPolicy } from '../../runtime/protocol/function.ts'
import type { Kind } from './events.ts'
import { mix } from './random.ts'
import { type Script, scriptOf } from './scripts.ts'

export interface Fate {
  readonly end:
    | 'replies'
    | 'throws'
    | 'gives-up'
    | 'asks-for-later'
    | 'replies-badly'
    | 'exits'
    | 'is-killed'
    | 'runs-out-of-memory'
    | 'throws-uncaught'
  /** Until then; Infinity: never by itself. */
  readonly ms: number
  readonly replies: number
  /** The event loop of its process stands still meanwhile. */
  readonly blocks: boolean
  /** Ends when its signal aborts. */
  readonly heeds: boolean
  /** Its process answers a second time for it. */
  readonly twice: boolean
  /**
   * Its process closes the channel to the runtime and lives on: instead of an answer, or some time after it.
   */
  readonly cuts: 'no' | 'instead' | 'afterwards'
  /** The runtime dies with it, as it does when a handler takes all of the memory that both have. */
  readonly takesDown: boolean
  /** What it does when its time has passed, in place of an answer: it may wait. */
  readonly script: Script | undefined
  /**
   * Of one that has a script and comes to another end: that is once its first step is kept, or only reported.
   */
  readonly endsAt: 'once' | 'kept' | 'reported'
}

const POLICIES: Readonly<Record<Exclude<Kind, 'nobody' | 'system'>, RetryPolicy>> = {
  quick: { attempts: 3, minDelayMs: 40, maxDelayMs: 200, factor: 2 },
  slow: { attempts: 2, minDelayMs: 500, maxDelayMs: 60_000, factor: 3 },
  free: { attempts: 4, minDelayMs: 0, maxDelayMs: 0, factor: 1 },
  user: { attempts: 3, minDelayMs: 5, maxDelayMs: 5, factor: 1 },
  stuck: { attempts: 2, minDelayMs: 100_000, maxDelayMs: 100_000, factor: 1 },
  late: { attempts: 2, minDelayMs: 1_000, maxDelayMs: 1_000, factor: 1 },
  asks: { attempts: 3, minDelayMs: 30, maxDelayMs: 300, factor: 2 },
  holds: { attempts: 3, minDelayMs: 30, maxDelayMs: 300, factor: 2 },
  chat: { attempts: 3, minDelayMs: 20, maxDelayMs: 100, factor: 2 },
}
const KEYS: Readonly<Record<string, KeyRule>> = { free: 'none', stuck: 'none', user: [['content', 'user']] }
const TIMEOUT_MS = 300
/** Its function asks for context, too. */
export const CONTEXT_KIND: Kind = 'free'

/** Processes that may be busy, in all. */
export const CONCURRENCY = 4

/** … and for one function. */
export function concurrencyOf(kind: Kind, version: number): number {
  if (version >= 4 && kind === 'quick') return 1
  return kind === 'slow' ? 2 : 3
}

/** Functions of a version: its bundles are new; `late` is there in odd ones, and `nobody` never. */
export function catalogOf(version: number): Catalog {
  const names = Object.keys(POLICIES).filter((name) => name !== 'late' || version % 2 === 1)
  return new Catalog(names.map((name) => specOf(name as keyof typeof POLICIES, version)))
}

function specOf(name: keyof typeof POLICIES, version: number): FunctionSpec {
  return {
    name,
    file: `functions/${name}.ts`,
    rule: { kind: [name], ...(name === CONTEXT_KIND && { trigger: [true, false] }), content: [] },
    timeoutMs: TIMEOUT_MS,
    retry: POLICIES[name],
    concurrency: concurrencyOf(name, version),
    key: KEYS[name] ?? 'address',
    version: 1,
    holdsWhileWaiting: name === 'holds',
    rawContent: false,
    bundle: `${name}-${version}.cjs`,
  }
}

/** Of messages that no function takes, too. */
export function policyOf(kind: Kind): RetryPolicy {
  return POLICIES[kind === 'nobody' || kind === 'system' ? 'quick' : kind]
}

/** Messages with the same one must run in order; null: in none. */
export function laneOf(kind: Kind, address: string | null, user: string | null): string | null {
  if (kind === 'free' || kind === 'stuck' || kind === 'system') return null
  return kind === 'user' ? user && `user ${user}` : address && `address ${address}`
}

/** What the handler does when a message is started for the n-th time. */
export function fateOf(kind: Kind, plan: number, start: number): Fate {
  const script = scriptOf(kind, plan)
  const fate = plainFateOf(kind, plan, start)
  if (!script) return fate
  const endsAt = (['once', 'kept', 'reported'] as const)[mix(plan, start, 12) % 3]!
  // A handler ends with its process only while a step of it is on the way to disk.
  const isCutOff = isDeadEnd(fate.end) || fate.end === 'throws-uncaught'
  return { ...fate, blocks: false, script, endsAt: endsAt === 'reported' && !isCutOff ? 'kept' : endsAt }
}

function plainFateOf(kind: Kind, plan: number, start: number): Fate {
  if (kind === 'stuck') return start === 1 ? STUCK : { ...STUCK, end: 'replies' }
  const character = mix(plan, 1) % 100
  const fails = 1 + (mix(plan, 2) % 3)
  const bad = BAD_ENDS[mix(plan, start, 3) % BAD_ENDS.length]!
  const stuck = mix(plan, start, 4) % 2 === 0
  const good = {
    end: 'replies',
    ms: durationMs(kind, plan, start),
    replies: mix(plan, start, 5) % 3,
  } as const
  const plain = {
    ...good,
    blocks: mix(plan, start, 6) % 4 === 0,
    heeds: true,
    twice: false,
    cuts: cutOf(plan, start),
    takesDown: start <= DOWNS_MAX && mix(plan, 11) % 100 === 0,
    script: undefined,
    endsAt: 'once',
  } as const
  if (character < 65) return plain
  if (character < 80) return start <= fails ? { ...plain, end: bad } : plain
  if (character < 84) return { ...plain, end: 'throws' }
  if (character < 86) return { ...plain, end: 'gives-up' }
  if (character < 88) return { ...plain, end: start > fails ? 'replies' : 'asks-for-later' }
  if (character < 90) return { ...plain, end: 'replies-badly' }
  if (character < 94) return { ...plain, end: DEATHS[mix(plan, 7) % DEATHS.length]! }
  if (character < 97) return { ...plain, ms: Number.POSITIVE_INFINITY, blocks: stuck, heeds: !stuck }
  if (character < 98) return { ...plain, twice: true }
  return { ...plain, end: stuck ? bad : 'replies', ms: stuck ? Number.POSITIVE_INFINITY : plain.ms }
}

/** A first start only, so that a message that does so ends all the same. */
function cutOf(plan: number, start: number): Fate['cuts'] {
  const chance = mix(plan, 10) % 100
  if (start > 1 || chance >= 4) return 'no'
  return chance < 2 ? 'instead' : 'afterwards'
}

/** How long a handler wishes to wait that asks for a later attempt. */
export function wishMs(plan: number): number {
  return [0, 50, 3_000][mix(plan, 8) % 3]!
}

/** Replies at once. */
export const PLAIN: Fate = {
  end: 'replies',
  ms: 0,
  replies: 1,
  blocks: false,
  heeds: true,
  twice: false,
  cuts: 'no',
  takesDown: false,
  script: undefined,
  endsAt: 'once',
}
/** More starts than a message is given before it is failed for them. */
const DOWNS_MAX = 8
const STUCK: Fate = { ...PLAIN, end: 'throws', replies: 0 }
const DEATHS = ['exits', 'is-killed', 'runs-out-of-memory', 'throws-uncaught'] as const

/** The process dies of it. */
export function isDeadEnd(end: Fate['end']): boolean {
  return end === 'exits' || end === 'is-killed' || end === 'runs-out-of-memory'
}

const BAD_ENDS = ['throws', 'throws', ...DEATHS] as const

function durationMs(kind: Kind, plan: number, start: number): number {
  const choices = kind === 'slow' ? [5, 30, 60, 120, 250, 290] : [0, 0, 0, 0, 0, 0.2, 0.2, 3, 3, 30]
  return choices[mix(plan, start, 9) % choices.length]!
}
