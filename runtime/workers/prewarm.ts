// One prewarmed process, which belongs to no function yet. Most of a start is Node's own startup: a prewarmed
// process only has to load its bundle (docs/performance.md). All processes of a runtime start alike, so any
// function can use it; a process that has loaded a function is never prewarmed again.
import type { Clock, Timer } from '../protocol/clock.ts'
import type { Process, Setup, Spawn, Spawner, SpawnOptions } from './process.ts'

export interface PrewarmParts {
  readonly clock: Clock
  readonly spawn: Spawn
  /** Whether to keep a prewarmed process. */
  readonly keep: boolean
}

/** Delay after a start: starts are CPU-bound, and a new process has work to do. */
const CALM_MS = 1_000
/**
 * Extension of a starter; a bundle that is an ES module has none (catalog/build.ts) and cannot be prewarmed.
 */
const STARTER = '.cjs'
/** Label of a prewarmed process. */
const LAST_WORDS_MS = 0
/**
 * A debugger has one port, which the prewarmed process would not get, so its function would not be
 * debuggable.
 */
const DEBUGGED = /^--inspect/

export class Prewarm implements Spawner {
  readonly #parts: PrewarmParts
  #process: Process | undefined
  /** Start parameters of the last process that had a starter. */
  #like: SpawnOptions | undefined
  #next: Timer | undefined
  #gone: Promise<void> | undefined
  #stopped = false

  constructor(parts: PrewarmParts) {
    this.#parts = parts
  }

  /** A process for this bundle: the prewarmed one, or else a new one. */
  spawn(options: SpawnOptions & { readonly setup: Setup }): Process {
    const prewarmed = this.#process?.alive ? this.#process : undefined
    // A prewarmed process without a channel is not usable; one that has exited is forgotten.
    if (!prewarmed) this.#process?.kill('SIGKILL')
    this.#process = undefined
    if (options.bundle.endsWith(STARTER)) this.#like = options
    this.#makeLater()
    if (!prewarmed) return this.#parts.spawn(options)
    prewarmed.become(options.bundle, options.setup)
    return prewarmed
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#next?.cancel()
    this.#process?.kill('SIGKILL')
    if (this.#process) await this.#gone
  }

  #makeLater(): void {
    const { clock, spawn, keep } = this.#parts
    const like = this.#like
    this.#next?.cancel()
    if (!keep || this.#stopped || !like || like.nodeArgs.some((arg) => DEBUGGED.test(arg))) return
    this.#next = clock.after(CALM_MS, () => this.#wait(spawn({ ...like, setup: undefined })))
  }

  /** A prewarmed process that dies is not replaced before the next start: its cause may persist. */
  #wait(made: Process): void {
    this.#process = made
    this.#gone = new Promise((resolve) => {
      made.onEnd(() => {
        if (this.#process === made) this.#process = undefined
        resolve()
      }, LAST_WORDS_MS)
      made.onChannelLost(() => made.kill('SIGKILL'), LAST_WORDS_MS)
    })
  }
}
