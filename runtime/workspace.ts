// One session folder: the lock, outbound.db and inbound.db, the queue and the dispatcher between them, and
// what the folder shows of its runtime (status file, heartbeat). The functions and their processes belong to
// runtime.ts, which may serve many folders. A workspace begins in two steps: `open` takes the folder over,
// `begin` works; it ends in two: `drain`, `release`.
import { dirname } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Catalog } from './catalog/catalog.ts'
import type { Config } from './config/options.ts'
import { Dispatcher } from './dispatcher.ts'
import type { DispatcherPorts, Failpoints } from './failpoints.ts'
import { makeFolder } from './folder.ts'
import { Heartbeat } from './observe/heartbeat.ts'
import { StatusFile } from './observe/status-file.ts'
import { type Clock, guarded, type Timer } from './protocol/clock.ts'
import { type Checkpoint, EMPTY_BATCH } from './protocol/commit-batch.ts'
import { NanoclawError } from './protocol/errors.ts'
import { type Events, labelled } from './protocol/events.ts'
import type { RuntimeStatus } from './protocol/status-file.ts'
import { isoTime } from './protocol/time.ts'
import { Queue } from './queue/queue.ts'
import type { Workers } from './queue/workers.ts'
import { INBOUND_LIMITS, type InboundLimits, InboundSource } from './sources/inbound.ts'
import { OpenWithRetry } from './store/open-with-retry.ts'
import { LAP_PAUSE_MS, Retention } from './store/retention.ts'
import {
  classifyWrite,
  explain,
  heartbeatError,
  outboundError,
  readTrouble,
  writeTrouble,
} from './store/sqlite/classify.ts'
import { Inbox, START } from './store/sqlite/inbox.ts'
import { Lock, type LockConnections } from './store/sqlite/lock.ts'
import { ReopeningOutbox } from './store/sqlite/reopening-outbox.ts'
import type { Recovery } from './store/store.ts'
import { TimeoutDeclaration } from './store/timeout-declaration.ts'
import type { TurnOrder } from './turns.ts'
import { InboundWatcher } from './watch/inbound-watcher.ts'

export interface WorkspaceParts {
  /** Its `workspace` and `paths` are those of this folder. */
  readonly config: Config
  readonly clock: Clock
  /** 0 ≤ random < 1; spreads retries. */
  readonly random: () => number
  /** Of the runtime; every event is labelled with this workspace. */
  readonly events: Events
  readonly workers: Workers
  readonly functions: {
    readonly catalog: Catalog
    readonly list: RuntimeStatus['functions']
    limitMsOf(name: string): number
  }
  readonly turns: TurnOrder
  readonly nextRunId: () => number
  /**
   * Of a runtime of several, in which a folder costs little while nothing happens in it; undefined: this is
   * the only one.
   */
  readonly shared: Shared | undefined
  readonly failpoints: Failpoints | undefined
  readonly limits: Partial<InboundLimits> | undefined
  /** It cannot go on, and does nothing more by itself. */
  readonly onFatal: (error: Error, exitCode: 75 | 78 | 1) => void
}

/** What the workspaces of one runtime have together. */
export interface Shared {
  readonly locks: LockConnections
  /** Its calls come together, and a little late. */
  readonly lateClock: Clock
  readonly rest: RestTimes
}

/** When a folder comes to rest, and what it costs then. */
export interface RestTimes {
  /** Neither side has written for so long; a time of a file may be two seconds off. */
  readonly afterMs: number
  /**
   * Of many folders those that are at rest are polled and touched this seldom, or all of them together would
   * cost several per cent of a core; health checks allow 15 s. An event of the folder reports a message at
   * once.
   */
  readonly everyMs: number
}

export const REST_TIMES: RestTimes = { afterMs: 5_000, everyMs: 10_000 }

/** What ends the processes that run messages of this workspace when a drain takes too long. */
export interface ProcessEnds {
  /** Tells handlers to stop. */
  abort(): void
  /** Ends their processes. */
  kill(): void
}

interface Open {
  readonly outbox: ReopeningOutbox
  readonly recovery: Recovery
  readonly heartbeat: Heartbeat
}

/** Everything that must be open while the workspace works. */
interface Running extends Open {
  readonly inbox: Inbox
  readonly queue: Queue
  readonly source: InboundSource
  readonly dispatcher: Dispatcher
  readonly retention: Retention
  readonly trigger: InboundWatcher | undefined
}

/** Together a few megabytes. */
const QUEUE_LIMITS = { scheduledMax: 20_000, parkedMax: 10_000 }
/**
 * How often the status file is brought up to date and touched (its time says that this runtime lives), and it
 * is checked that outbound.db and the lock are still in their places.
 */
const STATUS_MS = 1_000
/**
 * So many changes in a row that only a poll has found are no chance: no events come, as on some mounts, or
 * through a link.
 */
const MISSED_MAX = 2
/**
 * A folder at rest opens its files this seldom to see what has become old enough to be forgotten: `retention`
 * is counted in days.
 */
const RETENTION_MS = 3_600_000
/**
 * After the drain's time is up, its last commits have this long, tried every few milliseconds: with the
 * default drain a stop takes less than 8 s, after which some containers are killed.
 */
const LAST_COMMITS_MS = 800

export class Workspace {
  /** The path of its folder, which no other workspace of this process has. */
  readonly name: string
  readonly #parts: WorkspaceParts
  readonly #clock: Clock
  readonly #late: Clock | undefined
  readonly #rests: RestTimes
  readonly #events: Events
  readonly #statusFile: StatusFile
  #startedAt = ''
  #lock: Lock | undefined
  #open: Open | undefined
  #running: Running | undefined
  #statusTimer: Timer | undefined
  /** When something was last under way. */
  #busyAtMs = Number.NEGATIVE_INFINITY
  /** What the status file of a folder at rest says; undefined: it is not at rest. */
  #shown: { readonly functions: RuntimeStatus['functions']; readonly parked: number | undefined } | undefined
  #ending = false
  #failed = false
  /** Ends a drain: nothing more will be written. */
  #whenFailed: (() => void) | undefined
  /** What `release` closes, the last one first. */
  #releases: (() => void)[] = []
  /** The first one that went into a commit of this life. */
  #keptCheckpoint: Checkpoint | undefined
  /** Set when a drain leaves claims behind. */
  #stoppedEpoch: number | undefined

  constructor(parts: WorkspaceParts) {
    this.#parts = parts
    this.name = parts.config.workspace
    this.#clock = guarded(parts.clock, (error) => this.#fatal(error))
    this.#late = parts.shared && guarded(parts.shared.lateClock, (error) => this.#fatal(error))
    this.#rests = parts.shared?.rest ?? REST_TIMES
    this.#events = labelled(parts.events, this.name)
    this.#statusFile = new StatusFile(parts.config.paths.lock, this.#events)
  }

  /**
   * Takes the folder over: its lock, outbound.db with what an earlier runtime left in it, the heartbeat. Ends
   * early after `cancel`.
   * @throws NanoclawError `locked`, `bad_config`, `outbound_unusable`; `release` then frees what was taken
   */
  async open(): Promise<void> {
    const { config, clock } = this.#parts
    this.#startedAt = isoTime(clock.now())
    makeFolders(config)
    const lock = this.#acquireLock()
    this.#lock = lock
    this.#releases.push(() => this.#lock?.release(this.#stoppedEpoch))
    const { outbox, recovery } = await this.#openOutbox(lock.stoppedEpoch)
    if (this.#ending) return
    this.#open = { outbox, recovery, heartbeat: this.#startHeartbeat() }
  }

  /** Begins to work; inbound.db may come later. Does nothing where `open` has ended early. */
  begin(): void {
    if (this.#ending || !this.#open) return
    const { config, functions } = this.#parts
    const { epoch, interrupted, quarantined } = this.#open.recovery
    const inbox = new Inbox(config.paths.inbound, (about) => this.#events.emit('inbound-wal', about))
    this.#running = this.#assemble({ ...this.#open, inbox })
    const { source, dispatcher, retention, trigger } = this.#running
    this.#releases.unshift(() => inbox.close())
    this.#events.emit('started', { epoch, functions: functions.catalog.names, interrupted, quarantined })
    trigger?.start()
    source.start(dispatcher)
    retention.start()
    this.#keepStatus()
  }

  /** An `open` that is under way ends soon, and `begin` does nothing. */
  cancel(): void {
    this.#ending = true
  }

  /** The functions are others now. */
  reroute(): void {
    try {
      if (!this.#ending) this.#running?.source.reroute(this.#parts.functions.catalog)
    } catch (error) {
      this.#fatal(error)
    }
  }

  /** The pool has room: what found none before asks again. */
  roomCame(): void {
    if (this.#running?.dispatcher.isShort) this.#running.dispatcher.nudge()
  }

  /** It is to begin nothing more. */
  get isEnding(): boolean {
    return this.#ending
  }

  get isRunning(): boolean {
    return this.#running !== undefined
  }

  /** Claims nothing more, lets what runs finish (up to the drain time), and writes that down. */
  async drain(processes: ProcessEnds): Promise<void> {
    this.#ending = true
    if (!this.#running) return
    const { source, dispatcher, retention, outbox, recovery, trigger } = this.#running
    const { clock, failpoints, config } = this.#parts
    const { drainMs, abortGraceMs } = config
    this.#events.emit('stopping', { running: dispatcher.running })
    trigger?.stop()
    source.stop()
    retention.stop()
    const drained = dispatcher.drain()
    this.#writeStatus('draining')
    failpoints?.reach('in-shutdown')
    const timers = [
      clock.after(Math.max(drainMs - abortGraceMs, 0), () => processes.abort()),
      clock.after(drainMs, () => {
        processes.abort()
        processes.kill()
      }),
    ]
    const tooLong = new Promise<'late'>((resolve) =>
      timers.push(clock.after(drainMs + LAST_COMMITS_MS, () => resolve('late'))),
    )
    const failed = new Promise<'failed'>((resolve) => {
      this.#whenFailed = () => resolve('failed')
    })
    const end = await Promise.race([drained, tooLong, failed])
    for (const timer of timers) timer.cancel()
    const left = dispatcher.unwritten
    dispatcher.close()
    failpoints?.reach('in-shutdown')
    if (end === 'late' && left.claims > 0 && !this.#failed) {
      this.#stoppedEpoch = recovery.epoch
      this.#events.emit('unwritten', left)
    }
    if (end !== true) return
    const checkpoint = source.currentCheckpoint()
    // Of a thousand folders most have done nothing, and a commit in each would take longer than a stop may.
    if (this.#keptCheckpoint === undefined && isDeepStrictEqual(checkpoint, recovery.checkpoint)) return
    try {
      outbox.commit({ ...EMPTY_BATCH, nowMs: clock.now(), checkpoint })
    } catch {
      // Only a shortcut for the next start is lost.
    }
  }

  /** At once: nothing of it happens any more. What was claimed is found and run again by the next start. */
  kill(): void {
    this.#ending = true
    this.#statusTimer?.cancel()
    this.#running?.dispatcher.close()
    for (const part of ['source', 'retention', 'heartbeat', 'trigger'] as const) this.#running?.[part]?.stop()
  }

  /** Closes everything, and frees the folder for another runtime. May be called twice. */
  release(): void {
    this.#statusTimer?.cancel()
    for (const release of this.#releases.splice(0).reverse()) release()
  }

  #acquireLock(): Lock {
    const { config, shared } = this.#parts
    return Lock.acquire(config.paths.lock, () => this.#statusFile.holder(), shared?.locks)
  }

  async #openOutbox(stoppedEpoch: number): Promise<{ outbox: ReopeningOutbox; recovery: Recovery }> {
    const { clock, failpoints, config } = this.#parts
    const { paths, journal, crashLimit } = config
    const patience = new OpenWithRetry(clock, paths.outbound, () => this.#ending)
    const outbox = await patience.with(() => new ReopeningOutbox(paths.outbound, journal, failpoints?.reach))
    this.#releases.push(() => outbox.close())
    const recover = () => outbox.recover(clock.now(), crashLimit, stoppedEpoch)
    return { outbox, recovery: await patience.with(recover) }
  }

  #startHeartbeat(): Heartbeat {
    const { paths, heartbeatMs } = this.#parts.config
    const busy = () => (this.#running?.dispatcher.running ?? 0) > 0
    const heartbeat = new Heartbeat(paths.heartbeat, this.#clock, heartbeatMs, busy)
    try {
      heartbeat.start()
    } catch (error) {
      throw heartbeatError(paths.heartbeat, error)
    }
    this.#releases.push(() => heartbeat.stop())
    return heartbeat
  }

  #assemble(open: Open & Pick<Running, 'inbox'>): Running {
    const { inbox, outbox, recovery, heartbeat } = open
    const { config, random, functions, workers, turns, nextRunId, failpoints } = this.#parts
    const { paths, crashLimit, maxContentBytes, pollMs, watch } = config
    const [clock, events] = [this.#clock, this.#events]
    let isBlind = false
    let missed = 0
    const goBlind = (reason: string) => {
      if (isBlind) return
      isBlind = true
      events.emit('watch-degraded', { reason })
    }
    const store = new TimeoutDeclaration(outbox, (name) => functions.limitMsOf(name))
    const own: DispatcherPorts = { inbound: inbox, store, workers }
    const ports = failpoints?.around(own) ?? own
    const queue: Queue = new Queue({
      clock,
      limits: QUEUE_LIMITS,
      takenMax: config.maxMessagesPerWorker,
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
        unfinished: (ids, limit) => outbox.unfinished(ids, limit, clock.now()),
        waits: outbox.waits,
        waiting: (after, limit) => outbox.waiting(after, limit),
        start: START,
        limits: { ...INBOUND_LIMITS, ...this.#parts.limits },
        checkpoint: recovery.checkpoint,
        maxContentBytes,
        pollMs,
        pollLater:
          this.#late &&
          ((poll) => {
            if (!this.#rest() || !watch || isBlind) return undefined
            return this.#late?.after(Math.max(pollMs, this.#rests.everyMs), () => {
              poll()
              if (source.quietForMs >= this.#rests.afterMs) return
              this.#woke()
              if (++missed < MISSED_MAX) return
              goBlind(`${missed} changes of ${paths.inbound} came without an event`)
            })
          }),
        // Where all of the workspace has gone, that inbound.db is missing says less.
        classify: (error) => (this.#isInPlace(outbox) ? readTrouble(error, paths.inbound) : { retry: true }),
        path: paths.inbound,
      },
      functions.catalog,
    )
    const dispatcher = new Dispatcher({
      workspace: this.name,
      scope: recovery.scope,
      clock: guarded(
        clock,
        (error) => this.#fatal(error),
        (turn) => turns.soon(turn),
      ),
      random,
      events,
      queue,
      crashLimit,
      nextRunId,
      store: ports.store,
      workers: ports.workers,
      maxSeq: () => source.maxSeq(),
      checkpoint: (nowMs) => {
        const checkpoint = source.checkpoint(nowMs)
        this.#keptCheckpoint ??= checkpoint ?? undefined
        return checkpoint
      },
      claimed: () => {
        turns.served()
        this.#busyAtMs = clock.monotonic()
        heartbeat.beat()
      },
      answered: (ids) => source.wake(ids),
      classify: writeTrouble,
      explain: (error) => explain(error, { path: paths.outbound, use: 'write' }),
      fatal: (error) => this.#fatal(error),
    })
    const retention = new Retention({
      clock,
      retentionMs: config.retentionMs,
      pauseMs: (pauseMs) =>
        this.#rest() && pauseMs === LAP_PAUSE_MS
          ? Math.max(pauseMs, Math.min(config.retentionMs, RETENTION_MS))
          : pauseMs,
      past: outbox.retention,
      host: inbox,
      isLock: (error) => classifyWrite(error) === 'retry',
      onBug: (error) => this.#fatal(error),
    })
    const trigger = watch
      ? new InboundWatcher({
          clock,
          path: paths.inbound,
          onHint: () => {
            missed = 0
            source.poll('now')
            if (source.quietForMs < this.#rests.afterMs) this.#woke()
          },
          onDegraded: goBlind,
        })
      : undefined
    return { ...open, queue, source, dispatcher, retention, trigger }
  }

  /** False: outbound.db has gone, and the workspace with it. */
  #isInPlace(outbox: ReopeningOutbox): boolean {
    try {
      outbox.checkPlace()
      return true
    } catch (error) {
      this.#fatal(error)
      return false
    }
  }

  /**
   * Where the file of the lock was deleted, it is taken anew. False: another runtime has it now, which ends
   * this one.
   */
  #keepLock(): boolean {
    const lock = this.#lock
    if (!lock || lock.isInPlace) return true
    try {
      this.#lock = this.#acquireLock()
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
    if (this.#failed) return
    this.#failed = true
    this.kill()
    this.#whenFailed?.()
    const error =
      classifyWrite(cause) === 'bug' ? cause : outboundError(this.#parts.config.paths.outbound, cause)
    this.#parts.onFatal(error instanceof Error ? error : new Error(String(error)), exitCodeOf(error))
  }

  #keepStatus(): void {
    if (this.#ending) return
    if (this.#running && !this.#isInPlace(this.#running.outbox)) return
    if (!this.#keepLock()) return
    const isResting = this.#rest()
    const now = { functions: this.#parts.functions.list, parked: this.#running?.queue.count('parked') }
    const isShown = isResting && isDeepStrictEqual(this.#shown, now)
    if (!isShown || !this.#statusFile.touch(this.#clock.now()))
      this.#writeStatus(this.#running?.source.waitingFor === undefined ? 'running' : 'waiting')
    this.#shown = isResting ? now : undefined
    this.#armStatus(isResting)
  }

  /** A folder that has come from its rest shows so as soon as every other. */
  #woke(): void {
    if (!this.#shown) return
    this.#shown = undefined
    this.#statusTimer?.cancel()
    this.#armStatus(false)
  }

  #armStatus(isResting: boolean): void {
    const keep = () => this.#keepStatus()
    this.#statusTimer = isResting
      ? this.#late?.after(this.#rests.everyMs, keep)
      : this.#clock.after(STATUS_MS, keep)
  }

  /**
   * Closes both files while nothing happens; what needs them opens them again. False: something does happen.
   */
  #rest(): boolean {
    if (!this.#late || !this.#running || this.#ending) return false
    const { source, queue, inbox, outbox } = this.#running
    const nowMs = this.#clock.monotonic()
    if (!queue.isWaiting) this.#busyAtMs = nowMs
    if (Math.min(source.quietForMs, nowMs - this.#busyAtMs) < this.#rests.afterMs) return false
    if (!inbox.rest(this.#clock.now(), this.#rests.afterMs)) return false
    outbox.rest()
    return true
  }

  #writeStatus(state: 'running' | 'waiting' | 'draining'): void {
    const { queue, source, recovery } = this.#running!
    this.#statusFile.write(
      {
        workspace: this.name,
        startedAt: this.#startedAt,
        epoch: recovery.epoch,
        functions: this.#parts.functions.list,
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
export function exitCodeOf(error: unknown): 75 | 78 | 1 {
  if (!(error instanceof NanoclawError)) return 1
  return error.code === 'fenced' || error.code === 'locked' ? 75 : 78
}
