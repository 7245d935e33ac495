// One process: the functions, the pool of their processes, and the workspaces that it serves (workspace.ts).
// Here the parts are made from a Config, started in order and stopped in reverse. The package export
// "nanoclaw-functions/runtime". A runtime of one workspace starts, fails and ends with it. One that was made
// for several (`workspaces`) goes on without those that cannot be opened or fail later, and takes workspaces
// up and leaves them at any time.
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Bundler } from './catalog/bundle.ts'
import { Functions } from './catalog/functions.ts'
import type { Config } from './config/options.ts'
import type { Failpoints } from './failpoints.ts'
import { type Clock, coarse, realClock } from './protocol/clock.ts'
import { errorText, NanoclawError } from './protocol/errors.ts'
import type { Events } from './protocol/events.ts'
import type { WorkspacePlace } from './protocol/files.ts'
import type { FunctionSpec } from './protocol/function.ts'
import type { InboundLimits } from './sources/inbound.ts'
import { LockConnections } from './store/sqlite/lock.ts'
import { Turns } from './turns.ts'
import { CodeWatcher } from './watch/code-watcher.ts'
import { childEnv } from './workers/child-env.ts'
import { Pool } from './workers/pool.ts'
import { Prewarm } from './workers/prewarm.ts'
import { nodeSpawner } from './workers/process.ts'
import {
  exitCodeOf,
  type ProcessEnds,
  REST_TIMES,
  type RestTimes,
  Workspace,
  type WorkspaceParts,
} from './workspace.ts'

export type { Config } from './config/options.ts'
export { createEvents, type EndedRun, type Events, type RuntimeEvents } from './protocol/events.ts'
export type { WorkspacePlace } from './protocol/files.ts'

export interface RuntimeOptions {
  readonly clock?: Clock
  /** 0 ≤ random < 1; spreads retries. */
  readonly random?: () => number
  /**
   * The runtime reports a function that is wrong at the start and leaves it out, until its source is right;
   * without it the start fails.
   */
  readonly tolerant?: boolean
  /** In place of the one workspace of the config: several, each with the same settings. */
  readonly workspaces?: readonly WorkspacePlace[]
  /** Of several workspaces: goes on when none is left, since others may be added. */
  readonly mayBeEmpty?: boolean
  /** For tests that end the process at a named place. */
  readonly failpoints?: Failpoints
  /** Of what a workspace keeps in memory; what is left out is INBOUND_LIMITS. */
  readonly limits?: Partial<InboundLimits>
  /** Of several workspaces: when one of them is at rest. Default: REST_TIMES. */
  readonly rest?: RestTimes
}

export function createRuntime(config: Config, events: Events, options: RuntimeOptions = {}): Runtime {
  return new Runtime(config, events, options)
}

/**
 * Idle processes that do not leave on SIGTERM get SIGKILL after this: with the drain, a stop takes less than
 * 8 s.
 */
const IDLE_GRACE_MS = 300
/** The process wakes this seldom for all folders that are at rest together. */
const LATE_MS = 250

export class Runtime {
  readonly #config: Config
  readonly #events: Events
  readonly #clock: Clock
  readonly #tolerant: boolean
  readonly #several: boolean
  readonly #mayBeEmpty: boolean
  readonly #initial: readonly WorkspacePlace[]
  readonly #bundler = new Bundler()
  readonly #pool: Pool
  readonly #functions: Functions
  readonly #workspaces = new Map<string, Workspace>()
  /** Those that leave, until they have. */
  readonly #removals = new Map<string, Promise<void>>()
  readonly #parts: Omit<WorkspaceParts, 'config' | 'turns' | 'onFatal'>
  readonly #turns: Turns
  #sources: CodeWatcher | undefined
  #runs = 0
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #reloading: Promise<void> = Promise.resolve()
  readonly #opening = new Set<Promise<unknown>>()
  /** The last of those that wait for their call. */
  #next: Promise<void> = Promise.resolve()

  constructor(config: Config, events: Events, options: RuntimeOptions) {
    const {
      clock = realClock,
      random = Math.random,
      tolerant = false,
      workspaces,
      mayBeEmpty = false,
      failpoints,
      limits: inboundLimits,
      rest = REST_TIMES,
    } = options
    this.#config = config
    this.#tolerant = tolerant
    this.#events = events
    this.#clock = clock
    this.#several = workspaces !== undefined
    this.#mayBeEmpty = this.#several && mayBeEmpty
    this.#initial = workspaces ?? [config]
    this.#turns = new Turns(clock)
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
      spawner: new Prewarm({ clock, spawn: nodeSpawner(clock), keep: config.prewarm }),
      onRoom: () => {
        for (const workspace of this.#workspaces.values()) workspace.roomCame()
      },
      onStartFailed: (bundle) => this.#functions.startFailed(bundle),
    })
    const parts = { config, clock, events, bundler: this.#bundler, loader: this.#pool, env: limits.env }
    this.#functions = new Functions({ ...parts, onRetry: () => void this.reload() })
    this.#parts = {
      clock,
      random,
      events,
      workers: this.#pool,
      functions: this.#functions,
      nextRunId: () => ++this.#runs,
      shared: this.#several
        ? { locks: new LockConnections(), lateClock: coarse(clock, LATE_MS), rest }
        : undefined,
      failpoints,
      limits: inboundLimits,
    }
  }

  /**
   * Takes its workspaces over and begins to work; inbound.db may come later.
   * @throws NanoclawError `locked`, `bad_config`, `bad_function`, `outbound_unusable`; nothing is left
   *   running then. Of several
   * workspaces: only where none can be served, or the functions are wrong
   */
  start(): Promise<void> {
    this.#starting ??= this.#start()
    return this.#starting
  }

  /**
   * Claims nothing more, lets what runs finish (up to the drain time), writes it down, closes everything. May
   * be called twice.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /** At once, in the middle of whatever runs; what was claimed is found and run again by the next start. */
  kill(): void {
    this.#functions.stop()
    for (const workspace of this.#workspaces.values()) workspace.kill()
    void this.#sources?.stop()
    void this.#pool.stop(true)
  }

  /**
   * Builds the functions again; what runs finishes on the code that it began with. Never rejects: what is
   * wrong becomes an event.
   */
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

  /** The names of the workspaces that it serves: the paths of their folders. */
  get workspaces(): readonly string[] {
    return [...this.#workspaces.keys()]
  }

  /** For development: reloads whenever a source changes. */
  watchSources(): void {
    this.#sources ??= new CodeWatcher(this.#clock, this.#config.functions, () => void this.reload())
    this.#watchAll()
  }

  /**
   * A runtime of several workspaces serves this one too, from now on; what keeps it from that is the event
   * `workspace-failed`. Does nothing where it is served already.
   * @throws Error when this runtime was made for one workspace
   */
  async addWorkspace(place: WorkspacePlace): Promise<void> {
    if (!this.#several) throw new Error('this runtime was made for one workspace; give it `workspaces`')
    await this.#starting?.catch(() => undefined)
    await this.#removals.get(place.workspace)
    const failure = await this.#open(place)
    if (failure && !this.#stopping && this.#isOver) this.#end(failure)
  }

  /** Drains this workspace and serves it no more; the event `workspace-removed` says when that is done. */
  removeWorkspace(name: string): Promise<void> {
    const workspace = this.#workspaces.get(name)
    const removal = this.#removals.get(name)
    if (removal || !workspace || this.#stopping) return removal ?? Promise.resolve()
    const removed = this.#remove(workspace)
    this.#removals.set(name, removed)
    return removed
  }

  #watchAll(): void {
    const { inputs: files, awaited } = this.#functions
    this.#sources?.watch({ files, awaited })
  }

  async #start(): Promise<void> {
    try {
      if (this.#several) await this.#startSeveral()
      else await this.#startOne(this.#initial[0]!)
      if (!this.#stopping) void this.#functions.confirm()
    } catch (error) {
      // Where a stop was asked for meanwhile, that releases everything.
      if (this.#stopping) return
      this.kill()
      await this.#pool.stop(true)
      for (const workspace of this.#workspaces.values()) workspace.release()
      await this.#bundler.release()
      throw error
    }
  }

  /** The folder is taken over first: where another runtime has it, nothing is built. */
  async #startOne(place: WorkspacePlace): Promise<void> {
    const workspace = this.#make(place)
    await workspace.open()
    if (this.#stopping) return
    await this.#functions.start(this.#tolerant)
    if (this.#stopping) return
    workspace.begin()
  }

  async #startSeveral(): Promise<void> {
    await this.#functions.start(this.#tolerant)
    const failures = await Promise.all(this.#initial.map((place) => this.#open(place)))
    const failure = failures.find((each) => each !== undefined)
    if (failure && !this.#stopping && this.#isOver) throw failure
  }

  get #isOver(): boolean {
    return this.#workspaces.size + this.#opening.size === 0 && !this.#mayBeEmpty
  }

  /** Returns why it is not served. */
  #open(place: WorkspacePlace): Promise<Error | undefined> {
    const opening = this.#openNext(place).finally(() => this.#opening.delete(opening))
    this.#opening.add(opening)
    return opening
  }

  /** One folder for each call of the event loop: those that are served already go on between two. */
  async #openNext(place: WorkspacePlace): Promise<Error | undefined> {
    this.#next = this.#next.then(() => new Promise<void>((resolve) => this.#clock.soon(resolve)))
    await this.#next
    if (this.#stopping || this.#workspaces.has(place.workspace)) return undefined
    const workspace = this.#make(place)
    try {
      await workspace.open()
      workspace.begin()
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error))
      if (workspace.isEnding) workspace.release()
      else this.#giveUp(workspace, failure)
      return failure
    }
    // It was removed meanwhile.
    if (workspace.isEnding && !this.#stopping) workspace.release()
    return undefined
  }

  #make(place: WorkspacePlace): Workspace {
    const { workspace: name, paths } = place
    const workspace: Workspace = new Workspace({
      ...this.#parts,
      config: { ...this.#config, workspace: name, paths },
      turns: this.#turns.join(),
      onFatal: (error) => this.#failed(workspace, error),
    })
    this.#workspaces.set(name, workspace)
    return workspace
  }

  #failed(workspace: Workspace, error: Error): void {
    if (!this.#several) return this.#end(error)
    // A drain notices by itself that nothing more is written.
    if (this.#removals.has(workspace.name) || this.#stopping) return this.#pool.endFor(workspace.name)
    this.#giveUp(workspace, error)
    if (this.#isOver) this.#end(error)
  }

  /** The others go on without it. */
  #giveUp(workspace: Workspace, error: Error): void {
    const { name } = workspace
    this.#workspaces.delete(name)
    workspace.kill()
    this.#pool.endFor(name)
    workspace.release()
    // A folder that comes and goes takes nothing with it.
    if (this.#mayBeEmpty && !existsSync(name))
      return void this.#events.emit('workspace-removed', { workspace: name }, name)
    const code = error instanceof NanoclawError ? error.code : 'bug'
    const message = code === 'bug' ? (error.stack ?? errorText(error)) : errorText(error)
    this.#events.emit(
      'workspace-failed',
      { workspace: name, code, message, exitCode: exitCodeOf(error) },
      name,
    )
  }

  #end(error: Error): void {
    this.kill()
    const [only] = this.#several ? [] : this.#workspaces.keys()
    this.#events.emit('fatal', { error, exitCode: exitCodeOf(error) }, only)
  }

  async #remove(workspace: Workspace): Promise<void> {
    const { name } = workspace
    await workspace.drain({
      abort: () => this.#pool.abortFor(name),
      kill: () => this.#pool.endFor(name),
    })
    workspace.release()
    this.#workspaces.delete(name)
    this.#removals.delete(name)
    this.#events.emit('workspace-removed', { workspace: name }, name)
  }

  #adopt(changed: readonly string[]): void {
    const { catalog } = this.#functions
    this.#watchAll()
    if (changed.length === 0) return
    this.#events.emit('functions-changed', { changed, functions: catalog.names })
    for (const workspace of this.#workspaces.values()) workspace.reroute()
  }

  async #stop(): Promise<void> {
    this.#functions.stop()
    for (const workspace of this.#workspaces.values()) workspace.cancel()
    if (![...this.#workspaces.values()].some(({ isRunning }) => isRunning)) await this.#pool.stop(true)
    await this.#starting?.catch(() => undefined)
    await Promise.all(this.#opening)
    const all = [...this.#workspaces.values()]
    const processes: ProcessEnds = { abort: () => this.#pool.abort(), kill: () => void this.#pool.stop(true) }
    await Promise.all([
      ...all.filter(({ name }) => !this.#removals.has(name)).map((each) => each.drain(processes)),
      ...this.#removals.values(),
      this.#sources?.stop(),
    ])
    const impatience = this.#clock.after(IDLE_GRACE_MS, () => void this.#pool.stop(true))
    await this.#pool.stop(false)
    impatience.cancel()
    this.#parts.failpoints?.reach('in-shutdown')
    for (const workspace of this.#workspaces.values()) workspace.release()
    await this.#bundler.release()
    this.#events.emit('stopped')
  }
}
