// The loop, for all messages that are at the same point at once. One turn:
//   take      ready messages from their lanes for free workers, as queue/scheduler.ts plans   → claiming
//   read      them afresh: one that the host has paused or cancelled meanwhile is dropped here
//   commit    ONE batch: how runs have ended (acks with their replies), and the claims of the next ones
//   run       each in its worker; every message comes back as exactly one Outcome             → running
//   decide    what follows (done, failed, retry, released); the next commit writes it         → finishing
// A batch that cannot be committed changes nothing: results are kept, what was taken goes back to its lane.
// Where the disk has failed the batch may be written all the same: then a commit follows in any case, and the
// store takes back the claims that are not made anew.
// While a commit is under way nothing is taken; results that arrive meanwhile wait for the next one.
import type { Clock, Timer } from './protocol/clock.ts'
import type {
  AnswerResult,
  Checkpoint,
  Claim,
  CommitBatch,
  CommitResult,
  Rejection,
} from './protocol/commit-batch.ts'
import type { Events } from './protocol/events.ts'
import type { Outcome, Receiver, RunEnd } from './protocol/outcome.ts'
import type { FinishedStep } from './protocol/steps.ts'
import { dueTime } from './protocol/time.ts'
import { BatchSize } from './queue/batch-size.ts'
import { type Gathered, gather, joined } from './queue/gathered.ts'
import type { Entry, Message, MessageRow, MessageSource } from './queue/message.ts'
import type { Queue } from './queue/queue.ts'
import { decideNext, isCharged, type Next, RETRY_AFTER_FREE_MS } from './queue/retry-policy.ts'
import { dispatchOf, type StartedRun } from './queue/run.ts'
import { byTheClock, type DecidedRun, resultOf, settledOf } from './queue/run-result.ts'
import { type Demand, plan } from './queue/scheduler.ts'
import type { Slot, Workers } from './queue/workers.ts'
import { CommitRetry, type Passing } from './store/commit-retry.ts'
import type { Store } from './store/store.ts'

export interface DispatcherParts {
  readonly workspace: string
  /** Of the store: see Recovery. */
  readonly scope: string
  /** Its `soon` is asked for turns alone. */
  readonly clock: Clock
  /** 0 ≤ random < 1; spreads retries. */
  readonly random: () => number
  readonly queue: Queue
  readonly store: Pick<Store, 'commit'>
  readonly workers: Workers
  /** Unique among all that share these workers. */
  readonly nextRunId: () => number
  readonly events: Events
  readonly crashLimit: number
  /** The highest seq of the sources, which replies are numbered above; undefined: it cannot be read now. */
  readonly maxSeq: () => number | undefined
  /** How far the sources have been read, when it is time to keep that. */
  readonly checkpoint: (nowMs: number) => Checkpoint | null
  /** After a commit that started runs. */
  readonly claimed: () => void
  /** Messages whose handlers wait, and that an answer has woken. */
  readonly answered: (ids: readonly string[]) => void
  /** What a failed commit means: it passes, in one way or another, or it stops the runtime. */
  readonly classify: (error: unknown) => Passing | 'fatal'
  /** A failed commit, for people. */
  readonly explain: (error: unknown) => string
  readonly fatal: (error: unknown) => void
}

/** Most content in one batch. */
const BATCH_BYTES_MAX = 1024 * 1024

/** What one worker gets. */
interface Assignment {
  readonly slot: Slot
  readonly runs: readonly StartedRun[]
}

export class Dispatcher {
  readonly #parts: DispatcherParts
  readonly #running = new Map<number, StartedRun>()
  readonly #batchSize = new BatchSize()
  readonly #retry: CommitRetry
  /** A worker serves several workspaces, and keys of two of them have nothing to do with each other. */
  readonly #lanePrefix: string
  readonly #receiver: Receiver
  /** For the next commit. */
  #gathered = gather()
  #committing = false
  /** Reserved for the claims of the commit that is under way. */
  #reserved: readonly Slot[] = []
  /** Claims that a commit may have written although it has failed; their runs do not begin. */
  #doubtful = 0
  #isShort = false
  /** What was taken last could not be read: until it can be, no worker is missing. */
  #isUnread = false
  #servedLast = ''
  #closed = false
  #maxSeq = 0
  #soon: Timer | undefined
  #claiming = true
  #whenIdle: (() => void)[] = []

  constructor(parts: DispatcherParts) {
    this.#parts = parts
    this.#retry = new CommitRetry({ ...parts, again: () => this.nudge() })
    this.#lanePrefix = `${parts.nextRunId()}:`
    this.#receiver = {
      workspace: parts.workspace,
      ended: (ended) => this.#guard(() => this.#decide(ended)),
      step: (n, step, kept) => this.#guard(() => this.#keep(n, step, kept)),
    }
  }

  /** Messages whose run has begun and is not yet on disk as ended. */
  get running(): number {
    const { queue } = this.#parts
    return queue.count('running') + queue.count('finishing')
  }

  /** What has a claim on disk, and no end; `results`: of these, handlers that have ended. */
  get unwritten(): { readonly claims: number; readonly results: number } {
    const { queue } = this.#parts
    const results = this.#gathered.results.filter(({ outcome }) => outcome.type !== 'cancelled').length
    const underWay = this.#committing ? queue.count('claiming') : 0
    return { claims: this.running + underWay + this.#doubtful, results }
  }

  /** The last turn found no worker for some message that is ready. */
  get isShort(): boolean {
    return this.#isShort
  }

  /** Asks for a turn; any number of calls before it make one. */
  nudge(): void {
    if (this.#closed) return
    this.#soon ??= this.#parts.clock.soon(() => {
      this.#soon = undefined
      if (!this.#retry.on && !this.#committing) this.#turn()
    })
  }

  /** Ends a message without running it. */
  reject(rejection: Rejection, message?: Message): void {
    this.#gathered.rejected.push({ rejection, message })
    this.nudge()
  }

  /** Ends a message as the answer to a question. */
  answer(answer: AnswerResult, message: Message): void {
    this.#gathered.answers.push({ answer, message })
    this.nudge()
  }

  /** The host has ended a message that waits. */
  withdraw(id: string): void {
    this.#gathered.withdrawn.push(id)
    this.nudge()
  }

  /**
   * Claims nothing from now on. True when everything that runs has ended and is on disk, false once closed.
   */
  async drain(): Promise<boolean> {
    this.#claiming = false
    this.#retry.hurry()
    this.nudge()
    return !this.#closed && new Promise((resolve) => this.#whenIdle.push(() => resolve(true)))
  }

  /** Nothing is written from now on, whatever still comes. */
  close(): void {
    this.#closed = true
    this.#soon?.cancel()
    this.#retry.stop()
    this.#release(this.#reserved)
  }

  #turn(): void {
    const assignments = this.#claiming ? this.#read(this.#take()) : []
    this.#commit(assignments)
    const { rejected, answers, withdrawn } = this.#gathered
    const unwritten = rejected.length + answers.length + withdrawn.length + this.#doubtful
    if (this.running + unwritten === 0 && !this.#committing)
      for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  /** Follows the plan. Where a lane had less to give than it seemed, what is left is planned anew. */
  #take(): Map<Slot, Entry[]> {
    const taken = new Map<Slot, Entry[]>()
    let demand = this.#demand()
    for (let isMore = true; isMore && demand.length > 0; demand = this.#demand())
      isMore = this.#follow(demand, taken)
    this.#isShort = demand.length > 0
    return taken
  }

  #demand(): Demand[] {
    const { lanes } = this.#parts.queue
    return [...lanes.readyHeads()].map(({ spec, isolated }) => ({
      spec,
      isolated,
      waiting: lanes.waiting(spec.name),
      lanes: lanes.readyLanes(spec.name),
      batchMax: this.#batchSize.max(spec.name),
      mayBeQuick: this.#batchSize.mayBeQuick(spec.name),
    }))
  }

  /** True: something was taken, and a worker of the plan got nothing. */
  #follow(demand: readonly Demand[], taken: Map<Slot, Entry[]>): boolean {
    const { queue, workers } = this.#parts
    const before = taken.size
    let isUnused = false
    const steps = plan(demand, this.#servedLast, workers.capacity())
    // A worker is there, and gets nothing to run: one more would end another, and so on without an end.
    const mayStart = !this.#isUnread || (before === 0 && steps.every(({ type }) => type === 'start'))
    for (const step of steps) {
      const { spec } = step
      if (step.type === 'start') {
        if (mayStart) workers.start(spec, step.count)
        continue
      }
      const slot = workers.slot(step.pid)
      const entries = slot ? queue.take(spec.name, step.messagesMax, BATCH_BYTES_MAX, slot.idle) : []
      if (slot && entries.length > 0) {
        slot.reserve()
        taken.set(slot, entries)
        this.#servedLast = spec.name
      } else isUnused = true
    }
    return isUnused && taken.size > before
  }

  /** What was taken, as its source has it now. Where a source cannot be read, it goes back to its lane. */
  #read(taken: ReadonlyMap<Slot, readonly Entry[]>): Assignment[] {
    const assignments: Assignment[] = []
    const rowsOf = this.#rowsOf(taken)
    for (const [slot, entries] of taken) {
      const runs: StartedRun[] = []
      let unread = false
      for (const entry of entries) {
        const rows = rowsOf.get(entry.message.source)
        const run = rows && this.#start(slot, entry, entries.length, rows.get(entry.message.id))
        if (run) runs.push(run)
        else if (!rows) {
          unread = true
          this.#putBack(entry)
        }
      }
      if (runs.length > 0) assignments.push({ slot, runs })
      // What could not be read stands in its lane as before: its source asks for the next turn, and no other
      // event may.
      else slot.release(!unread)
    }
    return assignments
  }

  /** By source; one that cannot be read now is left out. */
  #rowsOf(taken: ReadonlyMap<Slot, readonly Entry[]>): Map<MessageSource, ReadonlyMap<string, MessageRow>> {
    const rowsOf = new Map<MessageSource, ReadonlyMap<string, MessageRow>>()
    const sources = idsBySource(taken.values())
    for (const [source, ids] of sources) {
      try {
        rowsOf.set(source, source.getMessages(ids))
      } catch (error) {
        source.readFailed(error)
      }
    }
    if (sources.size > 0) {
      // Workers that were not started meanwhile are missing now.
      if (this.#isUnread && rowsOf.size > 0) this.nudge()
      this.#isUnread = rowsOf.size === 0
    }
    return rowsOf
  }

  /** Undefined: the file does not say any more that it is to be run now. */
  #start(slot: Slot, entry: Entry, company: number, row: MessageRow | undefined): StartedRun | undefined {
    const { queue, clock } = this.#parts
    const { message } = entry
    if (row?.status === 'pending' && isDue(row, clock.now())) {
      const alone = slot.idle && company === 1
      const [run, attempt] = [entry.runs + 1, entry.attempts + 1]
      return { n: this.#parts.nextRunId(), entry, run, attempt, alone, row, hasSteps: false }
    }
    if (row?.status === 'pending') message.source.reread(entry)
    else {
      if (entry.runs > 0 && row?.status !== 'paused') this.#gathered.withdrawn.push(message.id)
      queue.remove(message)
      message.source.onFinished(message)
      // Nothing of it comes back that would ask for the turn of the one behind it.
      this.nudge()
    }
    return undefined
  }

  #commit(assignments: readonly Assignment[]): void {
    const { store, events } = this.#parts
    const gathered = this.#gathered
    const { steps, results, rejected, answers } = gathered
    const batch = this.#batchOf(gathered, assignments)
    if (!batch) return
    this.#gathered = gather()
    const failed = (error: unknown) => {
      this.#gathered = joined(gathered, this.#gathered)
      for (const { runs } of assignments)
        for (const { entry } of runs) {
          // Where the claim was written all the same, it waits no more.
          entry.waits = false
          this.#putBack(entry)
        }
      this.#release(assignments.map(({ slot }) => slot))
      this.#commitFailed(error, batch)
    }
    const committed = (done: CommitResult) => {
      this.#doubtful = 0
      this.#retry.healed(results.length)
      this.#finish(results, done)
      for (const { message } of rejected) if (message) this.#parts.queue.remove(message)
      this.#answered(answers, done)
      for (const { rejection } of rejected)
        if (rejection.ack === 'completed') events.emit('context', { id: rejection.id })
        else events.emit('rejected', rejection)
      for (const { kept } of steps) kept()
      this.#run(assignments, done)
      if (results.length > 0)
        events.emit(
          'runs-ended',
          results.map((each) => settledOf(each, done.lost.has(each.entry.message.id))),
        )
    }
    let answer: CommitResult | Promise<CommitResult>
    try {
      answer = store.commit(batch)
    } catch (error) {
      return failed(error)
    }
    if (answer instanceof Promise) {
      this.#reserved = assignments.map(({ slot }) => slot)
      this.#await(answer, committed, failed)
    } else committed(answer)
  }

  /** Nothing else is committed until this is answered. */
  #await(
    answer: Promise<CommitResult>,
    committed: (result: CommitResult) => void,
    failed: (error: unknown) => void,
  ): void {
    this.#committing = true
    const over = (then: () => void) => {
      this.#committing = false
      if (this.#closed) return
      this.#reserved = []
      then()
      this.nudge()
    }
    answer
      .then(
        (result) => over(() => committed(result)),
        (error) => over(() => failed(error)),
      )
      .catch(this.#parts.fatal)
  }

  /** Undefined: there is nothing to write. */
  #batchOf(gathered: Gathered, assignments: readonly Assignment[]): CommitBatch | undefined {
    const { steps, results, rejected, answers, withdrawn } = gathered
    const { clock, checkpoint } = this.#parts
    const claims: Claim[] = []
    for (const { slot, runs } of assignments)
      for (const { entry, run, attempt, alone } of runs)
        claims.push({
          id: entry.message.id,
          run,
          attempt,
          functionName: entry.spec.name,
          worker: slot.pid,
          alone,
        })
    const parts = [steps, results, rejected, answers, withdrawn, claims]
    if (this.#doubtful === 0 && parts.every(({ length }) => length === 0)) return undefined
    const nowMs = clock.now()
    const aheadMs = nowMs - clock.monotonic()
    return {
      nowMs,
      steps: steps.map(({ result }) => result),
      answers: answers.map(({ answer }) => answer),
      results: results.map((result) => resultOf(byTheClock(result, aheadMs))),
      claims,
      rejections: rejected.map(({ rejection }) => rejection),
      withdrawn,
      inboundSeq: this.#maxSeqFor(results),
      checkpoint: checkpoint(nowMs),
    }
  }

  /** Replies are numbered above what the source has, as far as it can be read now. */
  #maxSeqFor(results: readonly DecidedRun[]): number {
    const says = ({ outcome }: DecidedRun) =>
      outcome.type === 'suspended' || (outcome.type === 'replied' && outcome.replies.length > 0)
    if (results.some(says)) this.#maxSeq = this.#parts.maxSeq() ?? this.#maxSeq
    return this.#maxSeq
  }

  /** On disk: results become what was decided. */
  #finish(results: readonly DecidedRun[], { lost, waiting }: CommitResult): void {
    const { queue, clock } = this.#parts
    const aheadMs = clock.now() - clock.monotonic()
    for (const result of results) {
      const { entry, next } = byTheClock(result, aheadMs)
      const { message } = entry
      if (lost.has(message.id)) {
        queue.remove(message)
        message.source.onClaimLost(message)
      } else if (next.type === 'completed' || next.type === 'failed') {
        queue.remove(message)
        message.source.onFinished(message)
      } else if (next.type === 'waiting') {
        entry.waits = true
        message.source.onSuspended(entry, waiting.get(message.id) ?? clock.now())
      } else if (!message.source.isCurrent(entry)) message.source.reread(entry)
      else if (next.type === 'retry') queue.move(message, { type: 'retrying', entry, untilMs: next.nextAtMs })
      else queue.move(message, { type: 'ready', entry })
    }
    if (results.length > 0) this.nudge()
  }

  /** On disk: they have ended, and what waited for them goes on. */
  #answered(answers: Gathered['answers'], { unused, answered }: CommitResult): void {
    const { queue } = this.#parts
    for (const { message } of answers)
      if (unused.has(message.id)) message.source.onUnused(message)
      else {
        queue.remove(message)
        message.source.onFinished(message)
      }
    if (answered.length > 0) this.#parts.answered(answered)
  }

  /**
   * The claims are on disk. Those that were refused belong to another runner, or have runs that were not
   * known here.
   */
  #run(assignments: readonly Assignment[], { refused, journals }: CommitResult): void {
    const { queue, events, claimed, scope } = this.#parts
    for (const { slot, runs } of assignments) {
      for (const { entry } of runs) {
        const { message } = entry
        if (refused.has(message.id)) {
          queue.remove(message)
          message.source.onClaimLost(message)
        } else {
          entry.waits = false
          queue.move(message, { type: 'running', entry })
        }
      }
      const started =
        refused.size === 0 ? runs : runs.filter(({ entry }) => entry.message.state.type === 'running')
      const [first] = started
      if (!first) {
        slot.release()
        continue
      }
      claimed()
      if (events.listenerCount('claimed') > 0)
        events.emit('claimed', {
          ids: started.map(({ entry }) => entry.message.id),
          functionName: first.entry.spec.name,
        })
      for (const run of started) this.#running.set(run.n, run)
      slot.run(
        started.map((run) => dispatchOf(run, this.#lanePrefix, scope, journals.get(run.entry.message.id))),
        this.#receiver,
      )
    }
  }

  /**
   * Called by a worker, which may have messages of other dispatchers: an error in here must not stop theirs.
   */
  #guard(work: () => void): void {
    try {
      if (!this.#closed) work()
    } catch (error) {
      this.#parts.fatal(error)
    }
  }

  /**
   * Before a run ends it has been told of all its steps, so a step that comes later is of a process that is
   * given up.
   */
  #keep(n: number, step: FinishedStep, kept: () => void): void {
    const running = this.#running.get(n)
    if (!running) return
    running.hasSteps = true
    const { entry, run } = running
    this.#gathered.steps.push({
      result: { id: entry.message.id, run, version: entry.spec.version, ...step },
      kept,
    })
    this.nudge()
  }

  #decide(ended: readonly RunEnd[]): void {
    const { queue, clock, random, crashLimit } = this.#parts
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
      const decided = decideNext(outcome, facts)
      const next = decided.type === 'released' && running.hasSteps ? KEPT_RELEASE : decided
      this.#learn(entry, outcome, durationMs, next, nowMs)
      queue.move(entry.message, { type: 'finishing', entry })
      this.#gathered.results.push({ entry, run, attempt, outcome, durationMs, next, aheadMs })
    }
    this.nudge()
  }

  #learn(entry: Entry, outcome: Outcome, durationMs: number, next: Next, nowMs: number): void {
    const died = outcome.type === 'exited' || outcome.type === 'killed' || outcome.type === 'out-of-memory'
    if (died) entry.crashes++
    if (died || (outcome.type === 'cancelled' && outcome.why === 'process-died')) entry.isolated = true
    if (next.type !== 'released' || next.keep) entry.runs++
    if (isCharged(next)) entry.attempts++
    else if (next.type === 'retry') entry.turnedAwaySinceMs ??= nowMs
    if (outcome.type !== 'cancelled') this.#batchSize.learn(entry.spec.name, durationMs)
  }

  /** Back to its lane, or, when its function has changed meanwhile, wherever it belongs by now. */
  #putBack(entry: Entry): void {
    const { message } = entry
    if (message.source.isCurrent(entry)) this.#parts.queue.move(message, { type: 'ready', entry })
    else message.source.reread(entry)
  }

  #release(slots: readonly Slot[]): void {
    for (const slot of slots) slot.release()
  }

  #commitFailed(error: unknown, { claims }: CommitBatch): void {
    const { classify, fatal } = this.#parts
    const meaning = classify(error)
    if (meaning === 'doubt') this.#doubtful = Math.max(this.#doubtful, claims.length)
    if (meaning === 'fatal' || !this.#retry.begin(meaning, error, this.#gathered.results.length)) fatal(error)
  }
}

function idsBySource(batches: Iterable<readonly Entry[]>): Map<MessageSource, string[]> {
  const bySource = new Map<MessageSource, string[]>()
  for (const entries of batches)
    for (const { message } of entries) {
      const ids = bySource.get(message.source)
      if (ids) ids.push(message.id)
      else bySource.set(message.source, [message.id])
    }
  return bySource
}

const KEPT_RELEASE: Next = { type: 'released', keep: true }

function isDue(row: MessageRow, nowMs: number): boolean {
  const atMs = dueTime(row.processAfter)
  return atMs !== undefined && atMs <= nowMs
}
