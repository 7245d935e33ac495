// What a handler does that waits, as data: sections, one after the other, each with steps and then waits. It
// is read from the top in each run, as a handler is; what is on record is passed.
import type { Dispatch, Result } from '../../runtime/protocol/ipc.ts'
import type { Reply } from '../../runtime/protocol/outcome.ts'
import { addressKey, type NewWait } from '../../runtime/protocol/waits.ts'
import type { Kind } from './events.ts'
import { mix } from './random.ts'

export interface PlannedWait {
  readonly kind: NewWait['kind']
  /** A sleep lasts so long, or a question is open for as long. */
  readonly ms: number
  /** The instant is named, not the length. */
  readonly isInstant?: boolean
  /** Of a question; left out: any text. */
  readonly values?: readonly string[]
  /** The next chat message answers it. */
  readonly freeText?: boolean
}

export interface Section {
  readonly steps: number
  readonly waits: readonly PlannedWait[]
  /** The first wait that ends is enough. */
  readonly races: boolean
  /** Said before the waits. */
  readonly replies: number
}

/** The last section waits for nothing. */
export type Script = readonly Section[]

export const OPTIONS = ['yes', 'no'] as const
/** Longer than a jump of the clock would be needed for, shorter than the patience at the end of a world. */
const LENGTHS_MS = [0, 20, 300, 1_500, 20_000, 80_000]

export function scriptOf(kind: Kind, plan: number): Script | undefined {
  if (kind !== 'asks' && kind !== 'holds') return undefined
  const waits = 1 + (mix(plan, 20) % 3)
  const sections = Array.from({ length: waits }, (_, at) => ({
    ...sectionOf(plan, at),
    waits: Array.from({ length: [1, 1, 2, 3][mix(plan, 21, at) % 4]! }, (_, n) => waitOf(plan, at, n)),
  }))
  return [...sections, sectionOf(plan, waits)]
}

function sectionOf(plan: number, at: number): Section {
  return {
    steps: mix(plan, 22, at) % 3,
    waits: [],
    races: mix(plan, 23, at) % 2 === 0,
    replies: mix(plan, 24, at) % 2,
  }
}

function waitOf(plan: number, at: number, n: number): PlannedWait {
  const chance = mix(plan, 25, at, n) % 10
  const ms = LENGTHS_MS[mix(plan, 26, at, n) % LENGTHS_MS.length]!
  if (chance < 4) return { kind: 'sleep', ms, isInstant: chance === 0 }
  const values = chance < 9 ? OPTIONS : undefined
  return { kind: 'ask', ms: Math.max(ms, 300), ...(values && { values }), freeText: chance >= 7 }
}

export type Next =
  | { readonly do: 'step'; readonly name: string }
  | ({ readonly do: 'suspend' } & Pick<Result & { end: 'suspended' }, 'waits' | 'replies' | 'from'>)
  | ({ readonly do: 'reply' } & Pick<Result & { end: 'replied' }, 'replies' | 'from'>)

/** Where a run of it has come to. `kept`: steps of this run. */
export function nextOf(script: Script, dispatch: Dispatch, kept: ReadonlySet<string>, nowMs: number): Next {
  const { steps = [], waits = [] } = dispatch.journal ?? {}
  const done = new Set([...steps.map(({ name }) => name), ...kept])
  const states = new Map(waits.map(({ name, state }) => [name, state]))
  let from = 0
  for (const [at, section] of script.entries()) {
    for (let n = 0; n < section.steps; n++)
      if (!done.has(`step ${at}.${n}`)) return { do: 'step', name: `step ${at}.${n}` }
    const replies = repliesOf(dispatch, at, section)
    if (section.waits.length === 0) return { do: 'reply', replies, from }
    const found = section.waits.map((_, n) => states.get(nameOf(at, n)))
    if (found.every((state) => state === undefined))
      return { do: 'suspend', waits: newWaits(dispatch, at, section, nowMs), replies, from }
    const over = found.filter((state) => state !== undefined && state !== 'open')
    from += replies.length
    if (over.length < (section.races ? 1 : found.length))
      return { do: 'suspend', waits: [], replies: [], from }
  }
  throw new Error('a script ends with a section that waits for nothing')
}

/** As short as a question's id may be. */
export function questionId(messageId: string, at: number, n: number): string {
  return `q-${messageId}-${at}-${n}`
}

const nameOf = (at: number, n: number) => `wait ${at}.${n}`

function newWaits(dispatch: Dispatch, at: number, { waits, replies }: Section, nowMs: number): NewWait[] {
  return waits.map(({ kind, ms, isInstant = false, values, freeText = values === undefined }, n) => ({
    name: nameOf(at, n),
    kind,
    until: isInstant ? { atMs: nowMs + ms } : { forMs: ms },
    question:
      kind === 'sleep'
        ? null
        : {
            id: questionId(dispatch.message.id, at, n),
            values: values ?? null,
            address: freeText ? addressKey(placeOf(dispatch)) : null,
          },
    said: Array.from({ length: replies }, (_, index) => `${at}.${index}`),
    isAlone: waits.length === 1,
  }))
}

/**
 * Where it says something: in the conversation of its message, or, where that has none, in one of its own.
 */
function placeOf({ message }: Dispatch) {
  const { channelType, platformId, threadId } = message
  return { channelType: channelType ?? 'chat', platformId: platformId ?? 'ann', threadId }
}

/** The same in each run; a question is one of them. */
function repliesOf(dispatch: Dispatch, at: number, { replies, waits }: Section): Reply[] {
  const asks = waits.flatMap(({ kind }, n) => (kind === 'ask' ? questionId(dispatch.message.id, at, n) : []))
  const said = Array.from({ length: replies }, (_, index) => ({ section: at, index }))
  return [...said, ...asks.map((asked) => ({ section: at, asked }))].map((content) => ({
    kind: 'chat',
    ...placeOf(dispatch),
    deliverAfterMs: null,
    content: JSON.stringify({ to: dispatch.message.id, ...content }),
  }))
}
