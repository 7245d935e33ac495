// The composition root: builds every part from a Config, starts them in order, stops them in reverse. Here, and only here,
// is it written who talks to whom. The package export "nanoclaw-functions/runtime".
import { availableParallelism } from 'node:os'
import { dirname } from 'node:path'
import { Bundler } from './catalog/bundle.ts'
import { Functions } from './catalog/functions.ts'
import { Dispatcher } from './dispatcher.ts'
import { type CrashHook, crashHook, withFailpoints } from './failpoints.ts'
import { makeFolder } from './folder.ts'
import { Heartbeat } from './observe/heartbeat.ts'
import { StatusFile } from './observe/status-file.ts'
import { type Clock, realClock, type Timer } from './protocol/clock.ts'
import type { Config } from './protocol/config.ts'
import { errorText, NanoclawError } from './protocol/errors.ts'
import type { Events } from './protocol/events.ts'
import type { FunctionSpec } from './protocol/function.ts'
import { isoTime } from './protocol/time.ts'
import { Queue } from './queue/queue.ts'
import { INBOUND_LIMITS, InboundSource } from './sources/inbound.ts'
import { OpenWithRetry } from './store/open-with-retry.ts'
import { Retention } from './store/retention.ts'
import { classifyWrite, explain, outboundError, readTrouble, writeTrouble } from './store/sqlite/classify.ts'
import { Inbox, START } from './store/sqlite/inbox.ts'
import { Lock } from './store/sqlite/lock.ts'
import { type Recovery, ReopeningOutbox } from './store/sqlite/reopening-outbox.ts'
import { denialOf } from './store/sqlite/rights.ts'
import { TimeoutDeclaration } from './store/timeout-declaration.ts'
import { CodeWatcher } from './watch/code-watcher.ts'
import { InboundWatcher } from './watch/inbound-watcher.ts'
import { childEnv } from './workers/child-env.ts'
import { Pool } from './workers/pool.ts'
import { Prewarm } from './workers/prewarm.ts'
import { nodeSpawner } from './workers/process.ts'

export type { Config } from './protocol/config.ts'
export { createEvents, type Events, type RuntimeEvents, type Settled } from './protocol/events.ts'

export interface RuntimeOptions {
  readonly clock?: Clock
  /** 0 ≤ random < 1; spreads retries. */
  readonly random?: () => number
  /** A function that is wrong at the start is told and left out, until its source is right; without it the start fails. */
  readonly tolerant?: boolean
}

export function createRuntime(config: Config, events: Events, options: RuntimeOptions = {}): Runtime {
  return new Runtime(config, events, { clock: realClock, random: Math.random, tolerant: false, ...options })
}

/** Everything that must be open while the runtime works. */
interface Running {
  readonly inbox: Inbox
  readonly outbox: ReopeningOutbox
  readonly recovery: Recovery
  readonly heartbeat: Heartbeat
  readonly queue: Queue
  readonly source: InboundSource
  readonly dispatcher: Dispatcher
  readonly retention: Retention
  readonly trigger: InboundWatcher | undefined
}

/** Together a few megabytes. */
const QUEUE_LIMITS = { scheduledMax: 20_000, parkedMax: 10_000 }
/**
 * How often the status file is brought up to date and touched (its time says that this runtime lives), and it is checked that
 * outbound.db and the lock are still in their places.
 */
const NOTE_MS = 1_000
/** Idle processes that do not leave on SIGTERM get SIGKILL after this: with the drain, a stop takes less than 8 s. */
const IDLE_GRACE_MS = 300
/**
 * After the drain's time is up, its last commits have this long, tried every few milliseconds: with the default drain a stop
 * takes less than 8 s, after which some containers are killed.
 */
const LAST_COMMITS_MS = 800

export class Runtime {
  readonly #config: Config
  readonly #events: Events
  readonly #clock: Clock
  readonly #random: () => number
  readonly #tolerant: boolean
  readonly #bundler = new Bundler()
  readonly #pool: Pool
  readonly #functions: Functions
  readonly #note: StatusFile
  #lock: Lock | undefined
  #running: Running | undefined
  #sources: CodeWatcher | undefined
  #startedAt = ''
  #noteTimer: Timer | undefined
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #reloading: Promise<void> = Promise.resolve()
  #releaseEarly: (() => void)[] = []
  /** Set when a stop leaves claims behind. */
  #stoppedEpoch: number | undefined
  #failed = false
  /** Nobody's, but in the crash soak. */
  readonly #reach: CrashHook | undefined = crashHook(process.env.NANOCLAW_CRASH_AT)

  constructor(config: Config, events: Events, { clock, random, tolerant }: Required<RuntimeOptions>) {
    this.#config = config
    this.#tolerant = tolerant
    this.#events = events
    this.#clock = clock
    this.#random = random
    this.#note = new StatusFile(config.paths.lock, events)
    const limits = {
      ...config,
      startsMax: Math.max(2, availableParallelism()),
      quickMax: availableParallelism(),
      cwd: config.root,
      env: childEnv(config.env),
    }
    this.#pool = new Pool({
      clock,
      events,
      limits,
      spawner: new Prewarm({ clock, spawn: nodeSpawner(), keep: config.spare }),
      onRoom: () => this.#running?.dispatcher.nudge(),
      onStartFailed: (bundle) => this.#functions.startFailed(bundle),
    })
    const parts = { config, clock, events, bundler: this.#bundler, loader: this.#pool, env: limits.env }
    this.#functions = new Functions({ ...parts, onRetry: () => void this.reload() })
  }

  /**
   * Takes the workspace over and begins to work; inbound.db may come later.
   * @throws NanoclawError `locked`, `bad_config`, `bad_function`, `outbound_unusable`; nothing is left running then
   */
  start(): Promise<void> {
    this.#starting ??= this.#start()
    return this.#starting
  }

  /** Claims nothing more, lets what runs finish (up to the drain time), writes it down, closes everything. May be called twice. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /** At once, in the middle of whatever runs; what was claimed is found and run again by the next start. */
  kill(): void {
    const running = this.#running
    this.#functions.stop()
    this.#noteTimer?.cancel()
    running?.dispatcher.close()
    for (const part of ['source', 'retention', 'heartbeat', 'trigger'] as const) running?.[part]?.stop()
    void this.#sources?.stop()
    void this.#pool.stop(true)
  }

  /** Builds the functions again; what runs finishes on the code that it began with. Never rejects: what is wrong is told as an event. */
  reload(): Promise<void> {
    this.#reloading = this.#reloading.then(async () => {
      if (!this.#stopping) this.#adopt(await this.#functions.reload())
    })
    return this.#reloading
  }

  /** The functions in use, for those who show them. */
  get functions(): readonly FunctionSpec[] {
    return this.#functions.specs
  }

  /** For development: reloads whenever a source changes. */
  watchSources(): void {
    this.#sources ??= new CodeWatcher(this.#clock, this.#config.functions, () => void this.reload())
    this.#watchAll()
  }

  #watchAll(): void {
    const { inputs: files, awaited } = this.#functions
    this.#sources?.watch({ files, awaited })
  }

  async #start(): Promise<void> {
    this.#startedAt = isoTime(this.#clock.now())
    try {
      makeFolders(this.#config)
      const lock = Lock.acquire(this.#config.paths.lock, () => this.#note.holder())
      this.#lock = lock
      this.#releaseEarly.push(() => this.#lock?.release(this.#stoppedEpoch))
      const { outbox, recovery } = await this.#openOutbox(lock.stoppedEpoch)
      if (this.#stopping) return
      const heartbeat = this.#startHeartbeat()
      await this.#functions.start(this.#tolerant)
      if (this.#stopping) return
      const inbox = new Inbox(this.#config.paths.inbound, (about) => this.#events.emit('inbound-wal', about))
      this.#running = this.#assemble({ outbox, recovery, heartbeat, inbox })
      const { source, dispatcher, retention, trigger } = this.#running
      const functions = this.#functions.catalog.names
      const { epoch, interrupted, quarantined } = recovery
      this.#events.emit('started', { epoch, functions, interrupted, quarantined })
      trigger?.start()
      source.start(dispatcher)
      retention.start()
      this.#keepNote()
      void this.#functions.confirm()
    } catch (error) {
      // Somebody who has asked for a stop meanwhile gets that, and it releases everything.
      if (this.#stopping) return
      this.kill()
      await this.#pool.stop(true)
      for (const release of this.#releaseEarly.splice(0).reverse()) release()
      await this.#bundler.release()
      throw error
    }
  }

  async #openOutbox(stoppedEpoch: number): Promise<{ outbox: ReopeningOutbox; recovery: Recovery }> {
    const { paths, journal, crashLimit } = this.#config
    const patience = new OpenWithRetry(this.#clock, paths.outbound, () => this.#stopping !== undefined)
    const outbox = await patience.with(() => new ReopeningOutbox(paths.outbound, journal, this.#reach))
    this.#releaseEarly.push(() => outbox.close())
    const recover = () => outbox.recover(this.#clock.now(), crashLimit, stoppedEpoch)
    return { outbox, recovery: await patience.with(recover) }
  }

  #startHeartbeat(): Heartbeat {
    const { paths, heartbeatMs } = this.#config
    const busy = () => (this.#running?.dispatcher.running ?? 0) > 0
    const heartbeat = new Heartbeat(paths.heartbeat, this.#clock, heartbeatMs, busy)
    try {
      heartbeat.start()
    } catch (error) {
      throw new NanoclawError(
        'outbound_unusable',
        `Cannot touch ${paths.heartbeat}: ${denialOf(paths.heartbeat, 'write') ?? `${errorText(error)}. It must be a plain file that belongs to uid ${process.getuid?.()}`}.`,
        { cause: error },
      )
    }
    this.#releaseEarly.push(() => heartbeat.stop())
    return heartbeat
  }

  #assemble(open: Pick<Running, 'inbox' | 'outbox' | 'recovery' | 'heartbeat'>): Running {
    const { inbox, outbox, recovery, heartbeat } = open
    const { paths, crashLimit, maxContentBytes, pollMs, watch } = this.#config
    const [clock, events] = [this.#clock, this.#events]
    const ports = withFailpoints(
      {
        inbound: inbox,
        store: new TimeoutDeclaration(outbox, (name) => this.#functions.limitMsOf(name)),
        workers: this.#pool,
      },
      this.#reach,
    )
    const queue: Queue = new Queue({
      clock,
      limits: QUEUE_LIMITS,
      takenMax: this.#config.maxMessagesPerWorker,
      onDue: (messages) => source.comeDue(messages),
      onReady: () => dispatcher.nudge(),
      onHorizon: () => source.horizonCame(),
    })
    const source: InboundSource = new InboundSource(
      {
        clock,
        events,
        queue,
        inbound: ports.inbound,
        history: (ids) => outbox.history(ids),
        start: START,
        limits: INBOUND_LIMITS,
        checkpoint: recovery.mark,
        maxContentBytes,
        pollMs,
        // Where all of the workspace has gone, that inbound.db is missing says less.
        classify: (error) => (this.#isInPlace(outbox) ? readTrouble(error, paths.inbound) : { retry: true }),
        path: paths.inbound,
      },
      this.#functions.catalog,
    )
    const dispatcher = new Dispatcher({
      clock,
      random: this.#random,
      events,
      queue,
      crashLimit,
      store: ports.store,
      workers: ports.workers,
      maxSeq: () => source.maxSeq(),
      checkpoint: (nowMs) => source.checkpoint(nowMs),
      claimed: () => heartbeat.beat(),
      classify: writeTrouble,
      explain: (error) => explain(error, { path: paths.outbound, use: 'write' }),
      fatal: (error) => this.#fatal(error),
    })
    const retention = new Retention({
      clock,
      retentionMs: this.#config.retentionMs,
      past: (work) => outbox.past(work),
      host: inbox,
      isLock: (error) => classifyWrite(error) === 'retry',
      onBug: (error) => this.#fatal(error),
    })
    const trigger = watch
      ? new InboundWatcher({
          clock,
          path: paths.inbound,
          onHint: () => source.poll('now'),
          onDegraded: (reason) => events.emit('watch-degraded', { reason }),
        })
      : undefined
    return { ...open, queue, source, dispatcher, retention, trigger }
  }

  #adopt(changed: readonly string[]): void {
    const { catalog } = this.#functions
    this.#watchAll()
    if (changed.length === 0) return
    this.#events.emit('functions-changed', { changed, functions: catalog.names })
    this.#running?.source.reroute(catalog)
  }

  async #stop(): Promise<void> {
    this.#functions.stop()
    if (!this.#running) await this.#pool.stop(true)
    await this.#starting?.catch(() => undefined)
    const running = this.#running
    await Promise.all([running && this.#drain(running), running?.trigger?.stop(), this.#sources?.stop()])
    const impatience = this.#clock.after(IDLE_GRACE_MS, () => void this.#pool.stop(true))
    await this.#pool.stop(false)
    impatience.cancel()
    this.#reach?.('in-shutdown')
    this.#noteTimer?.cancel()
    for (const release of this.#releaseEarly.splice(0).reverse()) release()
    running?.inbox.close()
    await this.#bundler.release()
    this.#events.emit('stopped')
  }

  async #drain({ source, dispatcher, retention, outbox, recovery }: Running): Promise<void> {
    const { drainMs, abortGraceMs } = this.#config
    this.#events.emit('stopping', { running: dispatcher.running })
    source.stop()
    retention.stop()
    const drained = dispatcher.drain()
    this.#writeNote('draining')
    this.#reach?.('in-shutdown')
    const timers = [
      this.#clock.after(Math.max(drainMs - abortGraceMs, 0), () => this.#pool.abort()),
      this.#clock.after(drainMs, () => {
        this.#pool.abort()
        void this.#pool.stop(true)
      }),
    ]
    const tooLong = new Promise<'late'>((resolve) =>
      timers.push(this.#clock.after(drainMs + LAST_COMMITS_MS, () => resolve('late'))),
    )
    const end = await Promise.race([drained, tooLong])
    for (const timer of timers) timer.cancel()
    const left = dispatcher.unwritten
    dispatcher.close()
    this.#reach?.('in-shutdown')
    if (end === 'late' && left.claims > 0 && !this.#failed) {
      this.#stoppedEpoch = recovery.epoch
      this.#events.emit('unwritten', left)
    }
    if (end !== true) return
    const nothing = { endings: [], claims: [], refusals: [], inboundSeq: 0 }
    try {
      outbox.commit({ ...nothing, nowMs: this.#clock.now(), mark: source.currentCheckpoint() })
    } catch {
      // Only a shortcut for the next start is lost.
    }
  }

  /** False: outbound.db has gone, and the runtime with it. */
  #isInPlace(outbox: ReopeningOutbox): boolean {
    try {
      outbox.checkPlace()
      return true
    } catch (error) {
      this.#fatal(error)
      return false
    }
  }

  /** Where the file of the lock was deleted, it is taken anew. False: another runtime has it now, which ends this one. */
  #keepLock(): boolean {
    const lock = this.#lock
    if (!lock || lock.isInPlace) return true
    try {
      this.#lock = Lock.acquire(this.#config.paths.lock, () => this.#note.holder())
      lock.release()
    } catch (error) {
      // That it cannot be made for now is no reason to end: outbound.db has an epoch as well.
      if (!(error instanceof NanoclawError && error.code === 'locked')) return true
      this.#fatal(error)
      return false
    }
    return true
  }

  #fatal(cause: unknown): void {
    this.#failed = true
    this.kill()
    const error = classifyWrite(cause) === 'bug' ? cause : outboundError(this.#config.paths.outbound, cause)
    this.#events.emit('fatal', {
      error: error instanceof Error ? error : new Error(String(error)),
      exitCode: exitCodeOf(error),
    })
  }

  #keepNote(): void {
    if (this.#stopping) return
    if (this.#running && !this.#isInPlace(this.#running.outbox)) return
    if (!this.#keepLock()) return
    this.#writeNote(this.#running?.source.waitingFor === undefined ? 'running' : 'waiting')
    this.#noteTimer = this.#clock.after(NOTE_MS, () => this.#keepNote())
  }

  #writeNote(state: 'running' | 'waiting' | 'draining'): void {
    const { queue, source, recovery } = this.#running!
    this.#note.write(
      {
        startedAt: this.#startedAt,
        epoch: recovery.epoch,
        functions: this.#functions.list,
        unroutable: queue.unroutable(),
        ...(source.crowded.length > 0 && { crowded: source.crowded }),
        state,
        ...(source.waitingFor !== undefined && { waitingFor: source.waitingFor }),
      },
      this.#clock.now(),
    )
  }
}

function makeFolders({ workspace, cache, paths }: Config): void {
  makeFolder(workspace, '--workspace', 0o700)
  makeFolder(cache, '--cache')
  for (const path of [paths.outbound, paths.heartbeat, paths.lock])
    makeFolder(dirname(path), '--workspace', 0o700)
}

/** 75: another runtime has the workspace. 78: a person has to mend the file. 1: our own mistake. */
function exitCodeOf(error: unknown): 75 | 78 | 1 {
  if (!(error instanceof NanoclawError)) return 1
  return error.code === 'fenced' || error.code === 'locked' ? 75 : 78
}
