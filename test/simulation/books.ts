// The books: what must hold, checked at every effect. They are kept beside the runtime, from what goes in and
// out of it, and know what each commit has to change; then they look whether outbound.db says so. The first
// thing that does not hold is kept and thrown, so that nothing in between can swallow it.
import type { Clock } from '../../runtime/protocol/clock.ts'
import type {
  Checkpoint,
  Claim,
  CommitBatch,
  CommitResult,
  RunResult,
} from '../../runtime/protocol/commit-batch.ts'
import { NanoclawError } from '../../runtime/protocol/errors.ts'
import type { EndedRun } from '../../runtime/protocol/events.ts'
import type { Dispatch } from '../../runtime/protocol/ipc.ts'
import type { Recovery } from '../../runtime/store/store.ts'
import { type Fate, isDeadEnd, policyOf } from './cast.ts'
import { byMessage, type Disk, type StoredReply } from './disk.ts'
import type { Findings } from './findings.ts'
import { byTheClock, isCharged, isDeath, judge } from './judge.ts'
import { FORGOTTEN, fateNow, isOver, isPassedOver, isRefused, type Told } from './messages.ts'
import { type UnansweredBatch, WaitBooks } from './wait-books.ts'

interface Parts {
  /** Of the folder. */
  readonly name: string
  readonly disk: Disk
  readonly clock: Clock
  readonly findings: Findings
  readonly crashLimit: number
  /** The store answers some time later. */
  readonly isLate: boolean
}

/** What held when a batch was made. */
interface Made {
  readonly aheadMs: number
  readonly claimed: ReadonlyMap<string, Pick<Told, 'status' | 'dueAtMs'>>
}

/** A message in a process, or on its way to one. */
interface Dispatched {
  readonly told: Told
  readonly alone: boolean
  readonly pid: number
  /** Once it has begun. */
  fate?: Fate
}

interface Ended {
  readonly n: number
  readonly outcome: NonNullable<Told['outcome']>
}

export class Books {
  readonly #parts: Parts
  readonly #disk: Disk
  readonly #messages: ReadonlyMap<string, Told>
  readonly waits: WaitBooks
  readonly #lanes = new Map<string, Told[]>()
  /** Handlers at work, by process: of the present runtime. */
  readonly #running = new Map<string, number>()
  /** By the number of its dispatch: what is in a process, or on its way to one. */
  readonly #dispatched = new Map<number, Dispatched>()
  /**
   * Processes that the runtime ends, whatever has come to be in them: they have answered twice for a message,
   * or closed their channel. `true`: they have answered for a message before, which may be the cause.
   */
  readonly #outlived = new Map<number, boolean>()
  #aborted = false
  #justClaimed = new Set<string>()
  /** Acks as the commits that ended runs wrote them: one may be forgotten before the answer comes. */
  readonly #written = new Map<string, Told['ack']>()
  #epoch = 0
  /** On disk, and not known to be. */
  #unanswered: UnansweredBatch | undefined
  /** The last reply that has been seen on disk. */
  #repliesUpTo = 0
  /** What this commit adds to the replies of a message. */
  readonly #fresh = new Map<string, readonly string[]>()

  constructor(messages: ReadonlyMap<string, Told>, parts: Parts) {
    this.#messages = messages
    this.#parts = parts
    this.#disk = parts.disk
    this.waits = new WaitBooks({
      disk: parts.disk,
      told: (id) => this.#told(id),
      fail: (text) => this.fail(text),
    })
  }

  /** The present runtime. */
  get epoch(): number {
    return this.#epoch
  }

  fail(text: string): never {
    return this.#parts.findings.fail(`${text}, in the ${this.#parts.name} folder`)
  }

  keep(error: unknown): Error {
    return this.#parts.findings.keep(error)
  }

  inserted(messages: Iterable<Told>): void {
    for (const message of messages) {
      this.waits.inserted(message)
      if (message.lane === null || !message.strict) continue
      const lane = this.#lanes.get(message.lane)
      if (lane) lane.push(message)
      else this.#lanes.set(message.lane, [message])
    }
  }

  /** What a runtime had in its head is gone with it. */
  #forget(): void {
    this.#running.clear()
    this.#dispatched.clear()
    this.#unanswered = undefined
    this.#aborted = false
    for (const message of this.#messages.values()) {
      message.chargedSoon = 0
      message.suspect = 'no'
      message.outcome = undefined
      message.replied = false
    }
  }

  /** `stoppedEpoch`: of the last runtime that stopped in order and could not write that down. */
  recovered({ epoch, interrupted, quarantined, checkpoint }: Recovery, stoppedEpoch: number): void {
    const died = stoppedEpoch === 0 || stoppedEpoch !== epoch - 1
    if (epoch <= this.#epoch) this.fail(`epoch ${epoch} comes after ${this.#epoch}`)
    this.#epoch = epoch
    this.#forget()
    const left = [...this.#messages.values()].filter(({ run }) => run)
    if (left.length !== interrupted) this.fail(`${interrupted} runs were found cut short, of ${left.length}`)
    const together = new Map<number, number>()
    for (const { run } of left) together.set(run!.worker, (together.get(run!.worker) ?? 0) + 1)
    for (const message of left) {
      const { alone, worker } = message.run!
      if (died && alone && together.get(worker) === 1) message.deaths++
      message.interrupted ||= died
      message.run = undefined
      const poison = died && message.deaths >= this.#parts.crashLimit
      if (poison !== quarantined.includes(message.id))
        this.fail(`${message.id} died ${message.deaths} times alone; quarantined: ${!poison}`)
      message.ack = poison ? 'failed' : isOver(message) ? message.ack : 'none'
    }
    this.waits.recovered(this.#messages.values())
    for (const message of this.#messages.values()) this.#mayStart(message)
    for (const [id, nextAtMs, waitMs] of this.#disk.waits()) this.#mayStart(this.#told(id), nextAtMs, waitMs)
    this.#checkCheckpoint(checkpoint)
    this.checkAll()
  }

  /**
   * The file was away, and may be another one: of what does not run now, only what is on disk is remembered.
   */
  startsOver(): void {
    const out = new Set([...this.#dispatched.values()].map(({ told }) => told))
    for (const message of this.#messages.values())
      if (message.suspect === 'yes' && !message.outcome && !out.has(message)) message.suspect = 'perhaps'
  }

  /** The clock is set. When it is put forward, what is left of a pause may be reckoned anew by it. */
  jumps(ms: number): void {
    this.waits.jumps(this.#messages.values(), ms)
    for (const message of this.#messages.values()) {
      const { notBefore } = message
      message.endedAtMs += ms
      if (ms > 0) message.notBefore = { ...notBefore, ms: notBefore.ms - ms }
    }
  }

  /** What holds when a batch is made; it may be committed later. */
  made(turn: CommitBatch): Made {
    const { clock } = this.#parts
    const claimed = turn.claims.map(({ id }) => [id, { ...this.#told(id) }] as const)
    return { aheadMs: clock.now() - clock.monotonic(), claimed: new Map(claimed) }
  }

  commit(epoch: number, turn: CommitBatch, made: Made, commit: () => CommitResult): CommitResult {
    if (epoch !== this.#epoch) return this.#mustBeFenced(commit)
    const committed = commit()
    const setMs = Math.round(this.#parts.clock.now() - this.#parts.clock.monotonic() - made.aheadMs)
    this.#justClaimed = new Set()
    const before = this.#takeBack()
    this.#fresh.clear()
    this.waits.steps(turn)
    const results = turn.results.filter((ending) => !this.#isRepeated(ending, before, committed))
    for (const ending of results) {
      const [told, isLost] = [this.#told(ending.id), committed.lost.has(ending.id)]
      this.#end(byTheClock(ending, setMs), setMs, isLost)
      if (isLost) continue
      if (ending.next.type === 'waiting') this.waits.suspend(told, ending, turn, committed)
      else if (isOver(told)) this.waits.ended(told)
    }
    for (const { id } of results) this.#written.set(id, this.#told(id).ack)
    this.waits.answers(turn, committed, before)
    this.waits.withdraw(turn)
    for (const rejection of turn.rejections) this.#reject(this.#told(rejection.id), rejection.ack)
    for (const claim of turn.claims) {
      const isRefused = committed.refused.has(claim.id)
      this.#claim(claim, turn.nowMs, made, isRefused)
      if (!isRefused) this.waits.claimed(this.#told(claim.id), claim, turn.nowMs, committed)
    }
    for (const { id } of before?.batch.claims ?? []) this.#compareAck(id, this.#disk.ack(id))
    this.#checkDisk({ ...turn, results })
    if (turn.checkpoint) this.#checkCheckpoint(turn.checkpoint)
    return committed
  }

  /** This batch is on disk, and the runtime gets an error. */
  unanswered(batch: CommitBatch, answer: CommitResult): void {
    this.#unanswered = { batch, answer }
  }

  /** The next batch is on disk: what the one without an answer has claimed is free again. */
  #takeBack(): UnansweredBatch | undefined {
    const before = this.#unanswered
    this.#unanswered = undefined
    for (const { id } of before?.batch.claims ?? []) {
      const told = this.#told(id)
      if (before?.answer.refused.has(id)) continue
      told.run = undefined
      if (told.ack === 'processing') told.ack = 'none'
    }
    return before
  }

  /** This end is on disk since the commit before, and the answer is what it was. */
  #isRepeated({ id, run }: RunResult, before: UnansweredBatch | undefined, { lost }: CommitResult): boolean {
    if (!before?.batch.results.some((each) => each.id === id && each.run === run)) return false
    if (before.answer.lost.has(id) !== lost.has(id))
      this.fail(`${id}: lost: ${lost.has(id)}, and it was not so when its end was written`)
    return true
  }

  /** What the host has recorded goes, and it has recorded all of it. */
  forgets(epoch: number, ids: readonly string[], forget: () => void): void {
    if (epoch !== this.#epoch) {
      forget()
      this.fail('a runtime that was replaced forgets messages')
    }
    for (const { id, ack, status, renumbered, replies, delivered } of ids.map((id) => this.#told(id))) {
      if (ack !== 'completed' && ack !== 'failed') this.fail(`${id} is forgotten, and its ack is ${ack}`)
      // One that is inserted again at this moment might have been a moment later.
      if (status !== 'completed' && status !== 'deleted' && !renumbered)
        this.fail(`${id} is forgotten, and for its host it is ${status}`)
      // What is inserted again replies under ids that are delivered already.
      if (delivered < replies.length && !renumbered)
        this.fail(`${id} is forgotten, and not all of its replies are delivered`)
    }
    forget()
    const byMessage = new Map<string, string[]>()
    for (const [id, , content] of this.#disk.repliesBehind(0))
      byMessage.set(id, [...(byMessage.get(id) ?? []), content])
    for (const told of ids.map((id) => this.#told(id))) {
      this.waits.forgotten(told)
      // The reply with the highest number of all stays.
      const replies = byMessage.get(told.id) ?? []
      if (replies.length > 1) this.fail(`${told.id} is forgotten, and [${replies}] are still there`)
      const left = new Map(replies.map((content) => [told.replies.indexOf(content), content]))
      Object.assign(told, { ...FORGOTTEN, replies, left })
    }
  }

  settled(epoch: number, list: readonly EndedRun[]): void {
    if (epoch !== this.#epoch) return
    for (const { id, verdict } of list) {
      const ack = this.#written.get(id)
      if ((verdict === 'done' && ack !== 'completed') || (verdict === 'failed' && ack !== 'failed'))
        this.fail(`${id} was reported as ${verdict}, its ack is ${ack}`)
    }
  }

  dispatched(epoch: number, pid: number, batch: readonly Dispatch[]): void {
    if (epoch !== this.#epoch) {
      // Its claim was on disk before it was replaced, and the answer came after.
      if (this.#parts.isLate) return
      this.fail('a runtime that was replaced starts a run')
    }
    for (const { n, message, attempt, alone, journal } of batch) {
      const told = this.#told(message.id)
      this.waits.dispatched(told, journal)
      if (!this.#justClaimed.delete(told.id)) this.fail(`${told.id} starts without a claim on disk`)
      if (attempt !== told.charged + told.chargedSoon + 1)
        this.fail(`${told.id} starts as attempt ${attempt}, after ${told.charged} + ${told.chargedSoon}`)
      const onDisk = told.interrupted || told.deaths > 0
      // Of a message that the host has touched meanwhile, only what is on disk is remembered for certain.
      const must = onDisk || (told.suspect === 'yes' && told.strict)
      const may = onDisk || told.suspect !== 'no'
      if (alone ? !may : must) this.fail(`${told.id} starts ${alone ? '' : 'not '}alone`)
      this.#dispatched.set(n, { told, alone, pid })
    }
  }

  /** `hasAnswered`: for a message, before that. */
  outlived(pid: number, hasAnswered: boolean): void {
    this.#outlived.set(pid, hasAnswered)
  }

  /** @returns what the handler does */
  handlerBegins(epoch: number, pid: number, { n, message }: Dispatch): Fate {
    const told = this.#told(message.id)
    if (epoch !== this.#epoch) return fateNow(told)
    told.started++
    told.replied = false
    const fate = fateNow(told)
    const dispatched = this.#dispatched.get(n)
    if (dispatched) dispatched.fate = fate
    if (isOver(told)) this.fail(`${told.id} runs though it is ${told.ack}`)
    for (const id of this.#running.keys()) {
      if (id === told.id) this.fail(`${id} runs twice at once`)
      if (told.lane !== null && this.#told(id).lane === told.lane)
        this.fail(`${told.id} begins while ${id} runs, of the same lane`)
    }
    this.#running.set(told.id, pid)
    const before = this.#before(told).find((each) => !each.replied)
    // One that the host has numbered anew keeps the place that it had; and what has begun comes first in any
    // case.
    // One that was claimed before its host took it away may begin after that, beside those of another file.
    const hasBegun = told.started > 1 || told.hasLost
    const exempt = told.renumbered || told.status === 'deleted' || (hasBegun && !told.strict)
    if (before && !exempt)
      this.fail(`${told.id} (seq ${told.seq}) begins before ${before.id} (seq ${before.seq})`)
    return fate
  }

  /** The body of a step is called, or its process hears that its result is on disk. */
  step(epoch: number, { message }: Dispatch, name: string, what: 'begins' | 'kept'): void {
    if (epoch === this.#epoch) this.waits.step(this.#told(message.id), name, what)
  }

  handlerEnded(epoch: number, { message }: Dispatch, how: Fate['end'] | 'waits' | 'cut-off'): void {
    if (epoch !== this.#epoch) return
    this.#running.delete(message.id)
    this.#told(message.id).replied = how === 'replies'
  }

  /** The runtime hears how runs ended. */
  ended(epoch: number, list: readonly Ended[]): void {
    if (epoch !== this.#epoch) return
    for (const { n, outcome } of list) {
      const dispatched = this.#dispatched.get(n) ?? this.fail(`dispatch ${n} ends and was not made`)
      const { told } = dispatched
      this.#dispatched.delete(n)
      this.#mustBeTheCause(dispatched, outcome)
      if (isDeath(outcome) && this.#aborted) this.fail(`${told.id} is blamed for the end of the runtime`)
      told.outcome = outcome
      told.endedAtMs = this.#parts.clock.now()
      if (outcome.type !== 'replied') told.replied = false
      if (isCharged(told, outcome)) told.chargedSoon++
      if (isDeath(outcome) || (outcome.type === 'cancelled' && outcome.why === 'process-died'))
        told.suspect = 'yes'
    }
  }

  /**
   * A message that has not begun has done nothing; and one that has is charged with a death only where it can
   * have been no other.
   */
  #mustBeTheCause({ told, alone, pid, fate }: Dispatched, outcome: NonNullable<Told['outcome']>): void {
    const hasAnswered = this.#outlived.get(pid)
    // Of one that was suspected already, it is believed.
    const believed = alone && hasAnswered !== undefined
    if (outcome.type !== 'cancelled' && !fate && !believed)
      this.fail(`${told.id} ${outcome.type}, and has not begun`)
    if (!isDeath(outcome) || believed) return
    const isDeadly = fate && (isDeadEnd(fate.end) || fate.cuts === 'instead')
    if (!isDeadly && hasAnswered !== false)
      this.fail(`${told.id} is charged with the end of process ${pid}, which was not its doing`)
  }

  /** The runtime stops what still runs. */
  aborts(epoch: number): void {
    this.#aborted ||= epoch === this.#epoch
  }

  /** What ought to have ended by now. */
  *unfinished(nowMs: number, onWakeToo: boolean, kinds: ReadonlySet<string>): Generator<Told> {
    for (const message of this.#messages.values()) {
      if (message.status !== 'pending' || isOver(message) || message.forgotten) continue
      const due = isRefused(message) || message.dueAtMs <= nowMs
      const hasFunction = kinds.has(message.kind) && (onWakeToo || !message.onWake)
      const taken = isPassedOver(message) || this.#isAnswer(message) || hasFunction
      if (due && (taken || isRefused(message))) yield message
    }
  }

  /**
   * Whatever of one function stands still: a message of another one, with none before it, has begun. A
   * function with more than its share of messages (`shareMax`) may keep itself waiting.
   */
  checkOthersGoOn({ shareMax, asideMax }: { readonly shareMax: number; readonly asideMax: number }): void {
    const left = [...this.#messages.values()].filter((told) => !isOver(told) && told.status !== 'deleted')
    const out = new Set([...this.#dispatched.values()].map(({ told }) => told))
    for (const told of left)
      if (told.run && told.status === 'paused' && !out.has(told) && !told.outcome)
        this.fail(`${told.id} is paused, and has a claim without a run`)
    const fills = (kind: string) => left.filter((each) => each.kind === kind).length > shareMax
    // What waits for its next attempt takes no room, up to a number.
    const mayRun = left.filter(({ started }) => started > 0).length <= asideMax
    const goesOn = (kind: string) =>
      ((kind === 'free' || kind === 'quick') && !fills(kind)) || (kind === 'stuck' && mayRun)
    const waiting = left.filter(
      ({ kind, strict, started, renumbered }) => strict && started === 0 && !renumbered && goesOn(kind),
    )
    for (const told of waiting) {
      const before = left.some(
        (each) => each !== told && each.lane === told.lane && (each.seq === null || each.seq < told.seq!),
      )
      if (told.status === 'pending' && (told.lane === null || !before))
        this.fail(`${told.id} (seq ${told.seq}) has not begun, and nothing goes wrong`)
    }
  }

  /** When the last pause ends, by the steady clock. */
  get pausesUntilMs(): number {
    const aheadMs = this.#parts.clock.now() - this.#parts.clock.monotonic()
    const endMs = ({ notBefore, suspended, status }: Told) =>
      suspended && status === 'pending' ? suspended.wakeAtMs - aheadMs : notBefore.ms
    return Math.max(0, ...[...this.#messages.values()].map(endMs))
  }

  /** So it is where a stop does not say that it leaves claims behind. */
  checkNothingIsClaimed(): void {
    for (const { id, run } of this.#messages.values())
      if (run) this.fail(`${id} has a claim, and the stop that leaves it does not say so`)
  }

  /** Nothing is left on the way: as it must be after a stop in peace. */
  checkNothingRuns(epoch: number): void {
    if (epoch !== this.#epoch) return
    for (const { id, ack, run } of this.#messages.values())
      if (run || ack === 'processing') this.fail(`${id} is still on its way after a stop in peace`)
  }

  /** Everything on disk is as it must be. */
  checkAll(): void {
    const acks = this.#disk.acks()
    for (const id of this.#messages.keys()) this.#compareAck(id, acks.get(id))
    this.#compareReplies(this.#messages.keys(), this.#disk.repliesBehind(0))
    const charged = this.#disk.charged()
    for (const told of this.#messages.values()) {
      if ((charged.get(told.id) ?? 0) !== told.charged)
        this.fail(`${told.id} has been charged ${told.charged} attempts, on disk ${charged.get(told.id)}`)
      if (told.charged > policyOf(told.kind).attempts) this.fail(`${told.id} had ${told.charged} attempts`)
    }
    this.waits.checkAll(this.#messages.values())
  }

  /** Not before this instant; nor before so long a time has passed, if the clock is set meanwhile. */
  #mayStart(told: Told, wallMs = 0, waitMs = Number.POSITIVE_INFINITY): void {
    const { clock } = this.#parts
    told.notBefore = { wallMs, ms: clock.monotonic() + Math.min(wallMs - clock.now(), waitMs) }
  }

  #told(id: string): Told {
    return this.#messages.get(id) ?? this.fail(`the host has not inserted ${id}`)
  }

  /** Those of its lane that have to come first and are not over. */
  #before({ lane, seq }: Told): Told[] {
    const all = lane === null ? undefined : this.#lanes.get(lane)
    if (!all || seq === null) return []
    const isFirst = (each: Told) => each.strict && !each.overtaken && !isOver(each)
    while (all[0] && !isFirst(all[0])) all.shift()
    return all.filter((each) => isFirst(each) && each.status === 'pending' && each.seq! < seq)
  }

  #mustBeFenced(commit: () => CommitResult): CommitResult {
    try {
      commit()
    } catch (error) {
      if (error instanceof NanoclawError && error.code !== 'fenced')
        this.fail(`a runtime that was replaced: ${error}`)
      throw error
    }
    return this.fail('a runtime that was replaced writes')
  }

  /** `setMs`: how far the wall clock was set between the making of the batch and its commit. */
  #end(ending: RunResult, setMs: number, lost: boolean): void {
    const told = this.#told(ending.id)
    const { outcome, run } = told
    if (!outcome || run?.run !== ending.run)
      this.fail(`run ${ending.run} of ${told.id} ends, and was not running`)
    if (lost !== (told.ack !== 'processing')) this.fail(`${told.id}: the claim is ${told.ack}, lost: ${lost}`)
    told.run = undefined
    told.outcome = undefined
    told.chargedSoon = 0
    told.hasLost ||= lost
    if (lost) return
    const charged = isCharged(told, outcome)
    if (charged) told.charged++
    if (isDeath(outcome)) told.deaths++
    const wrong = judge(told, outcome, ending, this.#parts.crashLimit)
    if (wrong) this.fail(`${told.id}: ${wrong}`)
    if (!charged && outcome.type === 'threw') told.turnedAwaySinceMs ??= this.#parts.clock.now()
    const { next } = ending
    told.ack = next.type === 'completed' || next.type === 'failed' ? next.type : 'none'
    // What is read from disk says the time as it was before the clock was set.
    if (next.type === 'retry') this.#mayStart(told, next.nextAtMs - Math.max(setMs, 0))
    if (next.type === 'completed' || next.type === 'waiting') {
      const fresh = next.replies.map(({ content }) => content)
      this.#fresh.set(told.id, fresh)
      told.replies = [...told.replies, ...fresh]
    }
    // One that ran while another file was put in place ends beside the rows of that file.
    if (!isOver(told) || !told.strict || told.status === 'deleted') return
    const [before] = this.#before(told)
    if (before) this.fail(`${told.id} (seq ${told.seq}) is over before ${before.id} (seq ${before.seq})`)
  }

  /** The host answers a question of which the store knows. */
  #isAnswer({ kind, content }: Told): boolean {
    return kind === 'system' && this.waits.isKnown((JSON.parse(content) as { questionId: string }).questionId)
  }

  #reject(told: Told, ack: 'failed' | 'completed' = 'failed'): void {
    if (told.ack !== 'none') return
    if (told.strict && isPassedOver(told) !== (ack === 'completed'))
      this.fail(`${told.id} ends as ${ack} without a run`)
    if (!isRefused(told) && !isPassedOver(told) && told.strict)
      this.fail(`${told.id} is rejected, and nothing is wrong with it`)
    told.ack = ack
    told.suspended = undefined
    this.waits.ended(told)
  }

  #claim(claim: Claim, nowMs: number, made: Made, refused: boolean): void {
    const { id, run, attempt, worker, alone } = claim
    const told = this.#told(id)
    // An id that comes again under another number is not known to have run before, until it is refused.
    if (told.ack === 'none' ? refused && !told.renumbered : !refused)
      this.fail(`${id}: its ack is ${told.ack}, claim refused: ${refused}`)
    if (refused) return
    if (isPassedOver(told)) this.fail(`${id} is context for a function that does not ask for it, and starts`)
    // What the host does while a commit is under way comes too late.
    const read = made.claimed.get(id) ?? told
    if (read.status !== 'pending') this.fail(`${id} starts though it is ${read.status}`)
    if (read.dueAtMs > nowMs) this.fail(`${id} starts ${read.dueAtMs - nowMs} ms before its time`)
    const early = Math.min(told.notBefore.wallMs - nowMs, told.notBefore.ms - this.#parts.clock.monotonic())
    // The wall clock knows whole milliseconds only; an answer that comes late reads it once more.
    if (early >= (this.#parts.isLate ? 2 : 1)) this.fail(`${id} starts ${early} ms before its next attempt`)
    if (attempt > policyOf(told.kind).attempts) this.fail(`${id} starts as attempt ${attempt}`)
    told.ack = 'processing'
    told.run = { run, alone, worker }
    this.#mayStart(told)
    this.#justClaimed.add(id)
  }

  /**
   * A message up to the checkpoint that no start would look for is lost; what the host has touched, the
   * rescan finds.
   */
  #checkCheckpoint({ seq, id, unfinished }: Checkpoint): void {
    // It says of which file it is: in another one, a start reads from the beginning.
    if (id !== null && (this.#told(id).status === 'deleted' || this.#told(id).seq !== seq)) return
    const listed = new Set(unfinished)
    for (const [id] of this.#disk.waits()) listed.add(id)
    for (const id of this.#disk.waiting()) listed.add(id)
    for (const told of this.#messages.values()) {
      if (told.seq === null || told.seq > seq || isOver(told) || told.status !== 'pending') continue
      if (told.strict && !listed.has(told.id))
        this.fail(`${told.id} (seq ${told.seq}) is unfinished, and not listed with the checkpoint ${seq}`)
    }
  }

  /** The acks of what this turn was about, and all replies that are new with it. */
  #checkDisk({ results, rejections, claims, answers }: CommitBatch): void {
    for (const { id } of [...results, ...rejections, ...claims, ...answers])
      this.#compareAck(id, this.#disk.ack(id))
    this.waits.checkTouched()
    const ids = new Set(this.#fresh.keys())
    const fresh = this.#disk.repliesBehind(this.#repliesUpTo)
    for (const [id] of fresh) if (!ids.has(id)) this.fail(`a reply to ${id} comes in a turn without its end`)
    this.#compareReplies(ids, fresh, true)
  }

  #compareAck(id: string, is = 'none'): void {
    const must = this.#told(id).ack
    if (is !== must) this.fail(`the ack of ${id} must be ${must}, on disk it is ${is}`)
  }

  #compareReplies(ids: Iterable<string>, rows: readonly StoredReply[], areFresh = false): void {
    const { replies, lastSeq } = byMessage(rows, (fault) => this.fail(fault))
    this.#repliesUpTo = Math.max(this.#repliesUpTo, lastSeq)
    for (const id of ids) {
      const { ack, replies: all } = this.#told(id)
      const must = areFresh ? this.#fresh.get(id)! : all
      const is = replies.get(id) ?? []
      if (is.join() !== must.join()) this.fail(`${id} is ${ack}; of its replies [${must}] there are [${is}]`)
    }
  }
}
