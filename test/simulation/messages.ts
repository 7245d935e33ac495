// A message as the judge knows it: what stands in inbound.db, what is on record about it
// in outbound.db, and what its handler has done. The simulated host writes the first part, the books keep the
// rest.
import type { Outcome } from '../../runtime/protocol/outcome.ts'
import { isoTime, sqliteTime } from '../../runtime/protocol/time.ts'
import { CONTEXT_KIND, type Fate, fateOf, laneOf, PLAIN } from './cast.ts'
import type { Kind, NewMessage } from './events.ts'
import { type Script, scriptOf } from './scripts.ts'

export interface Told {
  readonly id: string
  readonly plan: number
  readonly kind: Kind
  /** Messages of one lane run in order. */
  readonly lane: string | null
  readonly address: string | null
  readonly content: string
  readonly onWake: boolean
  /** Its trigger is 0: only a function that asks for context runs on it. */
  readonly context: boolean
  /** What its handler does the first time, where that does not follow from its plan. */
  readonly does: readonly Partial<Fate>[]
  readonly script: Script | undefined
  seq: number | null
  /** In the file, with this status. */
  status: 'pending' | 'paused' | 'completed' | 'deleted'
  /** The text, and the instant that it means: 0 at once, NaN unreadable. */
  processAfter: string | null
  dueAtMs: number
  /** Was due at once and has not been touched by the host since: must run in the order of its seq. */
  strict: boolean
  /** Was inserted more than once. */
  renumbered: boolean

  ack: 'none' | 'processing' | 'completed' | 'failed'
  /** The run that is on record as running. */
  run: { readonly run: number; readonly alone: boolean; readonly worker: number } | undefined
  /** Runs charged to the handler: on disk, and those that have ended and are not on disk yet. */
  charged: number
  chargedSoon: number
  /** When a wait that its handler asked for was first written down, and cost no attempt. */
  turnedAwaySinceMs: number | undefined
  /** Deaths of processes that were its doing, and of the runtime while it ran by itself, on disk. */
  deaths: number
  /** A run was cut short by a death of the runtime; it must run alone. */
  interrupted: boolean
  /**
   * It was in a process that died, in the life of this runtime: it must run alone, unless this may be
   * forgotten by now.
   */
  suspect: 'no' | 'yes' | 'perhaps'
  /** What was last decided about its next attempt, by the wall clock and by the steady one. */
  notBefore: { readonly wallMs: number; readonly ms: number }
  /** How its last run ended, and when, until that is on disk. */
  outcome: Outcome | undefined
  endedAtMs: number
  replies: readonly string[]
  /** Of these the one that its store has kept when it forgot the message, by its place among all. */
  left: ReadonlyMap<number, string>
  /** The host has delivered so many of them, before they were forgotten too: their ids stay the same. */
  delivered: number
  /** The store knows nothing of it any more; whether a row that stands there still runs again is open. */
  forgotten: boolean

  /** What it has done by name, on disk. */
  readonly steps: Map<string, string | null>
  /** What it has waited for, by name, on disk. */
  readonly waits: Map<string, KnownWait>
  /** It waits, between two runs. */
  suspended: Suspended | undefined
  /** A question of it was answered since its last claim. */
  isAnswered: boolean
  /** It has waited, or was taken for an answer, and others of its lane did not wait for it. */
  overtaken: boolean
  /** Questions that were open for text in its conversation when it came. */
  mayAnswer: readonly KnownWait[]

  /** The end of a run found its claim gone: on record it has begun, whether or not its handler has. */
  hasLost: boolean
  /** How often its handler was called. */
  started: number
  /** Its handler has replied, and nothing has come in the way of that reply so far. */
  replied: boolean
}

export interface KnownWait {
  readonly messageId: string
  readonly name: string
  readonly kind: 'sleep' | 'ask'
  readonly wakeAtMs: number
  readonly run: number
  readonly replies: number
  readonly said: readonly string[]
  readonly isAlone: boolean
  readonly questionId: string | null
  readonly values: readonly string[] | null
  readonly address: string | null
  readonly afterSeq: number
  state: 'open' | 'done' | 'timeout' | 'closed'
  value: string | null
}

export interface Suspended {
  readonly wakeAtMs: number
  readonly holds: boolean
  /** One of its waits has ended. */
  ready: boolean
  /** The clock was set back since. */
  isSetBack: boolean
}

/** Addresses: two lanes that many share, a third of its own, none. */
export const ADDRESSES = ['ann', 'bob', 'eve', null] as const
const LONG = 'x'.repeat(3_000)
/** Content that the runtime takes. */
export const CONTENT_MAX = 2_000

/** `said`: its content, where that does not follow from its number. */
export function messageOf(from: NewMessage, nowMs: number, said?: object): Told {
  const { plan, kind, odd, due } = from
  const address = ADDRESSES[from.address] ?? null
  const user = odd === 'bad-json' ? null : `u${plan % 2}`
  const { processAfter, dueAtMs } = timeOf(due, plan, nowMs)
  return {
    id: `m-${plan.toString(36)}`,
    plan,
    kind,
    address,
    lane: laneOf(kind, address, user),
    content:
      odd === 'bad-json'
        ? 'no json'
        : JSON.stringify({
            user,
            ...(kind === 'chat' && { text: `t${plan}` }),
            ...said,
            ...(odd === 'too-large' && { LONG }),
          }),
    onWake: odd === 'on-wake',
    context: odd === 'context',
    does: from.does ?? [],
    script: from.script,
    seq: odd === 'numberless' ? null : 0,
    status: 'pending',
    processAfter,
    dueAtMs,
    strict:
      due === 'now' &&
      odd !== 'numberless' &&
      odd !== 'on-wake' &&
      odd !== 'context' &&
      kind !== 'late' &&
      kind !== 'system' &&
      kind !== 'nobody',
    renumbered: false,
    ack: 'none',
    run: undefined,
    charged: 0,
    chargedSoon: 0,
    turnedAwaySinceMs: undefined,
    deaths: 0,
    interrupted: false,
    suspect: 'no',
    notBefore: { wallMs: 0, ms: 0 },
    outcome: undefined,
    endedAtMs: 0,
    replies: [],
    left: new Map(),
    delivered: 0,
    forgotten: false,
    steps: new Map(),
    waits: new Map(),
    suspended: undefined,
    isAnswered: false,
    overtaken: false,
    mayAnswer: [],
    hasLost: false,
    started: 0,
    replied: false,
  }
}

/** What its handler does now. */
export function fateNow({ kind, plan, started, does, script }: Told): Fate {
  const named = does[Math.min(started, does.length) - 1]
  if (!named) return fateOf(kind, plan, started)
  return { ...PLAIN, script: script ?? scriptOf(kind, plan), ...named }
}

/** It ends as completed without a run: no function asks for it. */
export function isPassedOver(message: Told): boolean {
  return message.context && message.kind !== CONTEXT_KIND && message.kind !== 'system' && !isRefused(message)
}

/** It ends as failed without a run, if it is ever looked at. */
export function isRefused({ dueAtMs, content }: Told): boolean {
  return Number.isNaN(dueAtMs) || content.length > CONTENT_MAX
}

export function isOver({ ack }: Told): boolean {
  return ack === 'completed' || ack === 'failed'
}

const AHEAD_MS = { now: 0, past: -60_000, soon: 300, later: 90_000, far: 50 * 86_400_000 }

/** In one of the forms that hosts write. */
export function timeOf(
  due: NewMessage['due'],
  plan: number,
  nowMs: number,
): Pick<Told, 'processAfter' | 'dueAtMs'> {
  if (due === 'now') return { processAfter: plan % 8 === 0 ? '' : null, dueAtMs: 0 }
  if (due === 'unreadable') return { processAfter: 'tomorrow', dueAtMs: Number.NaN }
  const atMs = nowMs + AHEAD_MS[due] * (1 + (plan % 5))
  const wholeMs = atMs - (atMs % 1_000)
  switch (plan % 3) {
    case 0:
      return { processAfter: isoTime(atMs), dueAtMs: atMs }
    case 1:
      return { processAfter: sqliteTime(wholeMs).slice(0, 19), dueAtMs: wholeMs }
    default:
      return { processAfter: isoTime(wholeMs + 7_200_000).replace('.000Z', '+02:00'), dueAtMs: wholeMs }
  }
}

/** A message of which the store knows nothing any more. */
export const FORGOTTEN = {
  ack: 'none',
  charged: 0,
  deaths: 0,
  interrupted: false,
  suspect: 'no',
  turnedAwaySinceMs: undefined,
  strict: false,
  forgotten: true,
} as const
