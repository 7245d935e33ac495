// One runtime that this host started, as a process with a group of its own; node:child_process enters the project here. It
// is over when the process is, not when the last holder of its pipes is; and when a signal ended the client of a container
// engine, only once the container itself has been ended, too.
import { type ChildProcess, spawn } from 'node:child_process'
import type { Clock, Timer } from '../protocol/clock.ts'
import type { Launch } from './containers.ts'

export interface Ended {
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
  readonly pid: number | undefined
  readonly ended: Promise<Ended>
  readonly #clock: Clock
  readonly #awayMs: number
  readonly #child: ChildProcess | undefined
  #over = false

  /** Never throws: what cannot be started has ended, with the reason. */
  constructor(launch: Launch, clock: Clock, awayMs: number) {
    this.#clock = clock
    this.#awayMs = awayMs
    try {
      const [program = '', ...args] = launch.argv
      this.#child = spawn(program, args, {
        cwd: launch.cwd,
        env: { ...process.env, ...launch.env },
        detached: true,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      this.pid = this.#child.pid
      this.ended = this.#follow(this.#child, launch)
    } catch (error) {
      this.ended = Promise.resolve(unstarted(error))
    }
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

  async #follow(child: ChildProcess, launch: Launch): Promise<Ended> {
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-LAST_WORDS_CHARS)
    })
    const end = await new Promise<Ended>((resolve) => {
      child.once('error', (error) => child.pid === undefined && resolve(unstarted(error)))
      child.once('exit', (code, signal) => {
        this.#over = true
        const done = () => resolve({ code, signal, lastWords: lastLines(said) })
        child.once('close', done)
        this.#clock.after(LAST_WORDS_MS, done)
      })
    })
    child.stderr?.destroy()
    if (end.signal !== null && launch.kill) await this.#runKill(launch.kill)
    return end
  }

  #runKill([program = '', ...args]: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      const child = spawn(program, args, { stdio: 'ignore' })
      const timer = this.#clock.after(KILL_COMMAND_MS, () => child.kill('SIGKILL'))
      const done = () => {
        timer.cancel()
        resolve()
      }
      child.once('error', done)
      child.once('exit', done)
    })
  }

  /** To its whole group. Nothing happens when it is gone (ESRCH), or has become somebody else's (EPERM). */
  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#over || this.pid === undefined) return
    try {
      process.kill(-this.pid, signal)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code !== 'ESRCH' && code !== 'EPERM') throw error
    }
  }
}

function unstarted(error: unknown): Ended {
  return { code: null, signal: null, lastWords: error instanceof Error ? error.message : String(error) }
}

function lastLines(said: string): string {
  return said.trimEnd().split('\n').slice(-LAST_WORDS_LINES).join('\n').trim()
}
