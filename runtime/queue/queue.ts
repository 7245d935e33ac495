// Every message in memory, by id. The states are in message.ts; here a message changes its state and its
// place in the indexes together, so that they cannot disagree: lanes (what stands in line), the two time
// queues (what waits for its time), and the counters. Nothing here must survive a crash: all of it is found
// again in the two files.
import { type Clock, steady } from '../protocol/clock.ts'
import { Lanes } from './lanes.ts'
import type { MessageSource } from './message.ts'
import {
  type Entry,
  enter,
  entryIn,
  found,
  GONE,
  type Message,
  type MessageState,
  type StateName,
} from './message.ts'
import { TimeQueue } from './timers.ts'

export interface QueueLimits {
  /** Messages remembered that are due later; beyond, only those that are due first are kept. */
  readonly scheduledMax: number
  /** Messages without a function that are remembered one by one; the rest is found again by the rescan. */
  readonly parkedMax: number
}

export interface QueueParts {
  readonly clock: Clock
  readonly limits: QueueLimits
  /** Entries given out at once: a worker that serves only so many messages gets no more. */
  readonly takenMax?: number
  /** The time of these has come. */
  readonly onDue: (messages: readonly Message[]) => void
  /** A pause is over: something may be claimed. */
  readonly onReady: () => void
  /** Scheduled messages that had to be forgotten are due by now, and have to be found in the file again. */
  readonly onHorizon: () => void
}

/** Where a message belongs, by what its row and its record say. */
export type Place =
  | Extract<MessageState, { type: 'scheduled' | 'parked' | 'skipped' }>
  | {
      readonly type: 'lane'
      readonly order: number
      readonly facts: EntryFacts
      /** `retrying` until then. */
      readonly untilMs: number | undefined
      /** `waiting`. */
      readonly held?: boolean
    }

/** What is known of a message before it has its place in a lane. */
export type EntryFacts = Omit<Entry, 'message' | 'order'>

export interface Begun {
  readonly id: string
  readonly seq: number
  /** The store knows that it waits. */
  readonly waits: boolean
  readonly isolated: boolean
}

/** A lane that has left memory, since its head waits for its next attempt. */
export interface WaitingLane {
  readonly key: string | null
  readonly functionName: string
  /** What has runs on record. */
  readonly begun: readonly Begun[]
  /** The lowest seq of the others. undefined: there are none. */
  readonly tailFrom: number | undefined
  /** Those of the others that are isolated. */
  readonly suspects: readonly string[]
  /** When its head may run again, by the monotonic clock. */
  readonly dueAtMs: number
}

/**
 * A message that waits in a time queue. It counts only as long as the message is in the very state that put
 * it there.
 */
interface Waiting {
  readonly message: Message
  readonly state: MessageState
}

export class Queue {
  readonly #parts: QueueParts
  readonly #messages = new Map<string, Message>()
  readonly #counts: Record<StateName, number> = {
    found: 0,
    scheduled: 0,
    parked: 0,
    skipped: 0,
    rereading: 0,
    ready: 0,
    retrying: 0,
    waiting: 0,
    claiming: 0,
    running: 0,
    finishing: 0,
    gone: 0,
  }
  readonly #lanes: Lanes
  readonly #scheduled: TimeQueue<Waiting>
  readonly #retrying: TimeQueue<Waiting>
  #stopped = false

  constructor(parts: QueueParts) {
    this.#parts = parts
    const { clock, limits, onDue, onHorizon } = parts
    this.#lanes = new Lanes(parts.takenMax)
    this.#scheduled = new TimeQueue({
      clock,
      max: limits.scheduledMax,
      onDue: (due) => onDue(stillWaiting(due)),
      onForget: (far) => stillWaiting(far).forEach((message) => this.remove(message)),
      onHorizon,
    })
    this.#retrying = new TimeQueue({
      clock: steady(clock),
      max: Number.POSITIVE_INFINITY,
      onDue: (over) => this.#wake(stillWaiting(over)),
    })
  }

  /** What stands in the lanes, for the scheduler. */
  get lanes(): Pick<
    Lanes,
    'size' | 'count' | 'has' | 'retrying' | 'functions' | 'readyHeads' | 'readyLanes' | 'waiting'
  > {
    return this.#lanes
  }

  /** Nothing is to be done before a time comes or functions change. */
  get isWaiting(): boolean {
    const waiting = (['scheduled', 'parked', 'retrying', 'waiting'] as const).map((state) =>
      this.count(state),
    )
    return this.#messages.size === waiting.reduce((sum, count) => sum + count)
  }

  get(id: string): Message | undefined {
    return this.#messages.get(id)
  }

  count(state: StateName): number {
    return this.#counts[state]
  }

  /** Of what has no function: how many, by kind. */
  unroutable(): Record<string, number> {
    const counts: Record<string, number> = Object.create(null)
    if (this.#counts.parked === 0) return counts
    for (const { state } of this.#messages.values())
      if (state.type === 'parked' && state.why === 'unroutable')
        counts[state.kind] = (counts[state.kind] ?? 0) + 1
    return counts
  }

  /**
   * Messages up to a seq that are not finished, but for those of which the store knows that they wait for
   * their next attempt, or that their handlers wait. What ends without a run is finished in the transaction
   * that keeps the checkpoint.
   */
  unfinishedUpTo(seq: number): Message[] {
    const isListed = ({ state }: Message) =>
      !(state.type === 'skipped' && !state.perhaps) &&
      state.type !== 'retrying' &&
      state.type !== 'waiting' &&
      !(state.type === 'ready' && state.entry.waits)
    return [...this.#messages.values()].filter((each) => each.seq <= seq && isListed(each))
  }

  /**
   * Gives a message its place, in memory already or not. Where there is no room for it, the rescan finds it
   * again.
   */
  place(id: string, seq: number, source: MessageSource, place: Place): void {
    const message = this.#messages.get(id) ?? this.#found(id, seq, source)
    this.move(message, stateAt(message, place))
  }

  /** @throws IllegalTransition */
  move(message: Message, state: MessageState): void {
    if (state.type === 'parked' && this.#counts.parked >= this.#parts.limits.parkedMax)
      return this.remove(message)
    const before = message.state
    enter(message, state)
    this.#counts[before.type]--
    this.#counts[state.type]++
    this.#enterIndexes(message, before)
  }

  /** It is finished, or has to be found again in the file. */
  remove(message: Message): void {
    const before = message.state
    enter(message, GONE)
    this.#counts[before.type]--
    this.#messages.delete(message.id)
    const entry = entryIn(before)
    if (entry) this.#lanes.remove(entry)
  }

  /** Gives out entries of one function for a claim; see Lanes.take. */
  take(functionName: string, wanted: number, maxBytes: number, isolatedToo: boolean): Entry[] {
    const entries = this.#lanes.take(functionName, wanted, maxBytes, isolatedToo)
    for (const entry of entries) this.move(entry.message, { type: 'claiming', entry })
    return entries
  }

  /**
   * Lanes of a source whose head waits for longer than this leave memory, up to so many messages that have
   * runs on record.
   */
  removeWaiting(source: MessageSource, longerThanMs: number, max: number): WaitingLane[] {
    const afterMs = this.#parts.clock.monotonic() + longerThanMs
    const removed: WaitingLane[] = []
    let left = max
    this.#retrying.takeOut(({ message, state }, dueAtMs) => {
      // It waits no more, or not here.
      if (message.state !== state || state.type !== 'retrying') return true
      const entries = dueAtMs > afterMs && left > 0 ? this.#lanes.behind(state.entry) : undefined
      if (!entries?.every((entry) => entry.message.source === source)) return false
      const lane = waitingLaneOf(entries, dueAtMs)
      left -= lane.begun.length
      removed.push(lane)
      this.#lanes.removeLaneOf(state.entry)
      for (const { message } of entries) {
        this.#step(message, GONE)
        this.#messages.delete(message.id)
      }
      return true
    })
    return removed
  }

  /**
   * All that waits in lanes or has no function is to be read again; returns it, in the order of the lanes.
   */
  rereadWaiting(): Message[] {
    const entries = this.#lanes.empty()
    this.#retrying.clear()
    for (const last of entries) this.#step(last.message, { type: 'rereading', last, holdsLane: false })
    const parked = [...this.#messages.values()].filter(({ state }) => state.type === 'parked')
    for (const message of parked)
      this.#step(message, { type: 'rereading', last: undefined, holdsLane: false })
    return [...entries.map(({ message }) => message), ...parked]
  }

  /**
   * Another file stands at the path: what was read from the old one and is not on its way to disk is not in
   * memory any more.
   */
  startOver(): void {
    this.#lanes.empty()
    this.#scheduled.clear()
    this.#retrying.clear()
    for (const message of this.#messages.values()) {
      const { state } = message
      switch (state.type) {
        case 'claiming':
        case 'running':
        case 'finishing':
        case 'skipped':
          continue
        case 'rereading':
          this.remove(message)
          continue
        default:
          this.#step(message, GONE)
          this.#messages.delete(message.id)
      }
    }
  }

  stop(): void {
    this.#stopped = true
    this.#scheduled.clear()
    this.#retrying.clear()
  }

  /**
   * What does not agree: a state and an index. For the simulation, after every step.
   */
  disagreements(): string[] {
    const counted: Partial<Record<StateName, number>> = {}
    const found: string[] = []
    for (const message of this.#messages.values()) {
      const { id, state } = message
      counted[state.type] = (counted[state.type] ?? 0) + 1
      const inLane = this.#lanes.whereIs(entryIn(state))
      const should = entryIn(state)
        ? state.type === 'ready' || state.type === 'retrying' || state.type === 'waiting'
          ? 'in line'
          : 'out'
        : 'nowhere'
      if (inLane !== should) found.push(`${id} is ${state.type} and stands ${inLane} in its lane`)
    }
    for (const [name, count] of Object.entries(this.#counts))
      if ((counted[name as StateName] ?? 0) !== count && name !== 'gone')
        found.push(`${count} messages are counted as ${name}, ${counted[name as StateName] ?? 0} are`)
    const entries = [...this.#messages.values()].filter(({ state }) => entryIn(state)).length
    if (entries !== this.#lanes.size)
      found.push(`${this.#lanes.size} entries stand in lanes, ${entries} should`)
    return found
  }

  #found(id: string, seq: number, source: MessageSource): Message {
    const message = found(id, seq, source)
    this.#messages.set(id, message)
    this.#counts.found++
    return message
  }

  #enterIndexes(message: Message, before: MessageState): void {
    const { state } = message
    const [was, is] = [entryIn(before), entryIn(state)]
    if (was && was !== is) this.#lanes.remove(was)
    if (is && was !== is) this.#lanes.add(is)
    else if (is && (before.type === 'retrying' || before.type === 'waiting')) this.#lanes.wake(is)
    else if (is && (state.type === 'ready' || state.type === 'retrying' || state.type === 'waiting'))
      this.#lanes.putBack(is)
    if (this.#stopped) return
    if (state.type === 'retrying') this.#pause(message, state)
    if (
      state.type === 'scheduled' &&
      !this.#scheduled.push(state.dueAtMs, { message, state }) &&
      message.state === state
    )
      this.remove(message)
  }

  /** A pause is a length: it goes by the monotonic clock. */
  #pause(message: Message, state: MessageState & { type: 'retrying' }): void {
    const { clock } = this.#parts
    const waitMs = Math.max(state.untilMs - clock.now(), 0)
    this.#retrying.push(clock.monotonic() + waitMs, { message, state })
  }

  #wake(messages: readonly Message[]): void {
    for (const message of messages)
      if (message.state.type === 'retrying') this.move(message, { type: 'ready', entry: message.state.entry })
    this.#parts.onReady()
  }

  /** Changes the state alone: the caller has changed the indexes, for many messages at once. */
  #step(message: Message, state: MessageState): void {
    this.#counts[message.state.type]--
    enter(message, state)
    if (state.type !== 'gone') this.#counts[state.type]++
  }
}

function stateAt(message: Message, place: Place): MessageState {
  if (place.type !== 'lane') return place
  // Field by field: spread, this costs three times as much, for every message.
  const { order, facts } = place
  const entry: Entry = {
    message,
    order,
    spec: facts.spec,
    key: facts.key,
    contentBytes: facts.contentBytes,
    runs: facts.runs,
    attempts: facts.attempts,
    turnedAwaySinceMs: facts.turnedAwaySinceMs,
    crashes: facts.crashes,
    isolated: facts.isolated,
    waits: facts.waits,
  }
  if (place.held) return { type: 'waiting', entry }
  return place.untilMs === undefined
    ? { type: 'ready', entry }
    : { type: 'retrying', entry, untilMs: place.untilMs }
}

function waitingLaneOf(entries: readonly Entry[], dueAtMs: number): WaitingLane {
  const { key, spec } = entries[0]!
  const begun: Begun[] = []
  const suspects: string[] = []
  let tailFrom: number | undefined
  for (const { runs, isolated, waits, message } of entries) {
    const { id, seq, state } = message
    if (runs > 0) begun.push({ id, seq, waits: state.type === 'retrying' || waits, isolated })
    else tailFrom = Math.min(tailFrom ?? Number.POSITIVE_INFINITY, seq)
    if (runs === 0 && isolated) suspects.push(id)
  }
  return { key, functionName: spec.name, begun, tailFrom, suspects, dueAtMs }
}

function stillWaiting(waiting: readonly Waiting[]): Message[] {
  return waiting.filter(({ message, state }) => message.state === state).map(({ message }) => message)
}
