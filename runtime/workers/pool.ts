// The warm processes of one runtime. A process belongs to one function (its bundle), handles one message at a time, and
// stays for the next one. Bounded three ways: processes that work (concurrency, and each function's own), processes that
// live (warmMax; the longest idle one makes room), and starts at the same time (a start is all CPU). The first does not follow
// the number of cores, since most handlers wait; that of a function so quick that it cannot be waiting does.
// A function that cannot be started is tried again with a growing pause; no message is charged for it.
import type { Events } from '../protocol/events.ts'
import type { FunctionSpec } from '../protocol/function.ts'
import { StartBackoff } from './start-backoff.ts'
import { Worker, type WorkerLimits, type WorkerParts } from './worker.ts'

export interface PoolLimits extends WorkerLimits {
  readonly concurrency: number
  readonly warmMax: number
  readonly startsMax: number
  /** Busy processes of one function that waits for nothing outside of them. */
  readonly quickMax: number
}

interface Pace {
  readonly behind: boolean
  readonly quick: boolean
}

export interface PoolParts extends WorkerParts {
  readonly events: Events
  readonly limits: PoolLimits
  /** A child has room, or may be started: somebody may want to offer it work. */
  readonly onRoom: () => void
  /** A process of this bundle has not come up. */
  readonly onStartFailed: (bundle: string) => void
}

interface Loading {
  resolve(definition: unknown): void
  reject(error: Error): void
}

/** Batches in one process at a time: one that runs, one behind it. */
const BATCHES_MAX = 2

export class Pool {
  readonly #parts: PoolParts
  readonly #children = new Set<Worker>()
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
   * Starts a process for this bundle and waits for what it says of itself; it stays as a warm one.
   * @throws Error with the reason when the module throws, ends its process or takes too long
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

  /**
   * Free processes for this function, up to `wanted`, idle ones first; asks for more to be started when there are too few.
   * `behind`: for a function so quick that a second batch behind the first only hides the commit between them.
   * `quick`: for one that has no use for more processes than cores.
   * `promised`: the idle ones that others were given in the same breath.
   */
  offer(spec: FunctionSpec, wanted: number, { behind, quick }: Pace, promised: ReadonlySet<number>): Slot[] {
    if (this.#stopping) return []
    const mine = [...this.#children].filter((child) => child.bundle === spec.bundle)
    const idle = mine.filter((child) => child.idle)
    const busy = [...this.#children].filter((child) => child.load > 0)
    const own = busy.filter((child) => child.name === spec.name)
    const room = Math.min(
      this.#parts.limits.concurrency - busy.length - promised.size,
      (quick ? Math.min(spec.concurrency, this.#parts.limits.quickMax) : spec.concurrency) - own.length,
    )
    const slots = idle.slice(0, Math.max(0, Math.min(wanted, room)))
    const missing =
      Math.min(wanted, room) - idle.length - mine.filter((child) => child.state === 'starting').length
    if (missing > 0) this.#startMore(spec, missing, new Set([...promised, ...slots.map(({ pid }) => pid)]))
    const second = behind ? mine.filter((child) => child.load > 0 && this.#takesMore(child)) : []
    return [...slots, ...second.slice(0, Math.max(0, wanted - slots.length))].map((child) =>
      this.#slot(child),
    )
  }

  /** Ends the processes of bundles that are not among these, once what is in them has ended; forgets their troubles. */
  keepOnly(bundles: ReadonlySet<string>): void {
    for (const child of this.#children)
      if (!bundles.has(child.bundle) && !this.#loading.has(child)) child.retire('its function has changed')
    this.#troubles.keepOnly(bundles)
  }

  /** Tells handlers that the runtime shuts down. */
  abort(): void {
    for (const child of this.#children) child.abort()
  }

  /** Ends every process; resolves when none is left. `force`: without waiting for what runs. */
  async stop(force: boolean): Promise<void> {
    this.#stopping = true
    const spares = this.#parts.spawner.stop()
    this.#troubles.stop()
    for (const load of this.#toLoad.splice(0)) load()
    for (const child of this.#children) {
      if (force) child.kill('the runtime shuts down')
      else child.retire('the runtime shuts down')
    }
    if (this.#children.size > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve))
    await spares
  }

  #takesMore(child: Worker): boolean {
    return child.takesMore && (this.#batches.get(child) ?? 0) < BATCHES_MAX
  }

  #slot(child: Worker): Slot {
    return {
      pid: child.pid,
      idle: child.load === 0,
      run: (batch, onEnded) => {
        this.#idleSinceMs.delete(child)
        this.#batches.set(child, (this.#batches.get(child) ?? 0) + 1)
        let left = batch.length
        child.run(batch, (ended) => {
          left -= ended.length
          if (left === 0) this.#batches.set(child, (this.#batches.get(child) ?? 1) - 1)
          onEnded(ended)
        })
      },
    }
  }

  #startMore(spec: FunctionSpec, missing: number, promised: ReadonlySet<number>): void {
    const most = this.#troubles.allows(spec.bundle, missing)
    for (let n = Math.min(most, this.#startsLeft()); n > 0 && this.#makeRoom(promised); n--)
      this.#start(spec.name, spec.bundle)
  }

  #startsLeft(): number {
    const starting = [...this.#children].filter(({ state }) => state === 'starting')
    return this.#parts.limits.startsMax - starting.length
  }

  #loadNext(): void {
    while (this.#toLoad.length > 0 && this.#startsLeft() > 0) this.#toLoad.shift()?.()
  }

  /** Whether one more process may live, after the longest idle one has been asked to go. */
  #makeRoom(promised: ReadonlySet<number>): boolean {
    return this.#children.size < this.#childrenMax || this.#retireLongestIdle(promised)
  }

  get #childrenMax(): number {
    const { warmMax, concurrency } = this.#parts.limits
    return Math.max(warmMax, concurrency)
  }

  #retireLongestIdle(promised: ReadonlySet<number>): boolean {
    const idle = [...this.#idleSinceMs].filter(([child]) => child.idle && !promised.has(child.pid))
    const [longest] = idle.sort(([, a], [, b]) => a - b)
    longest?.[0].retire('makes room for another function')
    return longest !== undefined
  }

  /** A start loads every function once, whatever their number; those beyond warmMax do not stay. */
  #trim(): void {
    let living = [...this.#children].filter((child) => !child.dismissed).length
    while (living > this.#childrenMax && this.#retireLongestIdle(NOBODY)) living--
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
      gone: (child, why, unexpected) => this.#gone(child, why, unexpected),
      output: (_child, messageId, stream, line) =>
        events.emit('output', { functionName: name, messageId, stream, line }),
      log: (_child, messageId, { level, text, fields }) =>
        events.emit('log', { functionName: name, messageId, level, text, fields }),
    })
    this.#children.add(child)
    return child
  }

  #gone(child: Worker, why: string, unexpected: boolean): void {
    const { events, onRoom } = this.#parts
    this.#children.delete(child)
    this.#batches.delete(child)
    this.#idleSinceMs.delete(child)
    events.emit('worker-ended', { functionName: child.name, pid: child.pid, why, unexpected })
    const loading = this.#loading.get(child)
    this.#loading.delete(child)
    if (loading) loading.reject(new Error(why))
    else if (!child.everLoaded && !child.dismissed && !this.#stopping) this.#startFailed(child, why)
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

const NOBODY: ReadonlySet<number> = new Set()

type Slot = Pick<Worker, 'pid' | 'idle' | 'run'>
