// One life of the runtime, from a start to its end, however that comes: the pool of processes, the turns and
// the numbers of the runs, put together as runtime.ts does it, and the folders that it serves (served.ts),
// with simulated time and processes. When it is killed, nothing of it ever happens again; what it has
// committed stays.
import type { Catalog } from '../../runtime/catalog/catalog.ts'
import type { Clock } from '../../runtime/protocol/clock.ts'
import { createEvents } from '../../runtime/protocol/events.ts'
import type { Dispatch } from '../../runtime/protocol/ipc.ts'
import type { QueueLimits } from '../../runtime/queue/queue.ts'
import type { Workers } from '../../runtime/queue/workers.ts'
import type { InboundLimits } from '../../runtime/sources/inbound.ts'
import { Turns } from '../../runtime/turns.ts'
import { Pool } from '../../runtime/workers/pool.ts'
import { Prewarm } from '../../runtime/workers/prewarm.ts'
import { CONCURRENCY, type Fate, wishMs } from './cast.ts'
import type { Kind } from './events.ts'
import { Crash } from './faults.ts'
import type { Folder } from './folder.ts'
import { type Birth, SimulatedProcess } from './process.ts'
import type { Random } from './random.ts'
import { ABORT_GRACE_MS, type ProcessEnds, Served } from './served.ts'

export interface World {
  readonly clock: Clock
  readonly random: Random
  readonly limits: InboundLimits & QueueLimits
  readonly pollMs: number
  readonly retentionMs: number
  readonly crashLimit: number
  readonly nextPid: () => number
  readonly birth: () => Birth
  /** How long a channel or a signal takes. */
  readonly delayMs: () => number
  readonly say: (text: () => string) => void
  /** Nothing is to go wrong now. */
  readonly isCalm: () => boolean
  /** This life serves the folder no more; the world goes on. */
  readonly over: (folder: Folder, life: Life, why: Over) => void
}

/** `taken-down`: by a handler. `failed`: the store could not be written for too long. */
export type Over = 'crash' | 'taken-down' | 'fenced' | 'failed' | 'left'

/** A handler at work. */
interface Running {
  readonly id: string
  readonly kind: Kind
  readonly pid: number
  /** As the function said when it was given to its process. */
  readonly concurrency: number
}

/** A message that a process has, or gets. */
interface Given {
  readonly served: Served
  readonly kind: Kind
  readonly concurrency: number
}

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
/** Processes that one folder gets for a function, while another one has messages for it that could run. */
const PASSED_BY_MAX = 12
const TAKEN_DOWN = 'a handler that takes the runtime with it'

export class Life {
  readonly #world: World
  readonly #pool: Pool
  readonly #turns: Turns
  readonly #served = new Map<Folder, Served>()
  readonly #given = new Map<number, Given>()
  readonly #running = new Map<number, Running>()
  #catalog: Catalog
  #runs = 0
  #alive = true
  #isDraining = false

  constructor(world: World, catalog: Catalog) {
    this.#world = world
    this.#catalog = catalog
    const clock = this.#clock()
    this.#turns = new Turns(clock)
    this.#pool = new Pool({
      clock,
      events: createEvents(),
      limits: POOL_LIMITS,
      onRoom: () => {
        for (const served of this.#served.values()) served.roomCame()
      },
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
            left: (pid, why) => this.#fail(`process ${pid} ${why}, and is neither of use nor ended`),
            wishMs: (dispatch) => wishMs(this.#told(dispatch).plan),
            begins: (pid, dispatch) => this.#begins(pid, dispatch),
            ended: (pid, dispatch, how) => {
              world.say(() => `  ${dispatch.message.id} ${how} in ${pid}`)
              this.#running.delete(dispatch.n)
              const { folder, epoch } = this.#givenOf(dispatch).served
              folder.books.handlerEnded(epoch, dispatch, how)
            },
            step: (dispatch, name, what) => {
              world.say(() => `  ${dispatch.message.id} ${name} ${what}`)
              const { folder, epoch } = this.#givenOf(dispatch).served
              folder.books.step(epoch, dispatch, name, what)
            },
            outlived: (pid, hasAnswered) => {
              for (const { folder } of this.#served.values()) folder.books.outlived(pid, hasAnswered)
            },
            holds: (pid, dispatches) => {
              const alone = dispatches.find((dispatch) => dispatch.alone)
              if (alone && dispatches.length > 1)
                this.#fail(`${alone.message.id} has company in process ${pid}`)
            },
          }),
      }),
    })
  }

  /** @throws Crash, SqliteError: it does not serve the folder */
  open(folder: Folder): Served {
    const { random, limits, pollMs, retentionMs, crashLimit, delayMs, say } = this.#world
    const served = new Served(
      folder,
      {
        clock: this.#clock(),
        turns: this.#turns.join(),
        nextRunId: () => ++this.#runs,
        random: () => random.next(),
        workers: (served) => this.#watchedPool(served),
        limits,
        pollMs,
        retentionMs,
        crashLimit,
        delayMs,
        say,
        do: (call) => this.do(call),
        crashed: (crash) => this.#crashed(crash),
        gaveUp: (served, why) => this.#gaveUp(served, why),
        claimed: (served, functionName) => this.#claimed(served, functionName),
      },
      this.#catalog,
    )
    this.#served.set(folder, served)
    return served
  }

  /** It is up, and could serve this folder too. */
  mayServe(folder: Folder): boolean {
    return this.#alive && !this.#isDraining && !this.#served.has(folder)
  }

  served(folder: Folder): Served | undefined {
    return this.#served.get(folder)
  }

  get all(): readonly Served[] {
    return [...this.#served.values()]
  }

  get alive(): boolean {
    return this.#alive
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Calls into the runtime. */
  do(call: () => void): void {
    if (!this.#alive) return
    try {
      call()
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      this.#crashed(error)
    }
  }

  checkQueues(): void {
    for (const served of this.#served.values()) served.checkQueue()
  }

  reload(catalog: Catalog): void {
    this.#catalog = catalog
    this.do(() => {
      this.#pool.keepOnly(new Set(catalog.names.flatMap((name) => catalog.get(name)?.bundle ?? [])))
      for (const served of this.#served.values()) served.reroute(catalog)
    })
  }

  /** Everything that waits in memory is lost; a drain that has begun is over. */
  kill(): void {
    if (this.#alive) this.#die('crash')
  }

  /** As Runtime.stop does; `drained` of each folder says how far it has come. */
  drain(): void {
    this.do(() => {
      if (this.#isDraining) return
      this.#isDraining = true
      const processes: ProcessEnds = {
        abort: () => {
          for (const { folder, epoch } of this.#served.values()) folder.books.aborts(epoch)
          this.#pool.abort()
        },
        kill: () => void this.#pool.stop(true),
      }
      for (const served of this.#served.values()) served.drain(processes)
    })
  }

  /** As Runtime.removeWorkspace does. */
  leave({ name }: Folder, served: Served): void {
    this.do(() =>
      served.drain({ abort: () => this.#pool.abortFor(name), kill: () => this.#pool.endFor(name) }),
    )
  }

  /** What has drained is closed: all of it after a stop, a folder that has left. */
  close(): void {
    const all = this.all
    const isOver = ({ drained }: Served) => drained !== 'not' && drained !== 'draining'
    if (!this.#alive || !all.some(isOver) || (this.#isDraining && !all.every(isOver))) return
    for (const served of all.filter(isOver)) {
      served.end()
      if (all.every(isOver)) this.#alive = false
      this.#world.over(served.folder, this, 'left')
      this.#served.delete(served.folder)
    }
  }

  #crashed(crash: Crash): void {
    this.#world.say(() => `crashes before ${crash.message}`)
    if (this.#alive) this.#die(crash.message === TAKEN_DOWN ? 'taken-down' : 'crash')
  }

  #die(why: 'crash' | 'taken-down'): void {
    this.#alive = false
    for (const served of this.all) {
      served.end()
      this.#world.over(served.folder, this, why)
    }
  }

  /** The others go on without it. */
  #gaveUp(served: Served, why: 'fenced' | 'failed'): void {
    const { folder } = served
    served.giveUp()
    this.#pool.endFor(folder.name)
    // A drain notices by itself.
    if (this.#isDraining) return
    this.#served.delete(folder)
    if (this.#served.size === 0) this.#alive = false
    this.#world.over(folder, this, why)
  }

  /** Where messages of two folders could run, neither gets all of the processes. */
  #claimed(by: Served, functionName: string): void {
    by.getsOne(functionName)
    for (const other of this.#served.values())
      if (other !== by && other.passedBy(functionName) > PASSED_BY_MAX)
        other.folder.books.fail(
          `messages of ${functionName} wait, while the other folder got ${PASSED_BY_MAX} processes`,
        )
  }

  #fail(text: string): never {
    const [served] = this.#served.values()
    throw served ? served.folder.books.fail(text) : new Error(text)
  }

  #givenOf({ n }: Dispatch): Given {
    return this.#given.get(n) ?? this.#fail(`run ${n} is in a process, and was not given to it`)
  }

  #told(dispatch: Dispatch) {
    return this.#givenOf(dispatch).served.folder.host.messages.get(dispatch.message.id)!
  }

  #begins(pid: number, dispatch: Dispatch): Fate {
    const { id } = dispatch.message
    const { served, kind, concurrency } = this.#givenOf(dispatch)
    const { clock, say, isCalm } = this.#world
    say(() => `  ${id} begins in ${pid}`)
    for (const other of this.#running.values())
      if (other.pid === pid) this.#fail(`${id} begins in process ${pid} beside ${other.id}`)
    this.#running.set(dispatch.n, { id, kind, pid, concurrency })
    this.#mustBeWithinConcurrency(id, kind)
    const fate = served.folder.books.handlerBegins(served.epoch, pid, dispatch)
    if (fate.takesDown && !isCalm())
      clock.soon(() =>
        this.do(() => {
          throw new Crash(TAKEN_DOWN)
        }),
      )
    return fate
  }

  #mustBeWithinConcurrency(id: string, kind: Kind): void {
    const all = this.#running.size
    if (all > CONCURRENCY) this.#fail(`${id} begins as number ${all}; ${CONCURRENCY} may run`)
    const own = [...this.#running.values()].filter((each) => each.kind === kind)
    const most = Math.max(...own.map(({ concurrency }) => concurrency))
    if (own.length > most) this.#fail(`${id} begins as number ${own.length} of ${kind}; ${most} may run`)
  }

  /** Calls nothing of what is dead. */
  #clock(): Clock {
    const { clock } = this.#world
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delayMs, fn) => clock.after(delayMs, () => this.do(fn)),
      soon: (fn) => clock.soon(() => this.do(fn)),
    }
  }

  #watchedPool(served: Served): Workers {
    const { folder } = served
    return {
      capacity: () => this.#pool.capacity(),
      start: (spec, count) => {
        if (this.#catalog.get(spec.name) !== spec)
          this.#fail(`a process is started for ${spec.name} as it was before a reload`)
        this.#pool.start(spec, count)
      },
      slot: (pid) => {
        const slot = this.#pool.slot(pid)
        if (!slot) return undefined
        return {
          ...slot,
          run: (batch, receiver) => {
            folder.faults.effect('a dispatch')
            for (const dispatch of batch) this.#give(served, dispatch)
            folder.books.dispatched(served.epoch, pid, batch)
            slot.run(batch, {
              ...receiver,
              ended: (ended) => {
                // Of a folder that was given up nothing is written any more.
                if (served.alive) folder.books.ended(served.epoch, ended)
                receiver.ended(ended)
              },
            })
          },
        }
      },
    }
  }

  #give(served: Served, { n, message }: Dispatch): void {
    if (this.#given.has(n)) this.#fail(`run ${n} of ${message.id} has a number that another run has`)
    const { kind } = served.folder.host.messages.get(message.id)!
    this.#given.set(n, { served, kind, concurrency: this.#catalog.get(kind)?.concurrency ?? 0 })
  }
}
