// The runtime under test, in a process of its own (entry.ts). Its log is read for what it says of its state,
// and kept as evidence of how it died.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { ENVIRONMENT } from './environment.ts'
import { CRASHES_MAX } from './workload.ts'

export interface RuntimeOptions {
  /** The entry of the build that is tested. */
  readonly command: string
  readonly project: string
  readonly workspace: string
  readonly lane: string
  readonly trace: string
  readonly concurrency: number
  /** `point:nth`; undefined: it does not end by itself. */
  readonly crashAt: string | undefined
}

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null }

const LOG_CHARS = 20_000
/** In a life as short as these, optimising what is called often costs a sixth of the start and never pays. */
const NODE_FLAGS = ['--no-opt']
/** Messages that failed with a reason, and those that failed without a run. */
const FAILURES = new Set(['failed', 'message failed without a run'])

export class RuntimeProcess {
  readonly #child: ChildProcess
  readonly exit: Promise<Exit>
  #ended: Exit | undefined
  #started = false
  #waited = false
  #log = ''
  #rest = ''
  #wake: (() => void)[] = []
  readonly #failures: string[] = []

  constructor({ command, project, workspace, lane, trace, concurrency, crashAt }: RuntimeOptions) {
    const ours = {
      NANOCLAW_SOAK_LANE: lane,
      NANOCLAW_SOAK_JOURNAL: trace,
    }
    const flags = {
      workspace,
      concurrency: String(concurrency),
      crashLimit: String(CRASHES_MAX),
      logLevel: 'info',
      env: Object.keys(ours).join(','),
    }
    const args = [JSON.stringify(flags), ...(crashAt === undefined ? [] : [crashAt])]
    this.#child = spawn(process.execPath, [...NODE_FLAGS, command, ...args], {
      cwd: project,
      env: { ...ENVIRONMENT, ...ours },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    this.exit = once(this.#child, 'close').then(([code, signal]) => {
      this.#ended = { code, signal }
      this.#tell()
      return this.#ended
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get ended(): Exit | undefined {
    return this.#ended
  }

  get started(): boolean {
    return this.#started
  }

  /** It has said that it waits for inbound.db. */
  get waited(): boolean {
    return this.#waited
  }

  /** The last of what it has said. */
  get log(): string {
    return this.#log
  }

  /** Messages that it has reported as failed. */
  get failures(): readonly string[] {
    return this.#failures
  }

  /**
   * Resolves when `condition` holds (it may change with each line), when the process has ended, or after
   * `deadlineMs`.
   */
  async until(condition: () => boolean, deadlineMs: number): Promise<void> {
    const endMs = performance.now() + deadlineMs
    while (!condition() && !this.#ended) {
      const leftMs = endMs - performance.now()
      if (leftMs <= 0) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs)
        this.#wake.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#ended) this.#child.kill(signal)
  }

  #read(text: string): void {
    this.#log = (this.#log + text).slice(-LOG_CHARS)
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#hear(line)
    this.#tell()
  }

  #hear(line: string): void {
    if (!line.startsWith('{')) return
    const { msg, id } = JSON.parse(line) as { msg: string; id?: string }
    if (msg === 'started') this.#started = true
    if (msg === 'waiting for inbound.db') this.#waited = true
    if (FAILURES.has(msg) && id !== undefined) this.#failures.push(id)
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}
