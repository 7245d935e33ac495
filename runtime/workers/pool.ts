// The warm processes of one runtime. A process belongs to one function (its bundle), handles one message at a
// time, and stays for the next one. Three limits: busy processes (concurrency, and each function's own), all
// processes (warmMax; the longest idle one is stopped), and simultaneous starts (a start is CPU-bound). The
// first does not depend on the number of cores, since most handlers wait; it does for a function so fast that
// it must be CPU-bound. A function whose processes do not start is tried again with growing delays; no
// message is charged for that.
import type { Events } from '../protocol/events.ts'
import type { FunctionSpec } from '../protocol/function.ts'
import type { Capacity, WorkerCapacity } from '../queue/scheduler.ts'
import type { Slot, Workers } from '../queue/workers.ts'
import { StartBackoff } from './start-backoff.ts'
import { type Out, Worker, type WorkerExit, type WorkerLimits, type WorkerParts } from './worker.ts'

export interface PoolLimits extends WorkerLimits {
  readonly concurrency: number
  readonly warmMax: number
  readonly startsMax: number
  /** Busy processes of one CPU-bound function. */
  readonly quickMax: number
}

export interface PoolParts extends WorkerParts {
  readonly events: Events
  readonly limits: PoolLimits
  /** A worker has a free slot, or may be started: the dispatchers may assign work. */
  readonly onRoom: () => void
  /** A process of this bundle has not started. */
  readonly onStartFailed: (bundle: string) => void
}

interface Loading {
  resolve(definition: unknown): void
  reject(error: Error): void
}

/** Batches in one process at a time: one that runs, one behind it. */
const BATCHES_MAX = 2

export class Pool implements Workers {
  readonly #parts: PoolParts
  readonly #children = new Set<Worker>()
  /** Batches in each process, including reserved ones. */
  readonly #batches = new Map<Worker, number>()
  readonly #idleSinceMs = new Map<Worker, number>()
  readonly #troubles: StartBackoff
  readonly #loading = new Map<Worker, Loading>()
  readonly #toLoad: (() => void)[] = []
  #stopping = false
  #whenEmpty: (() => void)[] = []

  constructor(parts: PoolParts) {
    this.#parts = parts
    this.#troubles = new StartBackoff(parts.clock, parts.onRoom)
  }

  /** Processes that live. */
  get size(): number {
    return this.#children.size
  }

  /**
   * Starts a process for this bundle and waits for its definition; the process stays warm.
   * @throws Error with the reason when the module throws, ends its process or times out
   */
  load(name: string, bundle: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#toLoad.push(() => {
        if (this.#stopping) reject(new Error('the runtime shuts down'))
        else this.#loading.set(this.#start(name, bundle), { resolve, reject })
      })
      this.#loadNext()
    })
  }

  /** The free capacity of every process, for the scheduler. */
  capacity(): Capacity {
    const { concurrency, quickMax } = this.#parts.limits
    const workers = [...this.#children].map((child) => ({
      pid: child.pid,
      functionName: child.name,
      bundle: child.bundle,
      state: this.#stateOf(child),
      takesMore: this.#takesMore(child),
    }))
    return { workers: this.#stopping ? [] : workers, concurrency, quickMax }
  }

  /** A process that takes a batch. Reserving it makes it busy. */
  slot(pid: number): Slot | undefined {
    for (const child of this.#children)
      if (child.pid === pid && (this.#stateOf(child) === 'idle' || this.#takesMore(child)))
        return this.#slot(child)
    return undefined
  }

  /** Starts up to this many processes for this function: fewer at a limit, or where starts have failed. */
  start({ name, bundle }: FunctionSpec, count: number): void {
    if (this.#stopping) return
    const most = Math.min(this.#troubles.allows(bundle, count), this.#startsLeft())
    for (let n = most; n > 0 && this.#makeRoom(); n--) this.#start(name, bundle)
  }

  /**
   * Retires the processes of all other bundles, once their messages have ended, and clears their start
   * failures.
   */
  keepOnly(bundles: ReadonlySet<string>): void {
    for (const child of this.#children)
      if (!bundles.has(child.bundle) && !this.#loading.has(child)) child.retire('its function has changed')
    this.#troubles.keepOnly(bundles)
  }

  /** Aborts the running handlers, since the runtime shuts down. */
  abort(): void {
    for (const child of this.#children) child.abort()
  }

  /**
   * Aborts the handlers of this workspace, since it is no longer served; they are not charged from now on.
   */
  abortFor(workspace: string): void {
    for (const child of this.#workingFor(workspace)) {
      child.retire(NOT_SERVED)
      child.abort()
    }
  }

  /**
   * Ends the processes that run a message of this workspace. Messages of other workspaces in them are
   * released.
   */
  endFor(workspace: string): void {
    for (const child of this.#workingFor(workspace)) child.kill(NOT_SERVED)
  }

  /** Ends every process; resolves when all have exited. `force`: without waiting for running messages. */
  async stop(force: boolean): Promise<void> {
    this.#stopping = true
    const prewarmed = this.#parts.spawner.stop()
    this.#troubles.stop()
    for (const load of this.#toLoad.splice(0)) load()
    for (const child of this.#children) {
      if (force) child.kill('the runtime shuts down')
      else child.retire('the runtime shuts down')
    }
    if (this.#children.size > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve))
    await prewarmed
  }

  #workingFor(workspace: string): Worker[] {
    return [...this.#children].filter((child) => child.workspace === workspace)
  }

  /** A batch is in it, or it is reserved for one. */
  #isTaken(child: Worker): boolean {
    return (this.#batches.get(child) ?? 0) > 0
  }

  #addBatch(child: Worker, change: 1 | -1): void {
    if (this.#children.has(child)) this.#batches.set(child, (this.#batches.get(child) ?? 0) + change)
  }

  #stateOf(child: Worker): WorkerCapacity['state'] {
    if (child.load > 0 || this.#isTaken(child)) return 'busy'
    if (child.idle) return 'idle'
    return child.loading ? 'loading' : 'ending'
  }

  #takesMore(child: Worker): boolean {
    return child.load > 0 && child.takesMore && (this.#batches.get(child) ?? 0) < BATCHES_MAX
  }

  #slot(child: Worker): Slot {
    let reserved = false
    const reserve = () => {
      if (!reserved) this.#addBatch(child, 1)
      reserved = true
    }
    return {
      pid: child.pid,
      idle: child.load === 0,
      reserve,
      release: (isNews = true) => {
        if (!reserved) return
        reserved = false
        this.#addBatch(child, -1)
        if (isNews) this.#parts.onRoom()
      },
      run: (batch, { workspace, ended, step }) => {
        reserve()
        this.#idleSinceMs.delete(child)
        let left = batch.length
        child.run(batch, {
          workspace,
          ended: (list) => {
            left -= list.length
            if (left === 0) this.#addBatch(child, -1)
            ended(list)
          },
          step,
        })
      },
    }
  }

  #startsLeft(): number {
    const starting = [...this.#children].filter(({ loading }) => loading)
    return this.#parts.limits.startsMax - starting.length
  }

  #loadNext(): void {
    while (this.#toLoad.length > 0 && this.#startsLeft() > 0) this.#toLoad.shift()?.()
  }

  /** Whether one more process may start; stops the longest idle one if necessary. */
  #makeRoom(): boolean {
    return this.#children.size < this.#childrenMax || this.#retireLongestIdle()
  }

  get #childrenMax(): number {
    const { warmMax, concurrency } = this.#parts.limits
    return Math.max(warmMax, concurrency)
  }

  #retireLongestIdle(): boolean {
    const idle = [...this.#idleSinceMs].filter(([child]) => this.#stateOf(child) === 'idle')
    const [longest] = idle.sort(([, a], [, b]) => a - b)
    longest?.[0].retire('stopped for a process of another function')
    return longest !== undefined
  }

  /** The start of the runtime loads every function once; processes above warmMax are stopped. */
  #trim(): void {
    let living = [...this.#children].filter((child) => !child.asked).length
    while (living > this.#childrenMax && this.#retireLongestIdle()) living--
  }

  #start(name: string, bundle: string): Worker {
    const { clock, events, onRoom } = this.#parts
    const child = new Worker(name, bundle, this.#parts, {
      loaded: (child, definition) => {
        this.#troubles.over(bundle)
        this.#idleSinceMs.set(child, clock.monotonic())
        events.emit('worker-started', {
          functionName: name,
          pid: child.pid,
          ms: clock.monotonic() - child.startedMs,
        })
        this.#loading.get(child)?.resolve(definition)
        this.#loading.delete(child)
        this.#loadNext()
        this.#trim()
        onRoom()
      },
      free: (child) => {
        if (child.idle) this.#idleSinceMs.set(child, clock.monotonic())
        onRoom()
      },
      gone: (child, exit) => this.#gone(child, exit),
      output: (_child, out, stream, line) =>
        events.emit('output', { functionName: name, ...about(out), stream, line }, out?.receiver.workspace),
      log: (_child, out, { level, text, fields }) =>
        events.emit(
          'log',
          { functionName: name, ...about(out), level, text, fields },
          out?.receiver.workspace,
        ),
    })
    this.#children.add(child)
    return child
  }

  #gone(child: Worker, { why, loaded, asked, unexpected }: WorkerExit): void {
    const { events, onRoom } = this.#parts
    this.#children.delete(child)
    this.#batches.delete(child)
    this.#idleSinceMs.delete(child)
    events.emit('worker-ended', { functionName: child.name, pid: child.pid, why, unexpected })
    const loading = this.#loading.get(child)
    this.#loading.delete(child)
    if (loading) loading.reject(new Error(why))
    else if (!loaded && !asked && !this.#stopping) this.#startFailed(child, why)
    this.#loadNext()
    if (this.#children.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve()
    if (!this.#stopping) onRoom()
  }

  #startFailed({ name, bundle }: Worker, why: string): void {
    const { events, onStartFailed } = this.#parts
    const retryMs = this.#troubles.add(bundle)
    events.emit('function-broken', { functionName: name, message: why, retryMs, stillServed: false })
    onStartFailed(bundle)
  }
}

const NOT_SERVED = 'its workspace is not served any more'

function about(out: Out | undefined): { readonly messageId: string | null } {
  return { messageId: out?.dispatch.message.id ?? null }
}
