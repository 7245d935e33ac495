// One runtime that this host started, as a process group. It is over when its process is, not when the last holder of its
// pipes is; and when a signal ended the client of a container engine, only once the container itself has been ended, too.
import type { Clock, Timer } from '../protocol/clock.ts'
import { type GroupExit, ProcessGroup, type Signal, Tail } from '../workers/process-group.ts'
import type { Launch } from './containers.ts'

export interface InstanceExit {
  /** null: a signal ended it, or it could not be started. */
  readonly code: number | null
  readonly signal: string | null
  /** The end of its stderr, or why it could not be started. */
  readonly lastWords: string
}

/** What is kept of its stderr: the error that it ended with, not its log. */
const LAST_WORDS_CHARS = 1_000
const LAST_WORDS_LINES = 3
/** A grandchild may hold stderr open for ever; what the process itself wrote is read by then. */
const LAST_WORDS_MS = 100
/** An engine that does not answer within this will not: the folder goes on with a pause, as after any failure. */
const KILL_COMMAND_MS = 10_000

export class Instance {
  readonly ended: Promise<InstanceExit>
  readonly #clock: Clock
  readonly #awayMs: number
  readonly #group: ProcessGroup

  /** Never throws: what cannot be started has ended, with the reason. */
  constructor({ argv, cwd, env, kill }: Launch, clock: Clock, awayMs: number) {
    this.#clock = clock
    this.#awayMs = awayMs
    this.#group = new ProcessGroup({ argv, cwd, env: { ...process.env, ...env }, read: ['stderr'] }, clock)
    this.ended = this.#follow(kill)
  }

  get pid(): number | undefined {
    return this.#group.pid
  }

  /** SIGTERM now, SIGKILL after the grace. May be called again, with a shorter one. */
  stop(graceMs: number): void {
    this.#signal('SIGTERM')
    let timer: Timer | undefined
    const arm = () => {
      const endMs = this.#clock.monotonic() + graceMs
      timer = this.#clock.after(graceMs, () => {
        // The host was suspended, and the process perhaps as well: it gets the time that it has not had.
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

  /** What is over may have left its number to another process. */
  #signal(signal: Signal): void {
    if (!this.#group.exit) this.#group.signal(signal)
  }
}

function lastLines(said: string): string {
  return said.trimEnd().split('\n').slice(-LAST_WORDS_LINES).join('\n').trim()
}
