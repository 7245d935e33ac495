// The story of a message, told for all messages that are at the same point at once. One turn:
//   take    due messages from their lanes, as many as there are children free to run them
//   read    them afresh: one that the host has paused or cancelled meanwhile is dropped here
//   commit  ONE transaction: how the runs of before have ended (acks with their replies), and the claims of what runs next
//   run     each batch in its child process; every message comes back as exactly one Outcome
//   settle  decide what follows (done, failed, retry, released); the next turn writes it down
// A turn that cannot commit changes nothing: what has ended is kept, what was taken goes back to its lane.
import type { Clock, Timer } from './protocol/clock.ts'
import type { Checkpoint, CommitBatch, CommitResult, Rejection } from './protocol/commit-batch.ts'
import type { Events } from './protocol/events.ts'
import type { FunctionSpec } from './protocol/function.ts'
import type { Message } from './protocol/handler.ts'
import type { Dispatch } from './protocol/ipc.ts'
import type { Outcome } from './protocol/outcome.ts'
import { dueTime } from './protocol/time.ts'
import { BatchSize } from './queue/batch-size.ts'
import type { Entry, Lanes } from './queue/lanes.ts'
import { decideNext, isCharged, type Next, RETRY_AFTER_FREE_MS } from './queue/retry-policy.ts'
import { byTheClock, type Closing, endingOf, settledOf } from './queue/run-result.ts'
import { CommitRetry, type Passing } from './store/commit-retry.ts'

/** How one run ended, from whoever ran it. */
export interface RunEnd {
  readonly n: number
  readonly outcome: Outcome
  readonly durationMs: number
}

/** A child that takes a batch now. */
export interface Slot {
  readonly pid: number
  /** Nothing is running in it. */
  readonly idle: boolean
  /** Reports every dispatch exactly once, several at a time where they end together. */
  run(batch: readonly Dispatch[], onEnded: (ended: readonly RunEnd[]) => void): void
}

export interface Pace {
  /** Busy children too, for a second batch behind the first. */
  readonly behind: boolean
  /** The function waits for nothing outside its process: more busy children than cores would only take turns. */
  readonly quick: boolean
}

export interface Workers {
  /** Up to `wanted` free children for this function; starts more, for later. `promised`: pids given to others. */
  offer(spec: FunctionSpec, wanted: number, pace: Pace, promised: ReadonlySet<number>): Slot[]
}

type MessageRow = Dispatch['message'] & Pick<Message, 'status'>

export interface Reader {
  getMessages(ids: readonly string[]): Map<string, MessageRow>
  maxSeq(): number
}

export interface Writer {
  commit(turn: CommitBatch): CommitResult
}

/** Whoever feeds the executor hears what becomes of each entry. */
export interface Intake {
  /** The message ended, or is not in the file any more: forget it. */
  gone(entry: Entry): void
  /** Its claim was not to be had, or was taken away: the files say what becomes of it. */
  lost(entry: Entry): void
  /** It waits in its lane until `entry.waitsUntilMs`. */
  waits(entry: Entry): void
  /** The file, or its function, says something else about it by now: look at it again, and keep its lane waiting until then. */
  lookAgain(entry: Entry): void
  /** Whether its function is still the one that it was taken up for. */
  isCurrent(entry: Entry): boolean
  /** How far the file has been read, when it is time to write that down. */
  mark(nowMs: number): Checkpoint | null
}

export interface DispatcherParts {
  readonly clock: Clock
  readonly random: () => number
  readonly reader: Reader
  readonly writer: Writer
  readonly workers: Workers
  readonly lanes: Lanes
  readonly intake: Intake
  readonly events: Events
  readonly crashLimit: number
  /** After a commit that started runs. */
  readonly claimed: () => void
  /** What a failed commit means: it passes, in one way or another, or it stops the runtime. */
  readonly classify: (error: unknown) => Passing | 'fatal'
  /** A failed commit, for people. */
  readonly explain: (error: unknown) => string
  /** The reading side failed; whoever watches the file deals with it. */
  readonly readFailed: (error: unknown) => void
  readonly fatal: (error: unknown) => void
}

/** Most content in one batch. */
const BATCH_BYTES_MAX = 1024 * 1024
/** A handler of which so many fit into a batch takes less than a third of a millisecond: no call to another service is so short. */
const QUICK_BATCH = 16

/** A message in a child, or about to be. */
interface Starting {
  readonly n: number
  readonly entry: Entry
  readonly run: number
  readonly attempt: number
  readonly alone: boolean
  readonly message: MessageRow
}

interface Batch {
  readonly slot: Slot
  readonly starting: readonly Starting[]
}

export class Dispatcher {
  readonly #parts: DispatcherParts
  readonly #running = new Map<number, Starting>()
  readonly #batchSize = new BatchSize()
  readonly #pause: CommitRetry
  #closing: Closing[] = []
  #refusals = new Map<string | number, Rejection>()
  #servedLast = ''
  #closed = false
  #dispatches = 0
  #inboundSeq = 0
  #soon: Timer | undefined
  #claiming = true
  #whenIdle: (() => void)[] = []

  constructor(parts: DispatcherParts) {
    this.#parts = parts
    this.#pause = new CommitRetry({ ...parts, again: () => this.nudge() })
  }

  /** Messages whose run has begun and is not yet written down as ended. */
  get running(): number {
    return this.#running.size + this.#closing.length
  }

  /** What has a claim on disk, and no end; `results`: of these, handlers that have ended. */
  get unwritten(): { readonly claims: number; readonly results: number } {
    const results = this.#closing.filter(({ outcome }) => outcome.type !== 'cancelled').length
    return { claims: this.running, results }
  }

  /** Asks for a turn; any number of calls before it make one. */
  nudge(): void {
    if (this.#closed) return
    this.#soon ??= this.#parts.clock.soon(() => {
      this.#soon = undefined
      if (!this.#pause.on) this.#turn()
    })
  }

  /** Ends a message without running it. `key`: what it is told from others by, where its id does not do that. */
  refuse(refusal: Rejection, key: string | number = refusal.id): void {
    this.#refusals.set(key, refusal)
    this.nudge()
  }

  /** Claims nothing from now on. True when everything that runs has ended and is on disk, false once closed. */
  async drain(): Promise<boolean> {
    this.#claiming = false
    this.#pause.hurry()
    this.nudge()
    return !this.#closed && new Promise((resolve) => this.#whenIdle.push(() => resolve(true)))
  }

  /** Nothing is written from now on, whatever still comes. */
  close(): void {
    this.#closed = true
    this.#soon?.cancel()
    this.#pause.stop()
  }

  #turn(): void {
    const taken = this.#claiming ? this.#take() : new Map<Slot, Entry[]>()
    const batches = this.#read(taken)
    if (this.#commit(batches)) for (const batch of batches) this.#run(batch)
    if (this.running + this.#refusals.size === 0) for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  #take(): Map<Slot, Entry[]> {
    const { lanes, workers } = this.#parts
    const taken = new Map<Slot, Entry[]>()
    const promised = new Set<number>()
    const ready = this.#inTurns([...lanes.readyFunctions()])
    for (const spec of ready) {
      const waiting = lanes.waiting(spec.name)
      const most = this.#batchSize.max(spec.name)
      const wanted = Math.min(Math.ceil(waiting / most), lanes.readyLanes(spec.name))
      // A second batch in a process is for a function that has all of them to itself.
      const pace = { behind: most > 1 && ready.length === 1, quick: most >= QUICK_BATCH }
      const slots = workers.offer(spec, wanted, pace, promised)
      const share = Math.min(most, Math.ceil(waiting / Math.max(slots.length, 1)))
      for (const slot of slots) {
        const entries = lanes.take(spec.name, share, BATCH_BYTES_MAX, slot.idle)
        if (entries.length === 0) continue
        taken.set(slot, entries)
        this.#servedLast = spec.name
        if (slot.idle) promised.add(slot.pid)
      }
    }
    return taken
  }

  /** Whoever was served last waits for the others, so that a long backlog of one keeps nobody out. */
  #inTurns(ready: readonly FunctionSpec[]): FunctionSpec[] {
    const next = ready.findIndex(({ name }) => name === this.#servedLast) + 1
    return [...ready.slice(next), ...ready.slice(0, next)]
  }

  #read(taken: Map<Slot, Entry[]>): Batch[] {
    const { reader, readFailed, lanes } = this.#parts
    const ids = [...taken.values()].flat().map(({ id }) => id)
    const replying = this.#closing.some(
      ({ outcome }) => outcome.type === 'replied' && outcome.replies.length > 0,
    )
    if (ids.length === 0 && !replying) return []
    try {
      this.#inboundSeq = reader.maxSeq()
      const messages = ids.length > 0 ? reader.getMessages(ids) : new Map<string, MessageRow>()
      return [...taken].map(([slot, entries]) => ({
        slot,
        starting: this.#starting(slot, entries, messages),
      }))
    } catch (error) {
      for (const entry of [...taken.values()].flat()) lanes.putBack(entry)
      readFailed(error)
      return []
    }
  }

  /** Of what was taken for a child, what the file still says is to be run now. */
  #starting(slot: Slot, entries: readonly Entry[], messages: Map<string, MessageRow>): Starting[] {
    const { lanes, intake, clock } = this.#parts
    return entries.flatMap((entry) => {
      const message = messages.get(entry.id)
      if (message?.status === 'pending' && isDue(message, clock.now())) {
        const alone = slot.idle && entries.length === 1
        return {
          n: ++this.#dispatches,
          entry,
          run: entry.runs + 1,
          attempt: entry.attempts + 1,
          alone,
          message,
        }
      }
      if (message?.status === 'pending') intake.lookAgain(entry)
      else {
        lanes.remove(entry)
        intake.gone(entry)
        // Nothing of it comes back that would ask for the turn of the one behind it.
        this.nudge()
      }
      return []
    })
  }

  /** Whether the turn is on disk. If not, nothing has changed. */
  #commit(batches: Batch[]): boolean {
    const { writer, clock, intake, claimed } = this.#parts
    const nowMs = clock.now()
    const claims = batches.flatMap(({ slot, starting }) =>
      starting.map(({ entry, run, attempt, alone }) => ({
        id: entry.id,
        run,
        attempt,
        functionName: entry.spec.name,
        worker: slot.pid,
        alone,
      })),
    )
    if (this.#closing.length + this.#refusals.size + claims.length === 0) return false
    this.#closing = this.#closing.map((each) => byTheClock(each, nowMs - clock.monotonic()))
    const turn = {
      nowMs,
      endings: this.#closing.map(endingOf),
      claims,
      refusals: [...this.#refusals.values()],
      inboundSeq: this.#inboundSeq,
      mark: intake.mark(nowMs),
    }
    let done: CommitResult
    try {
      done = writer.commit(turn)
    } catch (error) {
      for (const { starting } of batches) for (const { entry } of starting) this.#parts.lanes.putBack(entry)
      this.#commitFailed(error)
      return false
    }
    this.#committed(done.lost)
    if (done.refused.size > 0) this.#dropRefused(batches, done.refused)
    if (claims.length > done.refused.size) claimed()
    return true
  }

  #run({ slot, starting }: Batch): void {
    const [first] = starting
    if (!first) return
    const { events } = this.#parts
    if (events.listenerCount('claimed') > 0)
      events.emit('claimed', {
        ids: starting.map(({ entry }) => entry.id),
        functionName: first.entry.spec.name,
      })
    for (const each of starting) this.#running.set(each.n, each)
    const batch = starting.map(({ n, entry, attempt, message }): Dispatch => {
      const { alone, key, spec } = entry
      return { n, lane: key ?? '', attempt, alone, timeoutMs: spec.timeoutMs, message }
    })
    slot.run(batch, (ended) => this.#settle(ended))
  }

  #settle(ended: readonly RunEnd[]): void {
    if (this.#closed) return
    const { clock, random, lanes, crashLimit } = this.#parts
    const nowMs = clock.now()
    const aheadMs = nowMs - clock.monotonic()
    for (const { n, outcome, durationMs } of ended) {
      const running = this.#running.get(n)
      if (!running) continue
      this.#running.delete(n)
      const { entry, run, attempt } = running
      const facts = {
        attempt,
        crashes: entry.crashes,
        crashLimit,
        policy: entry.spec.retry,
        turnedAwaySinceMs: entry.turnedAwaySinceMs,
        freeWaitMs: RETRY_AFTER_FREE_MS,
        nowMs,
        random: random(),
      }
      const next = decideNext(outcome, facts)
      this.#closing.push({ entry, run, attempt, outcome, durationMs, next, aheadMs })
      this.#learn(entry, outcome, durationMs, next, nowMs)
      // What runs again stays out until that is on disk: whatever stands in a lane is there as the disk knows it.
      if (isOver(next)) lanes.remove(entry)
    }
    this.nudge()
  }

  #learn(entry: Entry, outcome: Outcome, durationMs: number, next: Next, nowMs: number): void {
    const died = outcome.type === 'exited' || outcome.type === 'killed' || outcome.type === 'out-of-memory'
    if (died) entry.crashes++
    if (died || (outcome.type === 'cancelled' && outcome.why === 'process-died')) entry.alone = true
    if (next.type !== 'released' || next.keep) entry.runs++
    if (isCharged(next)) entry.attempts++
    else if (next.type === 'retry') entry.turnedAwaySinceMs ??= nowMs
    if (outcome.type !== 'cancelled') this.#batchSize.learn(entry.spec.name, durationMs)
  }

  /** On disk: now everybody may know. */
  #committed(lost: ReadonlySet<string>): void {
    const { events, intake, lanes } = this.#parts
    const closing = this.#closing
    const refusals = this.#refusals
    this.#closing = []
    this.#refusals = new Map()
    this.#pause.healed(closing.length)
    for (const { entry, next } of closing) {
      if (lost.has(entry.id)) {
        lanes.remove(entry)
        intake.lost(entry)
      } else if (isOver(next)) intake.gone(entry)
      else this.#keep(entry, next)
    }
    for (const refusal of refusals.values())
      if (refusal.ack === 'completed') events.emit('context', { id: refusal.id })
      else events.emit('refused', refusal)
    if (closing.length === 0) return
    events.emit(
      'settled',
      closing.map((each) => settledOf(each, lost.has(each.entry.id))),
    )
    this.nudge()
  }

  /** It runs again: from its place in the lane, or, when its function has changed meanwhile, wherever it belongs by now. */
  #keep(entry: Entry, next: Next): void {
    const { lanes, intake } = this.#parts
    if (!intake.isCurrent(entry)) return intake.lookAgain(entry)
    if (next.type === 'retry') entry.waitsUntilMs = Math.max(next.nextAtMs, 1)
    lanes.putBack(entry)
    if (next.type === 'retry') intake.waits(entry)
  }

  /** Somebody has these already; nothing to say, nothing to do. */
  #dropRefused(batches: Batch[], refused: ReadonlySet<string>): void {
    batches.forEach(({ slot, starting }, at) => {
      for (const { entry } of starting) {
        if (!refused.has(entry.id)) continue
        this.#parts.lanes.remove(entry)
        this.#parts.intake.lost(entry)
      }
      batches[at] = { slot, starting: starting.filter(({ entry }) => !refused.has(entry.id)) }
    })
  }

  #commitFailed(error: unknown): void {
    const { classify, fatal } = this.#parts
    const meaning = classify(error)
    if (meaning === 'fatal' || !this.#pause.begin(meaning, error, this.#closing.length)) fatal(error)
  }
}

function isOver({ type }: Next): boolean {
  return type === 'completed' || type === 'failed'
}

function isDue(message: MessageRow, nowMs: number): boolean {
  const atMs = dueTime(message.processAfter)
  return atMs !== undefined && atMs <= nowMs
}
