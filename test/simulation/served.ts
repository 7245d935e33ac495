// A folder as one runtime serves it: the real source, queue, dispatcher and store, put together as
// workspace.ts does it, with the faults of the folder at the edges. The processes and the turns are those of
// the runtime (life.ts).
import type { Catalog } from '../../runtime/catalog/catalog.ts'
import { Dispatcher } from '../../runtime/dispatcher.ts'
import { type Clock, guarded, type Timer } from '../../runtime/protocol/clock.ts'
import { type CommitBatch, type CommitResult, EMPTY_BATCH } from '../../runtime/protocol/commit-batch.ts'
import { NanoclawError } from '../../runtime/protocol/errors.ts'
import { createEvents } from '../../runtime/protocol/events.ts'
import type { WaitQueries } from '../../runtime/protocol/waits.ts'
import { Queue, type QueueLimits } from '../../runtime/queue/queue.ts'
import type { Workers } from '../../runtime/queue/workers.ts'
import { type InboundLimits, InboundSource } from '../../runtime/sources/inbound.ts'
import type { Page } from '../../runtime/sources/pages.ts'
import { Retention } from '../../runtime/store/retention.ts'
import {
  classifyRead,
  classifyWrite,
  explain,
  readTrouble,
  writeTrouble,
} from '../../runtime/store/sqlite/classify.ts'
import { Inbox, START } from '../../runtime/store/sqlite/inbox.ts'
import { Outbox } from '../../runtime/store/sqlite/outbox.ts'
import type { Store } from '../../runtime/store/store.ts'
import type { TurnOrder } from '../../runtime/turns.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { Crash, UNANSWERED } from './faults.ts'
import { Violation } from './findings.ts'
import type { Folder } from './folder.ts'
import { CONTENT_MAX } from './messages.ts'

/** What the runtime gives to each of its folders. */
export interface Home {
  /** Calls nothing once the runtime is dead. */
  readonly clock: Clock
  readonly turns: TurnOrder
  readonly nextRunId: () => number
  readonly random: () => number
  readonly workers: (served: Served) => Workers
  readonly limits: InboundLimits & QueueLimits
  readonly pollMs: number
  readonly retentionMs: number
  readonly crashLimit: number
  readonly delayMs: () => number
  readonly say: (text: () => string) => void
  /** Calls into the runtime. */
  readonly do: (call: () => void) => void
  readonly crashed: (crash: Crash) => void
  /** The folder cannot be served any more. */
  readonly gaveUp: (served: Served, why: 'fenced' | 'failed') => void
  /** A process has got messages of this function. */
  readonly claimed: (served: Served, functionName: string) => void
}

/** What ends the processes when a stop takes too long. */
export interface ProcessEnds {
  abort(): void
  kill(): void
}

export type Drained = 'not' | 'draining' | 'in-peace' | 'late' | 'failed'

/** A commit that is under way: `asked`, and then `written`, which is not known yet. */
interface UnderWay {
  readonly batch: CommitBatch
  state: 'asked' | 'written'
}

const DRAIN_MS = 1_000
export const ABORT_GRACE_MS = 50

export class Served {
  readonly folder: Folder
  readonly epoch: number
  readonly #home: Home
  readonly #store: Pick<Store, 'waits' | 'recover' | 'history' | 'unfinished' | 'waiting' | 'retention'> & {
    commit: Store['commit']
  }
  readonly #inbox: Inbox
  readonly #queue: Queue
  readonly #source: InboundSource
  readonly #dispatcher: Dispatcher
  readonly #retention: Retention
  #underWay: UnderWay | undefined
  #alive = true
  #drained: Drained = 'not'
  /** The last read, or the last commit, went wrong. */
  #readFails = false
  #commitFails = false
  /** How often another folder got a process for a function, since this one has waited for one. */
  readonly #passedBy = new Map<string, number>()

  /** @throws Crash, SqliteError: it cannot be served now */
  constructor(folder: Folder, home: Home, catalog: Catalog) {
    this.folder = folder
    this.#home = home
    const { faults, books, files, lock } = folder
    const { clock, crashLimit, limits, pollMs } = home
    this.#store = this.#openStore()
    faults.begin()
    const recovery = this.#store.recover(clock.now(), crashLimit, lock.stoppedEpoch)
    books.recovered(recovery, lock.stoppedEpoch)
    home.say(
      () =>
        `starts, epoch ${recovery.epoch}, checkpoint ${recovery.checkpoint.seq} [${recovery.checkpoint.unfinished}]`,
    )
    this.epoch = recovery.epoch
    this.#inbox = new Inbox(files.inbound.name)
    const events = createEvents()
    events.on('runs-ended', (list) => books.settled(this.epoch, list))
    events.on('claimed', ({ functionName }) => home.claimed(this, functionName))
    this.#queue = new Queue({
      clock,
      limits,
      onDue: (messages) => this.#source.comeDue(messages),
      onReady: () => this.#dispatcher.nudge(),
      onHorizon: () => this.#source.horizonCame(),
    })
    this.#source = new InboundSource(
      {
        clock,
        events,
        queue: this.#queue,
        limits,
        inbound: this.#watchedInbox(),
        history: (ids) => {
          faults.effect('a read of outbound.db')
          return this.#store.history(ids)
        },
        unfinished: (ids, limit) => {
          faults.effect('a read of outbound.db')
          return this.#store.unfinished(ids, limit, clock.now())
        },
        waits: this.#watchedWaits(),
        waiting: (after, limit) => {
          faults.effect('a read of outbound.db')
          return this.#store.waiting(after, limit)
        },
        start: START,
        checkpoint: recovery.checkpoint,
        maxContentBytes: CONTENT_MAX,
        pollMs,
        classify: (error) => readTrouble(error, files.inbound.name),
        path: files.inbound.name,
      },
      catalog,
    )
    this.#dispatcher = new Dispatcher({
      workspace: folder.name,
      scope: recovery.scope,
      clock: guarded(
        clock,
        (error) => this.#fatal(error),
        (turn) => home.turns.soon(turn),
      ),
      nextRunId: home.nextRunId,
      events,
      queue: this.#queue,
      crashLimit,
      random: home.random,
      store: { commit: (batch) => this.#watchedCommit(batch) },
      workers: home.workers(this),
      maxSeq: () => this.#source.maxSeq(),
      checkpoint: (nowMs) => this.#source.checkpoint(nowMs),
      claimed: () => home.turns.served(),
      answered: (ids) => this.#source.wake(ids),
      classify: (error) => {
        if (error instanceof Crash || error instanceof Violation) throw error
        return writeTrouble(error)
      },
      explain,
      fatal: (error) => this.#fatal(error),
    })
    const { retention } = this.#store
    this.#retention = new Retention({
      clock,
      retentionMs: home.retentionMs,
      past: {
        endedAfter: (place, limit) => retention.endedAfter(place, limit),
        repliesTo: (ids) => retention.repliesTo(ids),
        forget: (ids, replies) => {
          faults.begin()
          home.say(() => `  forgets ${ids.join()}`)
          books.forgets(this.epoch, ids, () => retention.forget(ids, replies))
        },
      },
      host: {
        notEnded: (ids) => this.#read('what the host has ended', () => this.#inbox.notEnded(ids)),
        delivered: (ids) => this.#read('what the host has delivered', () => this.#inbox.delivered(ids)),
      },
      isLock: (error) => classifyWrite(error) === 'retry',
      onBug: (error) => this.#fatal(error),
    })
  }

  /** Begins to work. */
  start(): void {
    this.#home.do(() => {
      this.#source.start(this.#dispatcher)
      this.#retention.start()
    })
  }

  get alive(): boolean {
    return this.#alive
  }

  get drained(): Drained {
    return this.#drained
  }

  look(): void {
    this.#home.do(() => {
      if (this.#alive) this.#source.poll('now')
    })
  }

  reroute(catalog: Catalog): void {
    if (this.#alive && this.#drained === 'not') this.#source.reroute(catalog)
  }

  roomCame(): void {
    if (this.#alive && this.#dispatcher.isShort) this.#dispatcher.nudge()
  }

  /** Whether the states of all messages and the indexes of the queue say the same. */
  checkQueue(): void {
    const wrong = this.#alive ? this.#queue.disagreements() : []
    if (wrong.length > 0) this.folder.books.fail(`the queue disagrees with itself: ${wrong.join('; ')}`)
  }

  /** So many messages are in this state. */
  count(state: Parameters<Queue['count']>[0]): number {
    return this.#queue.count(state)
  }

  get underWay(): UnderWay | undefined {
    return this.#underWay
  }

  /** Another folder gets a process for this function; returns how often, since this one waits for one. */
  passedBy(functionName: string): number {
    const times = this.#waitsFor(functionName) ? (this.#passedBy.get(functionName) ?? 0) + 1 : 0
    this.#passedBy.set(functionName, times)
    return times
  }

  /** It got one itself. */
  getsOne(functionName: string): void {
    this.#passedBy.delete(functionName)
  }

  #waitsFor(functionName: string): boolean {
    const isHeldUp = this.#readFails || this.#commitFails || this.#underWay || this.#drained !== 'not'
    if (!this.#alive || isHeldUp || !this.#dispatcher.isShort) return false
    return [...this.#queue.lanes.readyHeads()].some(({ spec }) => spec.name === functionName)
  }

  /** As Workspace.drain does; `drained` says how far it has come. */
  drain(processes: ProcessEnds): void {
    if (this.#drained !== 'not' || !this.#alive) return
    this.#drained = 'draining'
    const { clock } = this.#home
    this.#source.stop()
    this.#retention.stop()
    const timers: Timer[] = [
      clock.after(DRAIN_MS - ABORT_GRACE_MS, () => processes.abort()),
      clock.after(DRAIN_MS, () => {
        processes.abort()
        processes.kill()
      }),
      clock.after(DRAIN_MS + 500, () => this.#stopped('late', timers)),
    ]
    this.#dispatcher
      .drain()
      .then(() => this.#home.do(() => this.#stopped('in-peace', timers)))
      .catch((error) => this.folder.books.keep(error))
  }

  /** As Workspace.kill does, where the runtime lives on: nothing more happens by itself. */
  giveUp(): void {
    if (this.#drained === 'draining') this.#drained = 'failed'
    this.#dispatcher.close()
    this.#source.stop()
    this.#retention.stop()
    this.end()
  }

  end(): void {
    this.#alive = false
    this.#inbox.close()
  }

  #stopped(how: 'in-peace' | 'late', timers: readonly Timer[]): void {
    if (this.#drained !== 'draining') return
    for (const timer of timers) timer.cancel()
    const { folder } = this
    const isOurs = folder.books.epoch === this.epoch
    if (how === 'late' && isOurs && this.#dispatcher.unwritten.claims > 0)
      folder.lock.stoppedEpoch = this.epoch
    else if (isOurs) folder.books.checkNothingIsClaimed()
    this.#dispatcher.close()
    if (how === 'in-peace') {
      folder.books.checkNothingRuns(this.epoch)
      this.#keepCheckpoint()
    }
    this.#home.say(() => `${folder.name} stopped ${how}`)
    this.#drained = how
  }

  /**
   * Only a shortcut for the next start. A store that answers late has none of it here: the runtime waits for
   * no answer either.
   */
  #keepCheckpoint(): void {
    if (this.folder.store === 'memory') return
    const checkpoint = this.#source.currentCheckpoint()
    const nowMs = this.#home.clock.now()
    try {
      this.#write({ ...EMPTY_BATCH, nowMs, checkpoint })
    } catch (error) {
      if (error instanceof Crash || error instanceof Violation) throw error
    }
  }

  #openStore() {
    const { files, store } = this.folder
    if (store !== 'memory') return new Outbox(files.outbound.db, 'delete')
    return new MemoryStore(files.memory, {
      later: () => this.#later(),
      around: (batch, write) => {
        try {
          return this.#write(batch, this.#made, write)
        } catch (error) {
          if (error instanceof Crash) this.#home.crashed(error)
          throw error
        }
      },
    })
  }

  #made: ReturnType<Folder['books']['made']> | undefined

  #watchedCommit(batch: CommitBatch): CommitResult | Promise<CommitResult> {
    const { books, store } = this.folder
    if (!this.#alive) books.fail('a runtime writes to a folder that it has given up')
    const made = (this.#made = books.made(batch))
    if (this.#underWay) books.fail('two commits are under way at a time')
    try {
      if (store === 'sqlite') return this.#answered(this.#write(batch, made))
    } catch (error) {
      throw this.#refused(error)
    }
    this.#underWay = { batch, state: 'asked' }
    const answer = store === 'memory' ? this.#store.commit(batch) : this.#commitLate(batch, made)
    // A runtime that was killed gets no answer: what it would do with one is done in no process.
    return new Promise((resolve, reject) => {
      Promise.resolve(answer).then(
        (result) => this.#alive && resolve(this.#answered(result)),
        (error) => this.#alive && reject(this.#refused(error)),
      )
    })
  }

  #answered(result: CommitResult): CommitResult {
    this.#underWay = undefined
    this.#commitFails = false
    return result
  }

  #refused(error: unknown): unknown {
    this.#underWay = undefined
    this.#commitFails = true
    return error
  }

  /** The batch takes effect now. */
  #write(
    batch: CommitBatch,
    made = this.folder.books.made(batch),
    write: () => CommitResult = () => this.#store.commit(batch) as CommitResult,
  ): CommitResult {
    const { faults, books, files, store } = this.folder
    const { say } = this.#home
    let isLost = false
    if (!this.#alive) throw new Error('the store is closed')
    say(() => `  turn ${told(batch)}`)
    const committed = books.commit(this.epoch, batch, made, () => {
      faults.begin()
      if (store === 'memory') faults.write()
      isLost = faults.losesAnswer()
      const done =
        isLost && store !== 'memory'
          ? (files.unanswered(write) as { readonly answer: CommitResult }).answer
          : write()
      say(() => `  on disk${committedText(done)}${isLost ? ', and reports an error' : ''}`)
      return done
    })
    if (this.#underWay) this.#underWay.state = 'written'
    faults.effect('what follows a commit')
    if (!isLost) return committed
    books.unanswered(batch, committed)
    throw UNANSWERED
  }

  /**
   * As a store on another machine would: the batch is on disk some time later, and that is known later still.
   */
  async #commitLate(batch: CommitBatch, made: ReturnType<Folder['books']['made']>): Promise<CommitResult> {
    await this.#later()
    try {
      return this.#write(batch, made)
    } catch (error) {
      // A kill waits for no answer.
      if (error instanceof Crash) this.#home.crashed(error)
      throw error
    } finally {
      await this.#later()
    }
  }

  #later(): Promise<void> {
    const { clock, delayMs } = this.#home
    const { slowMs = delayMs() * 10 } = this.folder.faults
    return new Promise((resolve) => clock.after(slowMs, resolve))
  }

  #fatal(error: unknown): void {
    const { books } = this.folder
    if (error instanceof Crash) return this.#home.crashed(error)
    if (error instanceof Violation) return void books.keep(error)
    if (!this.#alive) return
    const isFenced = error instanceof NanoclawError && error.code === 'fenced'
    if (!isFenced && !this.folder.faults.isPlanned(error))
      books.fail(
        `the runtime gives up: ${String(error instanceof Error ? error.stack : error).replaceAll('\n', ' ')}`,
      )
    this.#home.say(() => `${this.folder.name} gives up in epoch ${this.epoch}: ${error}`)
    this.#home.gaveUp(this, isFenced ? 'fenced' : 'failed')
  }

  #read<T>(what: string, now: () => T): T {
    const { faults, books } = this.folder
    if (!this.#alive) books.fail(`${what} is read of a folder that was given up`)
    this.#readFails = true
    try {
      faults.read(what)
    } catch (error) {
      // As the real one does when it meets a hot journal.
      if (!(error instanceof Crash) && classifyRead(error) !== 'retry') this.#inbox.close()
      throw error
    }
    const result = now()
    this.#readFails = false
    return result
  }

  /** From now on the inbox knows that the file was away. */
  #missed(): void {
    const { faults, books } = this.folder
    if (faults.gone && this.epoch === books.epoch) faults.missed()
  }

  #watchedWaits(): WaitQueries {
    const { faults } = this.folder
    const read = <T>(query: (waits: WaitQueries) => T): T => {
      faults.effect('a read of outbound.db')
      return query(this.#store.waits)
    }
    return {
      holding: (afterId, limit) => read((waits) => waits.holding(afterId, limit)),
      due: (after, nowMs, limit) => read((waits) => waits.due(after, nowMs, limit)),
      ready: (afterId, limit) => read((waits) => waits.ready(afterId, limit)),
      nextAtMs: (afterMs) => read((waits) => waits.nextAtMs(afterMs)),
      questions: (ids) => read((waits) => waits.questions(ids)),
      openAt: (addresses) => read((waits) => waits.openAt(addresses)),
      asksText: () => read((waits) => waits.asksText()),
    }
  }

  #watchedInbox() {
    const { faults, books } = this.folder
    const inbox = this.#inbox
    const read = <T>(what: string, now: () => T) => this.#read(what, now)
    return {
      changed: (doubt: boolean) => {
        const changed = read('a look', () => {
          try {
            return inbox.changed(doubt)
          } catch (error) {
            this.#missed()
            throw error
          }
        })
        if (changed === 'replaced') books.startsOver()
        return changed
      },
      getPendingMessages: (...about: Parameters<Inbox['getPendingMessages']>): Page =>
        faults.odd(read('a page', () => inbox.getPendingMessages(...about))),
      getPendingByIds: (...about: Parameters<Inbox['getPendingByIds']>) =>
        read('some rows', () => inbox.getPendingByIds(...about)),
      getPendingIds: (...about: Parameters<Inbox['getPendingIds']>) =>
        read('a page of ids', () => inbox.getPendingIds(...about)),
      getMessages: (ids: readonly string[]) => read('messages', () => inbox.getMessages(ids)),
      maxSeq: () => read('the last seq', () => inbox.maxSeq()),
      placeOf: (seq: number, id: string) => read('the row of the checkpoint', () => inbox.placeOf(seq, id)),
      rawId: (rowid: number) => inbox.rawId(rowid),
    }
  }
}

function told({ steps, results, answers, withdrawn, claims, rejections, checkpoint }: CommitBatch): string {
  return [
    ...steps.map(({ id, run, name }) => `${id}/${run} has done ${name}`),
    ...answers.map(({ id, questionId, value }) => `${id} answers ${questionId} with ${value}`),
    ...withdrawn.map((id) => `${id} withdrawn`),
    ...results.map(({ id, run, next, outcome }) => `${id}/${run} ${outcome}→${next.type}`),
    ...rejections.map(({ id, reason }) => `${id} rejected: ${reason}`),
    ...claims.map(({ id, run, attempt, worker }) => `${id}/${run} claimed (attempt ${attempt}, ${worker})`),
    ...(checkpoint ? [`checkpoint ${checkpoint.seq} [${checkpoint.unfinished}]`] : []),
  ].join(', ')
}

function committedText({ refused, lost, waiting, answered, unused }: CommitResult): string {
  const named = { refused, lost, waits: waiting, wakes: answered, unused }
  return Object.entries(named)
    .map(([what, ids]) => ([...ids].length > 0 ? `, ${what} ${[...ids]}` : ''))
    .join('')
}
