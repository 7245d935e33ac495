// One started process that belongs to no function yet. Most of a start is Node's own time, and here that has passed already:
// told which bundle it is to be, a prewarmed process has only that left to load (docs/performance.md). All processes
// of a runtime are started alike, so whoever needs one next gets it; what a function's code has touched never comes back.
import type { Clock, Timer } from '../protocol/clock.ts'
import type { Process, Setup, Spawn, Spawner, SpawnOptions } from './process.ts'

export interface PrewarmParts {
  readonly clock: Clock
  readonly spawn: Spawn
  /** Whether to keep one at all. */
  readonly keep: boolean
}

/** A start is all processor time, and right after one there is other work. */
const CALM_MS = 1_000
/** What a starter ends in; a bundle that is an ES module has none (catalog/build.ts), and waits for nobody. */
const STARTER = '.cjs'
/** Of a process that nobody has asked for anything. */
const LAST_WORDS_MS = 0
/** One port for a debugger, which the prewarmed process would not get, and the function that moves into it would be without. */
const DEBUGGED = /^--inspect/

export class Prewarm implements Spawner {
  readonly #parts: PrewarmParts
  #process: Process | undefined
  /** How the last process was started, with a starter that can wait. */
  #like: SpawnOptions | undefined
  #next: Timer | undefined
  #gone: Promise<void> | undefined
  #stopped = false

  constructor(parts: PrewarmParts) {
    this.#parts = parts
  }

  /** A process for this bundle: the prewarmed one, if there is one, and otherwise one that starts now. */
  spawn(options: SpawnOptions & { readonly setup: Setup }): Process {
    const prewarmed = this.#process?.alive ? this.#process : undefined
    // One without its channel is of no use; one that has exited is not there any more.
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

  /** One that dies is not replaced before the next start: whatever has killed it may be there still. */
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
