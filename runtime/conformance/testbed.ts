// A session folder with a runtime under test in it, and this process as its host, with a pen for inbound.db and eyes for
// outbound.db. Whatever was started on a stage is gone when it is closed.
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

/** A process that got SIGKILL is gone by then, unless its disk is. */
const DIES_MS = 5_000

export class Testbed {
  readonly dir: string
  readonly paths: { readonly inbound: string; readonly outbound: string; readonly heartbeat: string }
  readonly pen: InboundWriter
  readonly sight: OutboundObserver
  readonly #options: TestbedOptions
  readonly #commands: CommandProcess[] = []
  readonly #synced = new Set<string>()
  #runtime: CommandProcess | undefined
  #syncs = false
  #closed = false
  /** How old the heartbeat was at most, whenever it was looked at while a claim was there. */
  oldestBeatMs = 0

  constructor(dir: string, options: TestbedOptions) {
    mkdirSync(dir)
    this.dir = dir
    this.paths = filesIn(dir)
    this.pen = new InboundWriter(this.paths.inbound, options.kind, options.clock)
    this.sight = new OutboundObserver(this.paths.outbound, options.clock)
    this.#options = options
  }

  get runtime(): CommandProcess {
    if (!this.#runtime) throw new Error('no runtime was started on this stage')
    return this.#runtime
  }

  /** Starts the command on this folder. While one runs, another is not the stage's runtime. */
  start(more: Readonly<Record<string, string>> = {}): CommandProcess {
    if (this.#closed) throw new NanoclawError('bad_usage', 'conform was told to stop')
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

  /** The host comes; `outbound`: it is one that makes that file, too. */
  makeFiles({ outbound }: { readonly outbound: boolean }): void {
    this.pen.makeFile()
    if (outbound) createOutbound(this.paths.outbound)
  }

  /** Returns the ids. */
  send(messages: readonly TestMessage[]): string[] {
    this.pen.send(messages)
    this.sight.expect(messages)
    return messages.map(({ id }) => id)
  }

  /** From here on the host copies acks as soon as it sees them, and not once a minute. */
  sync(): void {
    this.#syncs = true
    const fresh = this.sight.terminal.filter(({ id }) => !this.#synced.has(id))
    if (fresh.length > 0) this.pen.settle(fresh)
    for (const { id } of fresh) this.#synced.add(id)
  }

  look(): void {
    this.sight.look()
    const beatAtMs = this.beatAtMs()
    if (beatAtMs !== null && this.runtime.alive && this.sight.claims.length > 0)
      this.oldestBeatMs = Math.max(this.oldestBeatMs, this.#options.clock.now() - beatAtMs)
    if (this.#syncs) this.sync()
  }

  /** False when not all of them have ended by then, or the runtime has before. */
  async ended(ids: readonly string[], deadlineMs: number): Promise<boolean> {
    const done = () => {
      this.look()
      return ids.every((id) => this.sight.hasEnded(id)) || !this.runtime.alive
    }
    await until(this.#options.clock, deadlineMs, done)
    this.look()
    return ids.every((id) => this.sight.hasEnded(id))
  }

  beatAtMs(): number | null {
    return touchedAtMs(this.paths.heartbeat)
  }

  /** How it stands with messages that should have ended, in a few words. */
  missing(ids: readonly string[]): string {
    const open = ids.filter((id) => !this.sight.hasEnded(id))
    const first = open[0] === undefined ? '' : `: ${open[0]} ${this.sight.ack(open[0]) ?? 'has no ack'}`
    const dead = this.runtime.alive ? '' : `; ${this.runtime.end}`
    return `${open.length} of ${ids.length} not ended${first}${dead}`
  }

  /** Every process that was started here is gone afterwards, and none starts any more. */
  async close(): Promise<void> {
    this.#closed = true
    for (const command of this.#commands) command.signal('SIGKILL')
    await Promise.all(this.#commands.map((command) => command.ended(DIES_MS)))
  }
}
