// The story of a message, told for all messages that are at the same point at once. One turn:
//   take    due messages from their lanes, as many as there are children free to run them
//   read    them afresh: one that the host has paused or cancelled meanwhile is dropped here
//   commit  ONE transaction: how the runs of before have ended (acks with their replies), and the claims of what runs next
//   run     each batch in its child process; every message comes back as exactly one Outcome
//   settle  decide what follows (done, failed, retry, released); the next turn writes it down
// A turn that cannot commit changes nothing: what has ended is kept, what was taken goes back to its lane.
import type { Clock, Timer } from './clock.ts'
import { errorText } from './protocol/errors.ts'
import type { Events, Settled } from './protocol/events.ts'
import type { FunctionSpec } from './protocol/function.ts'
import type { Message } from './protocol/handler.ts'
import type { Dispatch } from './protocol/ipc.ts'
import type { Outcome } from './protocol/outcome.ts'
import { parseTime } from './protocol/time.ts'
import { decideNext, type Next } from './schedule/backoff.ts'
import type { Entry, Lanes } from './schedule/lanes.ts'

/** How one run ended, from whoever ran it. */
export interface Ended {
  readonly n: number
  readonly outcome: Outcome
  readonly durationMs: number
}

/** A child that is free to take a batch now. */
export interface Slot {
  readonly pid: number
  /** Nothing is running in it. */
  readonly idle: boolean
  /** Reports every dispatch exactly once, several at a time where they end together. */
  run(batch: readonly Dispatch[], onEnded: (ended: readonly Ended[]) => void): void
}

export interface Workers {
  /** Up to `wanted` free children for this function; starts more of them, for later, when there are too few. `behind`: busy ones too. */
  offer(spec: FunctionSpec, wanted: number, behind: boolean): Slot[]
}

export interface Reader {
  getMessages(ids: readonly string[]): Map<string, MessageRow>
  maxSeq(): number
}
export type MessageRow = Dispatch['message'] & Pick<Message, 'status'>

export interface Writer {
  commit(turn: {
    readonly nowMs: number
    readonly endings: readonly Ending[]
    readonly claims: readonly Claim[]
    readonly refusals: readonly Refusal[]
    readonly inboundSeq: number
    readonly mark: Mark | null
  }): { readonly refused: ReadonlySet<string>; readonly lost: ReadonlySet<string> }
}
interface Claim {
  readonly id: string
  readonly run: number
  readonly attempt: number
  readonly functionName: string
  readonly worker: number
  readonly alone: boolean
}
interface Ending {
  readonly id: string
  readonly run: number
  readonly verdict:
    | { readonly type: 'completed'; readonly replies: Extract<Outcome, { type: 'replied' }>['replies'] }
    | { readonly type: 'failed' }
    | { readonly type: 'retry'; readonly nextAtMs: number }
    | { readonly type: 'released'; readonly keep: boolean }
  readonly outcome: string
  readonly reason: string | null
  readonly error: string | null
  readonly durationMs: number
}
export interface Refusal {
  readonly id: string
  readonly reason: string
  readonly detail: string
}
export interface Mark {
  readonly seq: number
  readonly open: readonly string[]
}

/** What the executor tells whoever feeds it. */
export interface Intake {
  /** The message ended, or is no longer ours to run: forget it. */
  gone(entry: Entry): void
  /** It waits in its lane until `entry.waitsUntilMs`. */
  waits(entry: Entry): void
  /** The file says something else about it by now: look at it again. */
  lookAgain(entry: Entry): void
  /** How far the file has been read, when it is time to write that down. */
  mark(nowMs: number): Mark | null
}

export interface ExecutorParts {
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
  /** Retry in a moment, hold until the disk writes again, or stop the runtime: store/classify decides. */
  readonly classify: (error: unknown) => 'retry' | 'hold' | 'fatal'
  /** Something on the reading side failed; whoever watches the file deals with it. */
  readonly readFailed: (error: unknown) => void
  readonly fatal: (error: unknown) => void
}

/** A batch should keep its child busy for about this long: longer hides no more cost and only delays what is behind it. */
const BATCH_MS = 5
/** Most messages in one batch; PERFORMANCE of commits grows little beyond, and the loss when a process dies stays small. */
const BATCH_MAX = 256
/** Most content in one batch. */
const BATCH_BYTES_MAX = 1024 * 1024
/** A commit that met a lock is tried again after this; one that met a full disk waits longer each time, up to HOLD_MAX_MS. */
const BUSY_MS = 10
const HOLD_MIN_MS = 100
const HOLD_MAX_MS = 5_000

interface Running {
  readonly entry: Entry
  readonly attempt: number
  readonly run: number
}

interface Closing {
  readonly running: Running
  readonly outcome: Outcome
  readonly durationMs: number
  readonly next: Next
}

export class Executor {
  readonly #parts: ExecutorParts
  readonly #running = new Map<number, Running>()
  readonly #averageMs = new Map<string, number>()
  #closing: Closing[] = []
  #refusals: Refusal[] = []
  #dispatches = 0
  #inboundSeq = 0
  #soon: Timer | undefined
  #retry: Timer | undefined
  #failedCommits = 0
  #claiming = true
  #whenIdle: (() => void)[] = []

  constructor(parts: ExecutorParts) {
    this.#parts = parts
  }

  /** Messages whose run has begun and is not yet written down as ended. */
  get running(): number {
    return this.#running.size + this.#closing.length
  }

  /** Asks for a turn; any number of calls before it make one. */
  nudge(): void {
    this.#soon ??= this.#parts.clock.soon(() => {
      this.#soon = undefined
      if (!this.#retry) this.#turn()
    })
  }

  /** Ends a message as failed without running it. */
  refuse(refusal: Refusal): void {
    this.#refusals.push(refusal)
    this.nudge()
  }

  /** Claims nothing from now on; resolves when everything that runs has ended and is on disk. */
  drain(): Promise<void> {
    this.#claiming = false
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve)
      this.nudge()
    })
  }

  close(): void {
    this.#claiming = false
    this.#soon?.cancel()
    this.#retry?.cancel()
  }

  #turn(): void {
    const batches = this.#claiming ? this.#take() : []
    const messages = this.#read(batches)
    const runs = batches
      .map((batch) => ({ ...batch, starting: this.#starting(batch, messages) }))
      .filter(({ starting }) => starting.length > 0)
    if (this.#commit(runs)) for (const { slot, starting } of runs) this.#run(slot, starting, messages)
    if (this.running === 0) for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  #take(): Batch[] {
    const { lanes, workers } = this.#parts
    const batches: Batch[] = []
    for (const spec of [...lanes.readyFunctions()]) {
      const waiting = lanes.waiting(spec.name)
      const most = this.#batchMax(spec)
      const slots = workers.offer(spec, Math.ceil(waiting / most), most > 1)
      const share = Math.min(most, Math.ceil(waiting / Math.max(slots.length, 1)))
      for (const slot of slots) {
        const entries = lanes.take(spec.name, share, BATCH_BYTES_MAX, slot.idle)
        if (entries.length > 0) batches.push({ slot, entries })
      }
    }
    return batches
  }

  #read(batches: readonly Batch[]): Map<string, MessageRow> {
    const { reader, readFailed, lanes } = this.#parts
    if (batches.length === 0 && !this.#closing.some(({ outcome }) => outcome.type === 'replied'))
      return new Map()
    try {
      this.#inboundSeq = reader.maxSeq()
      return batches.length === 0
        ? new Map()
        : reader.getMessages(batches.flatMap(({ entries }) => entries.map(({ id }) => id)))
    } catch (error) {
      for (const { entries } of batches) for (const entry of entries.splice(0)) lanes.putBack(entry)
      readFailed(error)
      return new Map()
    }
  }

  /** Of a batch, what the file still says is to be run now. */
  #starting({ slot, entries }: Batch, messages: Map<string, MessageRow>): Starting[] {
    const { lanes, intake, clock } = this.#parts
    const starting: Starting[] = []
    for (const entry of entries) {
      const message = messages.get(entry.id)
      if (message?.status === 'pending' && isDue(message, clock.now())) {
        const charged = { run: entry.runs + 1, attempt: entry.attempts + 1 }
        starting.push({ entry, ...charged, n: ++this.#dispatches, alone: slot.idle && entries.length === 1 })
      } else {
        lanes.remove(entry)
        if (message?.status === 'pending') intake.lookAgain(entry)
        else intake.gone(entry)
      }
    }
    return starting
  }

  /** Whether the turn is on disk. If not, nothing has changed. */
  #commit(runs: readonly (Batch & { readonly starting: Starting[] })[]): boolean {
    const { writer, clock, intake, claimed } = this.#parts
    const closing = this.#closing
    const refusals = this.#refusals
    const nowMs = clock.now()
    const claims = runs.flatMap(({ slot, starting }) =>
      starting.map(({ entry, run, attempt, alone }) => ({
        id: entry.id,
        run,
        attempt,
        functionName: entry.spec.name,
        worker: slot.pid,
        alone,
      })),
    )
    if (closing.length + refusals.length + claims.length === 0) return false
    try {
      const { refused, lost } = writer.commit({
        nowMs,
        endings: closing.map(ending),
        claims,
        refusals,
        inboundSeq: this.#inboundSeq,
        mark: intake.mark(nowMs),
      })
      this.#closing = []
      this.#refusals = []
      this.#committed(closing, refusals, lost)
      this.#dropRefused(runs, refused)
      if (claims.length > refused.size) claimed()
      return true
    } catch (error) {
      for (const { starting } of runs) for (const { entry } of starting) this.#parts.lanes.putBack(entry)
      this.#commitFailed(error)
      return false
    }
  }

  #run(slot: Slot, starting: readonly Starting[], messages: Map<string, MessageRow>): void {
    const { events } = this.#parts
    const first = starting[0]
    if (!first) return
    const batch = starting.map(({ entry, run, attempt, n }): Dispatch => {
      this.#running.set(n, { entry, attempt, run })
      return {
        n,
        lane: entry.key ?? '',
        attempt,
        alone: entry.alone,
        timeoutMs: entry.spec.timeoutMs,
        message: messages.get(entry.id)!,
      }
    })
    if (events.listenerCount('claimed') > 0)
      events.emit('claimed', {
        ids: starting.map(({ entry }) => entry.id),
        functionName: first.entry.spec.name,
      })
    slot.run(batch, (ended) => this.#settle(ended))
  }

  #settle(ended: readonly Ended[]): void {
    const { clock, random, lanes, intake, crashLimit } = this.#parts
    const nowMs = clock.now()
    for (const { n, outcome, durationMs } of ended) {
      const running = this.#running.get(n)
      if (!running) continue
      this.#running.delete(n)
      const { entry, attempt } = running
      const next = decideNext(outcome, {
        attempt,
        crashes: entry.crashes,
        crashLimit,
        policy: entry.spec.retry,
        nowMs,
        random: random(),
      })
      this.#closing.push({ running, outcome, durationMs, next })
      this.#learn(entry, outcome, durationMs, next)
      if (next.type === 'completed' || next.type === 'failed') {
        lanes.remove(entry)
        continue
      }
      if (next.type === 'retry') entry.waitsUntilMs = Math.max(next.nextAtMs, 1)
      lanes.putBack(entry)
      if (next.type === 'retry') intake.waits(entry)
    }
    this.nudge()
  }

  #learn(entry: Entry, outcome: Outcome, durationMs: number, next: Next): void {
    const died = outcome.type === 'exited' || outcome.type === 'killed' || outcome.type === 'out-of-memory'
    if (died) entry.crashes++
    if (died || (outcome.type === 'cancelled' && outcome.why === 'process-died')) entry.alone = true
    if (next.type !== 'released' || next.keep) entry.runs++
    if (next.type !== 'released') entry.attempts++
    if (outcome.type === 'cancelled') return
    const before = this.#averageMs.get(entry.spec.name) ?? durationMs
    this.#averageMs.set(entry.spec.name, before + (durationMs - before) / 8)
  }

  #batchMax(spec: FunctionSpec): number {
    const averageMs = this.#averageMs.get(spec.name)
    return averageMs === undefined
      ? 1
      : Math.max(1, Math.min(BATCH_MAX, Math.floor(BATCH_MS / Math.max(averageMs, 0.001))))
  }

  /** Tells everybody; only now may what comes behind these messages know that they have ended. */
  #committed(closing: readonly Closing[], refusals: readonly Refusal[], lost: ReadonlySet<string>): void {
    const { events, intake, lanes } = this.#parts
    if (this.#failedCommits > 0) events.emit('commit-healed', { held: closing.length })
    this.#failedCommits = 0
    for (const { running, next } of closing) {
      const isLost = lost.has(running.entry.id)
      if (isLost) lanes.remove(running.entry)
      if (isLost || next.type === 'completed' || next.type === 'failed') intake.gone(running.entry)
    }
    for (const refusal of refusals) events.emit('refused', refusal)
    if (closing.length > 0) {
      events.emit(
        'settled',
        closing.map((each) => settled(each, lost)),
      )
      this.nudge()
    }
  }

  #dropRefused(runs: readonly { readonly starting: Starting[] }[], refused: ReadonlySet<string>): void {
    if (refused.size === 0) return
    for (const { starting } of runs) {
      for (let at = starting.length - 1; at >= 0; at--) {
        const { entry } = starting[at]!
        if (!refused.has(entry.id)) continue
        starting.splice(at, 1)
        this.#parts.lanes.remove(entry)
        this.#parts.intake.gone(entry)
      }
    }
  }

  #commitFailed(error: unknown): void {
    const { classify, fatal, clock, events } = this.#parts
    const meaning = classify(error)
    if (meaning === 'fatal') return fatal(error)
    const retryMs =
      meaning === 'retry' ? BUSY_MS : Math.min(HOLD_MIN_MS * 2 ** this.#failedCommits, HOLD_MAX_MS)
    if (meaning === 'hold') {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
      if (this.#failedCommits++ === 0)
        events.emit('commit-failed', { code, message: errorText(error), held: this.#closing.length, retryMs })
    }
    this.#retry = clock.after(retryMs, () => {
      this.#retry = undefined
      this.nudge()
    })
  }
}

interface Batch {
  readonly slot: Slot
  readonly entries: Entry[]
}

interface Starting extends Running {
  readonly n: number
  readonly alone: boolean
}

function isDue(message: MessageRow, nowMs: number): boolean {
  const atMs = message.processAfter ? parseTime(message.processAfter) : 0
  return atMs !== undefined && atMs <= nowMs
}

function ending({ running, outcome, durationMs, next }: Closing): Ending {
  const reason = 'reason' in next ? next.reason : outcome.type === 'cancelled' ? outcome.why : null
  const { id } = running.entry
  const error = errorOf(outcome)
  if (next.type === 'completed' && outcome.type === 'replied')
    return {
      id,
      run: running.run,
      verdict: { type: 'completed', replies: outcome.replies },
      outcome: outcome.type,
      reason,
      error,
      durationMs,
    }
  if (next.type === 'completed') throw new Error(`outcome ${outcome.type} cannot complete a message`)
  return { id, run: running.run, verdict: next, outcome: outcome.type, reason, error, durationMs }
}

/** What `show` prints about it later, as JSON text. */
function errorOf(outcome: Outcome): string | null {
  switch (outcome.type) {
    case 'replied':
    case 'cancelled':
      return null
    case 'threw':
    case 'bad-reply':
    case 'bad-message':
      return JSON.stringify(outcome.error)
    case 'timed-out':
      return JSON.stringify({ name: 'Timeout', message: `no end after ${outcome.afterMs} ms` })
    case 'exited':
      return JSON.stringify({
        name: 'ProcessExit',
        message: `the process exited with code ${outcome.code}`,
        stderr: outcome.stderr,
      })
    case 'killed':
      return JSON.stringify({
        name: 'ProcessKilled',
        message: `the process was killed by ${outcome.signal}`,
        stderr: outcome.stderr,
      })
    case 'out-of-memory':
      return JSON.stringify({
        name: 'OutOfMemory',
        message: 'the process ran out of heap',
        stderr: outcome.stderr,
      })
    default:
      return outcome satisfies never
  }
}

function settled({ running, outcome, durationMs, next }: Closing, lost: ReadonlySet<string>): Settled {
  const { entry, run, attempt } = running
  const verdict = lost.has(entry.id) ? 'lost' : next.type === 'completed' ? 'done' : next.type
  return {
    id: entry.id,
    functionName: entry.spec.name,
    run,
    attempt,
    outcome,
    durationMs,
    verdict,
    reason: 'reason' in next ? next.reason : null,
    nextAtMs: next.type === 'retry' ? next.nextAtMs : null,
  }
}
