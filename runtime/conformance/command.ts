// A command line as a process: started in a group of its own, so that a kill reaches whatever it started; its last words
// are kept for whoever has to know why it ended. execa enters the room here.
import { execa, type ResultPromise } from 'execa'
import type { Clock } from '../protocol/clock.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { until } from './sleep.ts'

const WORDS_KEPT = 4_000

type Child = ResultPromise<{
  buffer: false
  reject: false
  detached: true
  cleanup: false
  stdin: 'ignore'
  extendEnv: false
}>

export class Command {
  readonly #child: Child
  readonly #clock: Clock
  #said = ''
  #exit: string | undefined
  #endedAtMs: number | undefined

  constructor(words: readonly string[], env: Readonly<Record<string, string | undefined>>, clock: Clock) {
    const [file = '', ...args] = words
    this.#clock = clock
    this.#child = execa(file, args, {
      env,
      extendEnv: false,
      stdin: 'ignore',
      buffer: false,
      reject: false,
      detached: true,
      cleanup: false,
    })
    this.#child.catch(() => undefined)
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#said = (this.#said + text).slice(-WORDS_KEPT)
      })
    const end = (exit: string) => {
      this.#exit ??= exit
      this.#endedAtMs ??= clock.monotonic()
    }
    this.#child.once('error', (error) => end(`could not be started: ${error.message}`))
    this.#child.once('exit', (code, signal) => end(signal ? `ended by ${signal}` : `ended with code ${code}`))
  }

  /** On the clock that nobody sets. */
  get endedAtMs(): number | undefined {
    return this.#endedAtMs
  }

  get alive(): boolean {
    return this.#exit === undefined
  }

  /** How it ended, and the last line that it said. */
  get end(): string {
    const last = this.#said.trim().split('\n').at(-1) ?? ''
    return `it ${this.#exit ?? 'runs'}${last && `; its last line: ${last.slice(0, 300)}`}`
  }

  /** In one word, for tables. */
  get exit(): string {
    return (this.#exit ?? 'runs').replace(/^ended (?:with|by) /, '')
  }

  has(text: string): boolean {
    return this.#said.includes(text)
  }

  /** To its whole group; nothing happens when that is gone. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#child.pid === undefined) return
    try {
      process.kill(-this.#child.pid, signal)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  }

  /** False when it has not ended within that time. */
  ended(deadlineMs: number): Promise<boolean> {
    return until(this.#clock, deadlineMs, () => !this.alive)
  }
}

/**
 * A command line as words: quotes hold words together, nothing else is special; for more there is `sh -c '…'`.
 * @throws NanoclawError `bad_usage`
 */
export function wordsOf(line: string): string[] {
  const words = [...line.matchAll(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g)].map(([word]) =>
    word.replace(/'([^']*)'|"([^"]*)"/g, (_, single?: string, double?: string) => single ?? double ?? ''),
  )
  if (words.length > 0 && /^(?:[^'"]|'[^']*'|"[^"]*")*$/.test(line)) return words
  throw new NanoclawError(
    'bad_usage',
    `--command: found ${JSON.stringify(line)}; expected a command with its arguments, quotes closed`,
  )
}
