// A message in memory, and the states that it passes through. Its state is here and nowhere else: lanes,
// timers and counters are indexes of it, kept by queue.ts. A transition that the table does not have is a bug
// and ends the runtime.
//
//   found ──► scheduled | parked | skipped | ready | retrying | waiting    its row was read (sources/)
//   all of these but skipped ──► rereading ──► as found     its time has come, or something has changed
//   retrying, waiting ──► ready ──► claiming ──► running ──► finishing     dispatcher.ts
//   claiming ──► ready                                                     the commit failed
//   finishing ──► ready (released) | retrying | waiting | rereading | gone the commit is on disk
import type { FunctionSpec } from '../protocol/function.ts'
import type { HandlerMessage } from '../protocol/handler.ts'
import type { Dispatch } from '../protocol/ipc.ts'

export interface Message {
  readonly id: string
  /** The host's number; Infinity for a message without one. */
  readonly seq: number
  readonly source: MessageSource
  /** Set by `enter` alone. */
  state: MessageState
  /** The last eight states, the newest in the lowest four bits: see historyOf. */
  past: number
}

/** A message whose function is known, as it stands in its lane. */
export interface Entry {
  readonly message: Message
  /**
   * Its place in its lane: the host's seq; messages without one stand behind, in the order in which they were
   * found.
   */
  readonly order: number
  readonly spec: FunctionSpec
  readonly key: string | null
  readonly contentBytes: number
  /** Runs so far, of any end. */
  runs: number
  /** Runs charged to the handler so far. */
  attempts: number
  /** When its handler first asked for a wait that costs no attempt. */
  turnedAwaySinceMs: number | null
  /** Runs that ended with the death of a process in which nothing else ran. */
  crashes: number
  /** Suspected of ending its process: runs with nothing beside it. */
  isolated: boolean
  /** The store knows that it waits, or has waited and not been claimed since. */
  waits: boolean
}

export type MessageState =
  /** Its row was read; it has no place yet. */
  | { readonly type: 'found' }
  /** Due later. */
  | { readonly type: 'scheduled'; readonly dueAtMs: number }
  /** No function takes it, or it waits for the next start. */
  | { readonly type: 'parked'; readonly why: 'unroutable' | 'on-wake'; readonly kind: string }
  /**
   * Ends without a run, with the next commit: it is rejected, or answers a question. `perhaps`: or has a run
   * after all, where that commit finds the question answered.
   */
  | { readonly type: 'skipped'; readonly perhaps?: boolean }
  /**
   * Its row is read again. `last`: what it was in its lane; with `holdsLane` it keeps that lane waiting until
   * then.
   */
  | { readonly type: 'rereading'; readonly last: Entry | undefined; readonly holdsLane: boolean }
  /** May be claimed when it is at the head of its lane. */
  | { readonly type: 'ready'; readonly entry: Entry }
  /** Keeps its lane waiting until `untilMs` by the wall clock. */
  | { readonly type: 'retrying'; readonly entry: Entry; readonly untilMs: number }
  /** Its handler waits, and keeps its lane waiting, until something wakes it. */
  | { readonly type: 'waiting'; readonly entry: Entry }
  /** Its claim is part of the next commit. */
  | { readonly type: 'claiming'; readonly entry: Entry }
  /** In a worker. */
  | { readonly type: 'running'; readonly entry: Entry }
  /** Its run has ended; the result is part of the next commit. */
  | { readonly type: 'finishing'; readonly entry: Entry }
  /** Not in memory any more: finished, or to be found again in the file. */
  | { readonly type: 'gone' }

export type StateName = MessageState['type']

/** Where a message may go. */
export const TRANSITIONS: Readonly<Record<StateName, readonly StateName[]>> = {
  found: ['scheduled', 'parked', 'skipped', 'ready', 'retrying', 'waiting', 'gone'],
  scheduled: ['rereading', 'gone'],
  parked: ['rereading', 'gone'],
  skipped: ['rereading', 'gone'],
  rereading: ['scheduled', 'parked', 'skipped', 'ready', 'retrying', 'waiting', 'gone'],
  ready: ['claiming', 'rereading', 'gone'],
  retrying: ['ready', 'rereading', 'gone'],
  waiting: ['ready', 'rereading', 'gone'],
  claiming: ['running', 'ready', 'rereading', 'gone'],
  running: ['finishing'],
  finishing: ['ready', 'retrying', 'waiting', 'rereading', 'gone'],
  gone: [],
}

export const GONE: MessageState = { type: 'gone' }
const FOUND: MessageState = { type: 'found' }

const NAMES = Object.keys(TRANSITIONS) as StateName[]
const CODES = Object.fromEntries(NAMES.map((name, code) => [name, code])) as Record<StateName, number>
/**
 * For each state the states that may follow it, one bit each: this is asked for every step of every message.
 */
const FOLLOWING = NAMES.map((name) => TRANSITIONS[name].reduce((bits, next) => bits | (1 << CODES[next]), 0))

export function found(id: string, seq: number, source: MessageSource): Message {
  return { id, seq, source, state: FOUND, past: 0 }
}

/** @throws IllegalTransition */
export function enter(message: Message, state: MessageState): void {
  if ((FOLLOWING[CODES[message.state.type]]! & (1 << CODES[state.type])) === 0)
    throw new IllegalTransition(message, state.type)
  message.state = state
  message.past = (message.past << 4) | CODES[state.type]
}

/** The entry that stands in a lane while a message is in this state, if one does. */
export function entryIn(state: MessageState): Entry | undefined {
  if ('entry' in state) return state.entry
  return state.type === 'rereading' && state.holdsLane ? state.last : undefined
}

/** The last eight states of a message, oldest first. */
export function historyOf({ past }: Message): StateName[] {
  const names: StateName[] = []
  for (let left = past >>> 0; left > 0; left >>>= 4) names.unshift(NAMES[left & 15]!)
  return names
}

/** A bug in the runtime: the message is not where the code believes it to be. */
export class IllegalTransition extends Error {
  override readonly name = 'IllegalTransition'

  constructor(message: Message, to: string) {
    const past = historyOf(message).join(' → ') || 'found'
    super(`message ${JSON.stringify(message.id)} cannot become ${to}: it went ${past}`)
  }
}

/** A message whole, as its source has it now. */
export type MessageRow = Dispatch['message'] & Pick<HandlerMessage, 'status'>

/**
 * Where messages come from. inbound.db is the first source (sources/inbound.ts); a message knows its own, and
 * each source is asked about its own messages only.
 */
export interface MessageSource {
  /** Reads messages afresh; one that is not there any more is left out. May throw, see readFailed. */
  getMessages(ids: readonly string[]): ReadonlyMap<string, MessageRow>
  /** A read of the dispatcher's failed; the source calls for another turn when it can be read again. */
  readFailed(error: unknown): void
  /** Whether its function is still the one that it was taken up for. */
  isCurrent(entry: Entry): boolean
  /** Its row or its function has changed: the source finds it its place anew. */
  reread(entry: Entry): void
  /** It has left the queue for good. */
  onFinished(message: Message): void
  /** Its handler waits until then by the wall clock, or for something that comes before. */
  onSuspended(entry: Entry, wakeAtMs: number): void
  /** It answers a question that is not open any more, and is a message in its own right. */
  onUnused(message: Message): void
  /** It has left the queue, since its claim was refused or taken away: what becomes of it is in the files. */
  onClaimLost(message: Message): void
}
