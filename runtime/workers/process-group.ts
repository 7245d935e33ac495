// A process that leads a process group, so that a signal reaches its descendants. Every process of this
// project starts here: workers, runtimes that a host starts, and runtimes under `conform`; only this file
// uses execa. Its exit and the end of its output are separate events: a descendant may keep the pipes open
// for ever (execa's promise waits for the output).
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import { execa } from 'execa'
import type { Clock, Timer } from '../protocol/clock.ts'

export interface GroupStart {
  readonly argv: readonly string[]
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd?: string | undefined
  /** Streams that are read; the others are discarded. */
  readonly read: readonly OutputStream[]
  /** Opens Node's own channel to it. */
  readonly ipc?: boolean
}

export type OutputStream = 'stdout' | 'stderr'

export type Signal = 'SIGTERM' | 'SIGKILL'

export interface GroupExit {
  /** null: a signal ended it, or it did not start. */
  readonly code: number | null
  readonly signal: string | null
  /** Why it did not start. */
  readonly unstarted: string | undefined
}

export class ProcessGroup {
  /** undefined: it did not start. */
  readonly child: ChildProcess | undefined
  readonly #clock: Clock
  #exit: GroupExit | undefined
  #whenExited: ((exit: GroupExit) => void)[] = []

  /** Never throws: a failed start is reported as an exit with the reason. */
  constructor({ argv, env, cwd, read, ipc = false }: GroupStart, clock: Clock) {
    this.#clock = clock
    const output = (stream: OutputStream) => (read.includes(stream) ? 'pipe' : 'ignore')
    const [program = '', ...args] = argv
    const unstarted = (why: string) => this.#exited({ code: null, signal: null, unstarted: why })
    try {
      needDescriptors()
      const child = execa(program, args, {
        ...(cwd !== undefined && { cwd }),
        env: { ...env },
        extendEnv: false,
        detached: true,
        cleanup: false,
        stdin: 'ignore',
        stdout: output('stdout'),
        stderr: output('stderr'),
        ipc,
        serialization: 'json',
        buffer: false,
        reject: false,
      })
      void child.then((result) => child.pid === undefined && unstarted(textOf(result.cause)))
      if (child.pid !== undefined) this.child = child
    } catch (error) {
      unstarted(textOf(error))
    }
    this.child?.on('error', () => undefined)
    this.child?.once('exit', (code, signal) => this.#exited({ code, signal, unstarted: undefined }))
    // A read error loses output, but not the exit.
    for (const stream of [this.child?.stdout, this.child?.stderr]) stream?.on('error', () => undefined)
  }

  /** undefined: it did not start. */
  get pid(): number | undefined {
    return this.child?.pid
  }

  /** undefined: it runs. */
  get exit(): GroupExit | undefined {
    return this.#exit
  }

  /**
   * Signals the whole group, which may outlive its process. No effect when it has ended (ESRCH), or belongs
   * to another user by now (EPERM).
   */
  signal(signal: Signal): void {
    if (this.pid === undefined) return
    try {
      process.kill(-this.pid, signal)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code !== 'ESRCH' && code !== 'EPERM') throw error
    }
  }

  onOutput(stream: OutputStream, write: (text: string) => void, end: () => void = () => undefined): void {
    this.child?.[stream]?.setEncoding('utf8').on('data', write).on('end', end)
  }

  onExit(listener: (exit: GroupExit) => void): void {
    const exit = this.#exit
    if (exit) this.#clock.soon(() => listener(exit))
    else this.#whenExited.push(listener)
  }

  /** Calls once, when it has exited and all its output is read, or `lastWordsMs` after its exit. */
  onEnd(listener: (exit: GroupExit) => void, lastWordsMs: number): void {
    let timer: Timer | undefined
    let open = this.child?.connected ? 2 : 1
    let ended = false
    const end = (exit: GroupExit) => {
      timer?.cancel()
      if (!ended) listener(exit)
      ended = true
    }
    const closed = () => --open === 0 && this.#exit && end(this.#exit)
    this.child?.once('close', closed)
    if (this.child?.connected) this.child.once('disconnect', closed)
    this.onExit((exit) => {
      if (exit.unstarted !== undefined) this.#clock.soon(() => end(exit))
      else timer = this.#clock.after(lastWordsMs, () => end(exit))
    })
  }

  #exited(exit: GroupExit): void {
    this.#exit ??= exit
    for (const listener of this.#whenExited.splice(0)) listener(this.#exit)
  }
}

/** Keeps the tail of a long text. */
export class Tail {
  readonly #charsMax: number
  #text = ''

  constructor(charsMax: number) {
    this.#charsMax = charsMax
  }

  get text(): string {
    return this.#text
  }

  add(text: string): void {
    this.#text = (this.#text + text).slice(-this.#charsMax)
  }
}

/** Descriptors per process: two per pipe, and some during the start. */
const DESCRIPTORS = 12

/**
 * Without descriptors for the pipes Node reports the failure by an event of a process that execa does not
 * hold yet: an uncaught error, which would end the runtime.
 * @throws Error EMFILE, ENFILE
 */
function needDescriptors(): void {
  const open: number[] = []
  try {
    while (open.length < DESCRIPTORS) open.push(openSync(devNull, 'r'))
  } finally {
    for (const descriptor of open) closeSync(descriptor)
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
