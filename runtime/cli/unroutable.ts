// Why a message has not ended yet, by the files and the status file, and what to do about it.
import { formatDuration } from '../protocol/duration.ts'
import type { Events } from '../protocol/events.ts'
import type { FunctionSpec, Routable } from '../protocol/function.ts'
import type { RuntimeStatus } from '../protocol/status-file.ts'
import { parseTime } from '../protocol/time.ts'
import type { RuntimeSeen } from '../store/sqlite/inspect.ts'
import type { MessageReport, Row } from '../store/sqlite/inspect-message.ts'
import { missedText } from './example.ts'
import { plain } from './print.ts'

/** Undefined: it has ended, runs, or may begin at any moment. */
export function whyItWaits(
  { message, ack, runs }: MessageReport,
  { running, note }: RuntimeSeen,
  nowMs: number,
): string | undefined {
  if (!message || ack?.status === 'completed' || ack?.status === 'failed') return undefined
  // A message that ended long ago has no ack any more; tables of the oldest hosts have no status column.
  if (!['pending', 'paused', 'undefined'].includes(String(message.status))) return undefined
  if (!running)
    return ack
      ? 'its runtime ended while it ran; the next one runs it again: nanoclaw dev'
      : 'no runtime is running; start one: nanoclaw dev'
  if (ack) return undefined
  if (message.status === 'paused') return 'its host has paused it'
  const dueAtMs = laterOf(parseTime(String(message.process_after ?? '')), runs.at(-1)?.nextAtMs)
  if (dueAtMs > nowMs) return `it is due in ${formatDuration(dueAtMs - nowMs)}`
  if (note?.waitingFor !== undefined) return `the runtime waits for ${plain(note.waitingFor, 400)}`
  const kind = String(message.kind)
  return note && Object.hasOwn(note.unroutable, kind)
    ? heldText(kind, note.functions, routableOf(message))
    : undefined
}

function laterOf(a: number | undefined, b: number | null | undefined): number {
  return Math.max(a ?? 0, b ?? 0)
}

type Listed = Pick<RuntimeStatus['functions'][number], 'name' | 'file' | 'broken' | 'stillServed' | 'rule'>

/** The part of a row that rules read. */
export function routableOf(row: Row | null): Routable | undefined {
  if (row === null) return undefined
  const text = (column: string) => (typeof row[column] === 'string' ? row[column] : null)
  return {
    kind: String(row.kind),
    channelType: text('channel_type'),
    platformId: text('platform_id'),
    threadId: text('thread_id'),
    trigger: row.trigger !== 0,
    content: text('content'),
  }
}

/** Why messages of this kind are parked, if any are. */
function heldText(kind: string, functions: readonly Listed[], message: Routable | undefined): string {
  const broken = mendText(kind, functions)
  if (broken !== undefined) return broken
  const missed = functions.flatMap(
    ({ name, rule }) => (rule && message && missedText(name, rule, message)) ?? [],
  )
  if (missed.length > 0) return missed.slice(0, 2).join('. ')
  const same = functions.find(({ name }) => name === kind)
  if (same)
    return `no function takes this message of kind ${plain(kind)}; see the \`on\` of ${plain(same.file)}`
  const some = functions.find(({ rule }) => rule?.kind?.includes(kind))
  if (some)
    return `no function takes this message of kind ${plain(kind)}; see the \`on\` of ${plain(some.file)}`
  return `no function takes kind ${plain(kind)}; ${IS_NAME.test(kind) ? `functions/${kind}.ts` : `one with on: { kind: ${plain(JSON.stringify(kind))} }`} would take it`
}

/** Same pattern as in catalog/discover.ts. */
const IS_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** The remedy for messages of this kind, when the function of that name is broken and not in use. */
export function mendText(kind: string, functions: readonly Listed[]): string | undefined {
  const same = functions.find(({ name }) => name === kind)
  if (same?.broken === undefined || same.stillServed) return undefined
  return `${plain(same.file)} is broken and must be fixed`
}

export interface RoutingFacts {
  readonly functions: () => readonly FunctionSpec[]
  readonly messageOf: (id: string) => Routable | undefined
}

/** Reports once per kind why its messages are parked, and again when functions have changed. */
export function onUnroutable(
  events: Events,
  { functions, messageOf }: RoutingFacts,
  tell: (id: string, why: string) => void,
): void {
  const told = new Set<string>()
  const broken = new Map<string, string>()
  events.on('functions-changed', ({ changed }) => {
    told.clear()
    for (const name of changed) broken.delete(name)
  })
  events.on('function-broken', ({ functionName, message, stillServed }) => {
    if (stillServed) return
    told.delete(functionName)
    broken.set(functionName, message)
  })
  events.on('unroutable', ({ id, kind }) => {
    if (told.has(kind)) return
    told.add(kind)
    const bad = [...broken].map(([name, why]) => ({ name, file: `function ${name}`, broken: why }))
    tell(id, heldText(kind, [...functions(), ...bad], messageOf(id)))
  })
}
