// One runtime that this host started, as a process group. It ends when its process ends, not when the last
// holder of its pipes does; when a signal ended the client of a container engine, it ends once the container
// itself is ended.
import type { Clock, Timer } from '../protocol/clock.ts'
import { type GroupExit, ProcessGroup, type Signal, Tail } from '../workers/process-group.ts'
import type { Launch } from './containers.ts'

export interface InstanceExit {
  /** null: a signal ended it, or it did not start. */
  readonly code: number | null
  readonly signal: string | null
  /** The tail of its stderr, or why it did not start. */
  readonly lastWords: string
}

/** Kept tail of its stderr: enough for the final error, not for its log. */
const LAST_WORDS_CHARS = 1_000
const LAST_WORDS_LINES = 3
/** A grandchild may keep stderr open for ever; the output of the process itself is read by then. */
const LAST_WORDS_MS = 100
/** Time limit for the engine; after it the folder pauses, as after any failure. */
const KILL_COMMAND_MS = 10_000

export class Instance {
  readonly ended: Promise<InstanceExit>
  readonly #clock: Clock
  readonly #awayMs: number
  readonly #group: ProcessGroup

  /** Never rejects: a failed start resolves with the reason. */
  constructor({ argv, cwd, env, kill }: Launch, clock: Clock, awayMs: number) {
    this.#clock = clock
    this.#awayMs = awayMs
    this.#group = new ProcessGroup({ argv, cwd, env: { ...process.env, ...env }, read: ['stderr'] }, clock)
    this.ended = this.#follow(kill)
  }

  get pid(): number | undefined {
    return this.#group.pid
  }

  /** SIGTERM now, SIGKILL after the grace. May be called again with a shorter grace. */
  stop(graceMs: number): void {
    this.#signal('SIGTERM')
    let timer: Timer | undefined
    const arm = () => {
      const endMs = this.#clock.monotonic() + graceMs
      timer = this.#clock.after(graceMs, () => {
        // The host was suspended, and perhaps the process, too: the grace is extended by that time.
        if (this.#clock.monotonic() - endMs > this.#awayMs) arm()
        else this.#signal('SIGKILL')
      })
    }
    arm()
    void this.ended.then(() => timer?.cancel())
  }

  async #follow(kill: readonly string[] | undefined): Promise<InstanceExit> {
    const said = new Tail(LAST_WORDS_CHARS)
    this.#group.onOutput('stderr', (text) => said.add(text))
    const { code, signal, unstarted } = await new Promise<GroupExit>((resolve) =>
      this.#group.onEnd(resolve, LAST_WORDS_MS),
    )
    this.#group.child?.stderr?.destroy()
    if (signal !== null && kill) await this.#runKill(kill)
    return { code, signal, lastWords: unstarted ?? lastLines(said.text) }
  }

  #runKill(argv: readonly string[]): Promise<void> {
    const group = new ProcessGroup({ argv, env: process.env, read: [] }, this.#clock)
    const timer = this.#clock.after(KILL_COMMAND_MS, () => group.signal('SIGKILL'))
    return new Promise((resolve) =>
      group.onExit(() => {
        timer.cancel()
        resolve()
      }),
    )
  }

  /** After its end another process may have its process id. */
  #signal(signal: Signal): void {
    if (!this.#group.exit) this.#group.signal(signal)
  }
}

function lastLines(said: string): string {
  return said.trimEnd().split('\n').slice(-LAST_WORDS_LINES).join('\n').trim()
}
