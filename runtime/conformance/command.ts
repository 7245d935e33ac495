// A command line as a process group, with its exit and the tail of its output.
import type { Clock } from '../protocol/clock.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { type GroupExit, ProcessGroup, type Signal, Tail } from '../workers/process-group.ts'
import { until } from './sleep.ts'

const WORDS_KEPT = 4_000

export class CommandProcess {
  readonly #group: ProcessGroup
  readonly #clock: Clock
  readonly #said = new Tail(WORDS_KEPT)
  #endedAtMs: number | undefined

  constructor(words: readonly string[], env: Readonly<Record<string, string | undefined>>, clock: Clock) {
    this.#clock = clock
    this.#group = new ProcessGroup({ argv: words, env, read: ['stdout', 'stderr'] }, clock)
    for (const stream of ['stdout', 'stderr'] as const)
      this.#group.onOutput(stream, (text) => this.#said.add(text))
    this.#group.onExit(() => {
      this.#endedAtMs = clock.monotonic()
    })
  }

  /** On the monotonic clock. */
  get endedAtMs(): number | undefined {
    return this.#endedAtMs
  }

  get alive(): boolean {
    return !this.#group.exit
  }

  /** Its exit and the last line of its output. */
  get end(): string {
    const last = this.#said.text.trim().split('\n').at(-1) ?? ''
    return `it ${exitText(this.#group.exit)}${last && `; its last line: ${last.slice(0, 300)}`}`
  }

  /** In one word, for tables. */
  get exit(): string {
    return exitText(this.#group.exit).replace(/^ended (?:with|by) /, '')
  }

  has(text: string): boolean {
    return this.#said.text.includes(text)
  }

  /** Signals the whole group; no effect when that has ended. */
  signal(signal: Signal): void {
    this.#group.signal(signal)
  }

  /** False when it has not ended within that time. */
  ended(deadlineMs: number): Promise<boolean> {
    return until(this.#clock, deadlineMs, () => !this.alive)
  }
}

function exitText(exit: GroupExit | undefined): string {
  if (!exit) return 'runs'
  if (exit.unstarted !== undefined) return `could not be started: ${exit.unstarted}`
  return exit.signal === null ? `ended with code ${exit.code}` : `ended by ${exit.signal}`
}

/**
 * Splits a command line into words: only quotes are special; use `sh -c '…'` for shell syntax.
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
