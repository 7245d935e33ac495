// A session folder with a runtime under test; this process is its host, with an InboundWriter and an
// OutboundObserver. close() ends every process that was started here.
import { mkdirSync } from 'node:fs'
import { createOutbound } from '../host/sqlite/file.ts'
import type { Clock } from '../protocol/clock.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { filesIn } from '../protocol/files.ts'
import { touchedAtMs } from '../store/sqlite/examine.ts'
import { CommandProcess } from './command.ts'
import { InboundWriter, type TestMessage } from './inbound-writer.ts'
import { OutboundObserver } from './outbound-observer.ts'
import { until } from './sleep.ts'

export interface TestbedOptions {
  readonly words: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly kind: string
  readonly clock: Clock
}

/** A process has ended by then after SIGKILL, unless its disk hangs. */
const DIES_MS = 5_000

export class Testbed {
  readonly dir: string
  readonly paths: { readonly inbound: string; readonly outbound: string; readonly heartbeat: string }
  readonly writer: InboundWriter
  readonly observer: OutboundObserver
  readonly #options: TestbedOptions
  readonly #commands: CommandProcess[] = []
  readonly #synced = new Set<string>()
  #runtime: CommandProcess | undefined
  #syncs = false
  #closed = false
  /** The highest age of the heartbeat that was observed while a claim was open. */
  oldestBeatMs = 0

  constructor(dir: string, options: TestbedOptions) {
    mkdirSync(dir)
    this.dir = dir
    this.paths = filesIn(dir)
    this.writer = new InboundWriter(this.paths.inbound, options.kind, options.clock)
    this.observer = new OutboundObserver(this.paths.outbound, options.clock)
    this.#options = options
  }

  get runtime(): CommandProcess {
    if (!this.#runtime) throw new Error('no runtime was started on this testbed')
    return this.#runtime
  }

  /**
   * Starts the command on this folder. A second process beside a running one does not become the testbed's
   * runtime.
   */
  start(more: Readonly<Record<string, string>> = {}): CommandProcess {
    if (this.#closed) throw new NanoclawError('bad_usage', 'conform was stopped')
    const { words, env, clock } = this.#options
    const placed = words.map((word) => word.replaceAll('{dir}', this.dir))
    const paths = {
      NANOCLAW_WORKSPACE: this.dir,
      SESSION_INBOUND_DB_PATH: this.paths.inbound,
      SESSION_OUTBOUND_DB_PATH: this.paths.outbound,
      SESSION_HEARTBEAT_PATH: this.paths.heartbeat,
    }
    const command = new CommandProcess(placed, { ...env, ...paths, ...more }, clock)
    this.#commands.push(command)
    if (!this.#runtime?.alive) this.#runtime = command
    return command
  }

  /** Creates inbound.db as a host; `outbound`: creates outbound.db, too. */
  makeFiles({ outbound }: { readonly outbound: boolean }): void {
    this.writer.makeFile()
    if (outbound) createOutbound(this.paths.outbound)
  }

  /** Returns the ids. */
  send(messages: readonly TestMessage[]): string[] {
    this.writer.send(messages)
    this.observer.expect(messages)
    return messages.map(({ id }) => id)
  }

  /** From here on the host copies acks at every poll, and not once a minute. */
  sync(): void {
    this.#syncs = true
    const fresh = this.observer.terminal.filter(({ id }) => !this.#synced.has(id))
    if (fresh.length > 0) this.writer.settle(fresh)
    for (const { id } of fresh) this.#synced.add(id)
  }

  look(): void {
    this.observer.look()
    const beatAtMs = this.beatAtMs()
    if (beatAtMs !== null && this.runtime.alive && this.observer.claims.length > 0)
      this.oldestBeatMs = Math.max(this.oldestBeatMs, this.#options.clock.now() - beatAtMs)
    if (this.#syncs) this.sync()
  }

  /** False when not all of them have ended by then, or the runtime ended first. */
  async ended(ids: readonly string[], deadlineMs: number): Promise<boolean> {
    const done = () => {
      this.look()
      return ids.every((id) => this.observer.hasEnded(id)) || !this.runtime.alive
    }
    await until(this.#options.clock, deadlineMs, done)
    this.look()
    return ids.every((id) => this.observer.hasEnded(id))
  }

  beatAtMs(): number | null {
    return touchedAtMs(this.paths.heartbeat)
  }

  /** The state of messages that should have ended, in a few words. */
  missing(ids: readonly string[]): string {
    const open = ids.filter((id) => !this.observer.hasEnded(id))
    const first = open[0] === undefined ? '' : `: ${open[0]} ${this.observer.ack(open[0]) ?? 'has no ack'}`
    const dead = this.runtime.alive ? '' : `; ${this.runtime.end}`
    return `${open.length} of ${ids.length} not ended${first}${dead}`
  }

  /** Ends every process that was started here; no further one starts. */
  async close(): Promise<void> {
    this.#closed = true
    for (const command of this.#commands) command.signal('SIGKILL')
    await Promise.all(this.#commands.map((command) => command.ended(DIES_MS)))
  }
}
