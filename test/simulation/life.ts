// One life of the runtime, from a start to its end, however that comes: the real session, executor, lanes, pool, inbox and
// outbox, put together as runtime.ts does it, with simulated time, processes and faults at the edges. When it is killed,
// nothing of it ever happens again; what it has committed stays.
import type { Catalog } from '../../runtime/catalog/catalog.ts'
import { Dispatcher, type Workers } from '../../runtime/dispatcher.ts'
import type { Clock, Timer } from '../../runtime/protocol/clock.ts'
import type { CommitBatch, CommitResult } from '../../runtime/protocol/commit-batch.ts'
import { NanoclawError } from '../../runtime/protocol/errors.ts'
import { createEvents } from '../../runtime/protocol/events.ts'
import { Queue, type QueueLimits } from '../../runtime/queue/queue.ts'
import { type InboundLimits, InboundSource } from '../../runtime/sources/inbound.ts'
import { classifyRead, classifyWrite, explain } from '../../runtime/store/sqlite/classify.ts'
import { Inbox, START } from '../../runtime/store/sqlite/inbox.ts'
import { Outbox } from '../../runtime/store/sqlite/outbox.ts'
import { Pool } from '../../runtime/workers/pool.ts'
import { Prewarm } from '../../runtime/workers/prewarm.ts'
import { type Books, Violation } from './books.ts'
import { CONCURRENCY, fateOf, wishMs } from './cast.ts'
import { Crash, type Faults } from './faults.ts'
import type { Outbound } from './files.ts'
import { CONTENT_MAX, type Told } from './messages.ts'
import { type Birth, SimulatedProcess } from './process.ts'
import type { Random } from './random.ts'

export interface World {
  readonly clock: Clock
  readonly faults: Faults
  readonly books: Books
  readonly outbound: Outbound
  readonly messages: ReadonlyMap<string, Told>
  readonly inboundPath: string
  readonly random: Random
  readonly limits: InboundLimits & QueueLimits
  /** The store answers with a promise, some time later. */
  readonly lateCommits: boolean
  readonly pollMs: number
  readonly crashLimit: number
  /** What stands in the file of the lock. */
  readonly lock: { stoppedEpoch: number }
  readonly nextPid: () => number
  readonly birth: () => Birth
  /** How long a channel or a signal takes. */
  readonly delayMs: () => number
  readonly say: (text: () => string) => void
  /** A life is over; the world goes on. */
  readonly over: (life: Life, why: 'crash' | 'fenced') => void
}

const DRAIN_MS = 1_000
const ABORT_GRACE_MS = 50
const POOL_LIMITS = {
  concurrency: CONCURRENCY,
  warmMax: 7,
  startsMax: 2,
  quickMax: 2,
  loadTimeoutMs: 500,
  abortGraceMs: ABORT_GRACE_MS,
  killGraceMs: 50,
  maxMemoryMb: 100,
  maxReplyBytes: 1_000,
  maxLogBytes: 1_000,
  maxMessagesPerWorker: 40,
  env: {},
  nodeArgs: [],
  cwd: '',
}

export class Life {
  readonly epoch: number
  readonly #world: World
  readonly #inbox: Inbox
  readonly #outbox: Outbox
  readonly #queue: Queue
  readonly #source: InboundSource
  readonly #dispatcher: Dispatcher
  readonly #pool: Pool
  #alive = true
  #drained: 'not' | 'draining' | 'in-peace' | 'late' = 'not'

  /** @throws Crash, SqliteError: it did not come to life */
  constructor(world: World, catalog: Catalog) {
    this.#world = world
    const { faults, books, outbound, crashLimit, inboundPath } = world
    this.#outbox = new Outbox(outbound.db, 'delete')
    faults.begin()
    const recovery = this.#outbox.recover(world.clock.now(), crashLimit, world.lock.stoppedEpoch)
    books.recovered(recovery, world.lock.stoppedEpoch)
    world.say(
      () =>
        `starts, epoch ${recovery.epoch}, checkpoint ${recovery.checkpoint.seq} [${recovery.checkpoint.unfinished}]`,
    )
    this.epoch = recovery.epoch
    this.#inbox = new Inbox(inboundPath)
    const clock = this.#clock()
    const events = createEvents()
    events.on('settled', (list) => books.settled(this.epoch, list))
    this.#pool = new Pool({
      clock,
      events,
      limits: POOL_LIMITS,
      onRoom: () => this.#dispatcher.nudge(),
      onStartFailed: () => undefined,
      spawner: new Prewarm({
        clock,
        keep: true,
        spawn: (options) =>
          new SimulatedProcess(world.nextPid(), options, {
            clock,
            birth: world.birth,
            delayMs: world.delayMs,
            limits: POOL_LIMITS,
            left: (pid, why) => books.fail(`process ${pid} ${why}, and is neither of use nor ended`),
            wishMs: ({ message }) => wishMs(world.messages.get(message.id)!.plan),
            begins: (pid, dispatch) => {
              world.say(() => `  ${dispatch.message.id} begins in ${pid}`)
              books.handlerBegins(this.epoch, pid, dispatch)
              const { kind, plan, started } = world.messages.get(dispatch.message.id)!
              return fateOf(kind, plan, started)
            },
            ended: (pid, dispatch, how) => {
              world.say(() => `  ${dispatch.message.id} ${how} in ${pid}`)
              books.handlerEnded(this.epoch, dispatch, how)
            },
            outlived: (pid) => books.outlived(pid),
            holds: (pid, dispatches) => books.holds(this.epoch, pid, dispatches),
          }),
      }),
    })
    this.#queue = new Queue({
      clock,
      limits: world.limits,
      onDue: (messages) => this.#source.comeDue(messages),
      onReady: () => this.#dispatcher.nudge(),
      onHorizon: () => this.#source.horizonCame(),
    })
    this.#source = new InboundSource(
      {
        clock,
        events,
        queue: this.#queue,
        limits: world.limits,
        inbound: this.#watchedInbox(),
        history: (ids) => {
          faults.effect('a read of outbound.db')
          return this.#outbox.history(ids)
        },
        unfinished: (ids, limit) => {
          faults.effect('a read of outbound.db')
          return this.#outbox.unfinished(ids, limit)
        },
        waiting: (after, limit) => {
          faults.effect('a read of outbound.db')
          return this.#outbox.waiting(after, limit)
        },
        start: START,
        checkpoint: recovery.checkpoint,
        maxContentBytes: CONTENT_MAX,
        pollMs: world.pollMs,
        classify: readTrouble,
        path: inboundPath,
      },
      catalog,
    )
    let runs = 0
    this.#dispatcher = new Dispatcher({
      workspace: 'the only one',
      clock,
      nextRunId: () => ++runs,
      events,
      queue: this.#queue,
      crashLimit,
      random: () => world.random.next(),
      store: { commit: (turn) => (world.lateCommits ? this.#commitLate(turn) : this.#commit(turn)) },
      workers: this.#watchedPool(),
      maxSeq: () => this.#source.maxSeq(),
      checkpoint: (nowMs) => this.#source.checkpoint(nowMs),
      claimed: () => undefined,
      classify: writeTrouble,
      explain,
      fatal: (error) => this.#fatal(error),
    })
  }

  /** Begins to work. */
  start(): void {
    this.do(() => this.#source.start(this.#dispatcher))
  }

  /** Somebody calls into the runtime. */
  do(call: () => void): void {
    if (!this.#alive) return
    try {
      call()
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      this.#world.say(() => `crashes before ${error.message}`)
      this.#die('crash')
    }
  }

  /** Whether the states of all messages and the indexes of the queue say the same. */
  checkQueue(): void {
    const wrong = this.#alive ? this.#queue.disagreements() : []
    if (wrong.length > 0) this.#world.books.fail(`the queue disagrees with itself: ${wrong.join('; ')}`)
  }

  look(): void {
    this.do(() => this.#source.poll('now'))
  }

  reload(catalog: Catalog): void {
    this.do(() => {
      this.#pool.keepOnly(new Set(catalog.names.flatMap((name) => catalog.get(name)?.bundle ?? [])))
      this.#source.reroute(catalog)
    })
  }

  /** Everything that waits in memory is lost; a drain that has begun is over. */
  kill(): void {
    if (this.#alive) this.#die('crash')
  }

  get drained(): 'not' | 'draining' | 'in-peace' | 'late' {
    return this.#drained
  }

  /** As Runtime.stop does; `drained` says how far it has come. */
  drain(): void {
    this.do(() => {
      if (this.#drained !== 'not') return
      this.#drained = 'draining'
      const clock = this.#clock()
      this.#source.stop()
      const timers: Timer[] = [
        clock.after(DRAIN_MS - ABORT_GRACE_MS, () => this.#abort()),
        clock.after(DRAIN_MS, () => {
          this.#abort()
          void this.#pool.stop(true)
        }),
        clock.after(DRAIN_MS + 500, () => this.#stopped('late', timers)),
      ]
      this.#dispatcher
        .drain()
        .then(() => this.do(() => this.#stopped('in-peace', timers)))
        .catch((error) => this.#world.books.keep(error))
    })
  }

  #abort(): void {
    this.#world.books.aborts(this.epoch)
    this.#pool.abort()
  }

  #stopped(how: 'in-peace' | 'late', timers: readonly Timer[]): void {
    if (this.#drained !== 'draining') return
    for (const timer of timers) timer.cancel()
    if (how === 'late' && this.#dispatcher.unwritten.claims > 0) this.#world.lock.stoppedEpoch = this.epoch
    this.#dispatcher.close()
    if (how === 'in-peace') {
      this.#world.books.checkNothingRuns()
      const checkpoint = this.#source.currentCheckpoint()
      const nowMs = this.#world.clock.now()
      try {
        this.#commit({ nowMs, results: [], claims: [], rejections: [], inboundSeq: 0, checkpoint })
      } catch (error) {
        if (error instanceof Crash || error instanceof Violation) throw error
      }
    }
    this.#world.say(() => `stopped ${how}`)
    this.#drained = how
    this.#end()
  }

  #commit(turn: CommitBatch, made = this.#world.books.made(turn)) {
    const { faults, books, say } = this.#world
    say(() => `  turn ${told(turn)}`)
    const committed = books.commit(this.epoch, turn, made, () => {
      faults.begin()
      const done = this.#outbox.commit(turn)
      say(() => `  on disk${committedText(done)}`)
      return done
    })
    faults.effect('what follows a commit')
    return committed
  }

  /** As a store on another machine would: the batch is on disk some time later, and that is known later still. */
  #commitLate(turn: CommitBatch): Promise<CommitResult> {
    const clock = this.#clock()
    const { delayMs } = this.#world
    const made = this.#world.books.made(turn)
    return new Promise((resolve, reject) => {
      clock.after(delayMs() * 10, () => {
        let answer: () => void
        try {
          const result = this.#commit(turn, made)
          answer = () => resolve(result)
        } catch (error) {
          if (error instanceof Crash || error instanceof Violation) throw error
          answer = () => reject(error)
        }
        clock.after(delayMs() * 10, answer)
      })
    })
  }

  #fatal(error: unknown): void {
    if (error instanceof Crash) {
      this.#world.say(() => `crashes before ${error.message}`)
      return this.#die('crash')
    }
    if (error instanceof Violation) return void this.#world.books.keep(error)
    if (!(error instanceof NanoclawError) || error.code !== 'fenced')
      this.#world.books.fail(`the runtime gives up: ${error instanceof Error ? error.stack : error}`)
    this.#world.say(() => `epoch ${this.epoch} finds itself replaced`)
    this.#die('fenced')
  }

  #die(why: 'crash' | 'fenced'): void {
    this.#end()
    this.#world.over(this, why)
  }

  #end(): void {
    this.#alive = false
    this.#inbox.close()
  }

  /** Calls nobody who is dead. */
  #clock(): Clock {
    const { clock } = this.#world
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delayMs, fn) => clock.after(delayMs, () => this.do(fn)),
      soon: (fn) => clock.soon(() => this.do(fn)),
    }
  }

  #watchedInbox() {
    const { faults, books } = this.#world
    const inbox = this.#inbox
    const read = <T>(what: string, now: () => T): T => {
      try {
        faults.read(what)
      } catch (error) {
        // As the real one does when it meets a hot journal.
        if (!(error instanceof Crash) && classifyRead(error) !== 'retry') inbox.close()
        throw error
      }
      return now()
    }
    return {
      changed: (doubt: boolean) => {
        const changed = read('a look', () => inbox.changed(doubt))
        if (changed === 'replaced') books.startsOver()
        return changed
      },
      getPendingMessages: (...about: Parameters<Inbox['getPendingMessages']>) =>
        read('a page', () => inbox.getPendingMessages(...about)),
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

  #watchedPool(): Workers {
    const { faults, books } = this.#world
    return {
      capacity: () => this.#pool.capacity(),
      start: (spec, count) => this.#pool.start(spec, count),
      slot: (pid) => {
        const slot = this.#pool.slot(pid)
        if (!slot) return undefined
        return {
          ...slot,
          run: (batch, receiver) => {
            faults.effect('a dispatch')
            books.dispatched(this.epoch, batch)
            slot.run(batch, {
              ...receiver,
              ended: (ended) => {
                books.ended(this.epoch, ended)
                receiver.ended(ended)
              },
            })
          },
        }
      },
    }
  }
}

function readTrouble(error: unknown): { retry: true } | { retry: false; reason: string } {
  if (error instanceof NanoclawError) return { retry: false, reason: error.message }
  const verdict = classifyRead(error)
  if (verdict === 'bug') throw error
  return verdict === 'retry' ? { retry: true } : { retry: false, reason: explain(error) }
}

function writeTrouble(error: unknown): 'retry' | 'hold' | 'fatal' {
  if (error instanceof Crash || error instanceof Violation) throw error
  if (error instanceof NanoclawError) return 'fatal'
  const verdict = classifyWrite(error)
  if (verdict === 'retry') return 'retry'
  return verdict === 'hold' ? 'hold' : 'fatal'
}

function told({ results, claims, rejections, checkpoint }: CommitBatch): string {
  return [
    ...results.map(({ id, run, next, outcome }) => `${id}/${run} ${outcome}→${next.type}`),
    ...rejections.map(({ id, reason }) => `${id} rejected: ${reason}`),
    ...claims.map(({ id, run, attempt, worker }) => `${id}/${run} claimed (attempt ${attempt}, ${worker})`),
    ...(checkpoint ? [`checkpoint ${checkpoint.seq} [${checkpoint.unfinished}]`] : []),
  ].join(', ')
}

function committedText({
  refused,
  lost,
}: {
  refused: ReadonlySet<string>
  lost: ReadonlySet<string>
}): string {
  return `${refused.size > 0 ? `, refused ${[...refused]}` : ''}${lost.size > 0 ? `, lost ${[...lost]}` : ''}`
}
