// Node processes that run a bundle and use protocol/ipc. Each leads a process group (process-group.ts), and
// ends with this process even when its event loop is blocked: by the kernel where the system has setpriv,
// elsewhere by a thread in the child.
import { accessSync, constants, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Clock } from '../protocol/clock.ts'
import { type Become, type ChildSetup, PREWARMED } from '../protocol/ipc.ts'
import type { Order } from '../protocol/wire.ts'
import { guardChannel } from './channel.ts'
import { type OutputStream, ProcessGroup, type Signal } from './process-group.ts'

export type Setup = Omit<ChildSetup, 'parent' | 'watchParent'>

export interface SpawnOptions {
  readonly bundle: string
  /** undefined: prewarmed; it waits for a bundle. */
  readonly setup: Setup | undefined
  /**
   * Heap limit; undefined: Node's default, which also starts faster: with other flags V8 compiles Node's own
   * code again.
   */
  readonly maxMemoryMb: number | undefined
  readonly nodeArgs: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

export interface Process {
  readonly pid: number
  /** False once its exit is known; onEnd is called later, when its output is read. */
  readonly alive: boolean
  /** No effect when the process has ended. */
  send(order: Order): void
  /** Assigns a bundle to a prewarmed process. */
  become(bundle: string, setup: Setup): void
  /** Signals its whole group. */
  kill(signal: Signal): void
  onReport(listener: (report: unknown) => void): void
  onData(stream: OutputStream, reader: { write(text: string): void; end(): void }): void
  /**
   * Calls once, when the process has exited and its output is read, or `lastWordsMs` after its exit: a
   * grandchild may keep the pipes open for ever.
   */
  onEnd(listener: (code: number | null, signal: string | null) => void, lastWordsMs: number): void
  /**
   * Calls once, when the process still runs `lastWordsMs` after its channel has ended: it can neither receive
   * work nor report.
   */
  onChannelLost(listener: () => void, lastWordsMs: number): void
}

export type Spawn = (options: SpawnOptions) => Process

/** The port that starts processes of functions. */
export interface Spawner {
  spawn(options: SpawnOptions & { readonly setup: Setup }): Process
  /** Stops the prewarmed process; resolves when it has exited. */
  stop(): Promise<void>
}

/** Detects once how children can be bound to the life of this process. */
export function nodeSpawner(clock: Clock): Spawn {
  const setpriv = findSetpriv()
  return (options) => spawnNode(options, setpriv, clock)
}

function spawnNode(
  { bundle, setup, maxMemoryMb, nodeArgs, env, cwd }: SpawnOptions,
  setpriv: string | undefined,
  clock: Clock,
): Process {
  const family = { parent: process.pid, watchParent: !setpriv }
  const flags = [...(maxMemoryMb === undefined ? [] : [`--max-old-space-size=${maxMemoryMb}`]), ...nodeArgs]
  const told = setup ? JSON.stringify({ ...setup, ...family } satisfies ChildSetup) : PREWARMED
  const node = [process.execPath, ...flags, bundle, told]
  const argv = setpriv ? [setpriv, '--pdeathsig', 'KILL', ...node] : node
  const group = new ProcessGroup({ argv, env, cwd, read: ['stdout', 'stderr'], ipc: true }, clock)
  const { child, pid } = group
  if (!child || pid === undefined) return stillborn(group, cwd)
  const lives = () => child.exitCode === null && child.signalCode === null
  const send = (said: Order | Become) => {
    if (child.connected) child.send(said, (error) => void error)
  }
  return {
    pid,
    get alive() {
      return child.connected && lives()
    },
    send,
    become: (bundle, setup) => send({ type: 'become', bundle, setup: { ...setup, ...family } }),
    kill: (signal) => group.signal(signal),
    onReport(listener) {
      child.on('message', listener)
      guardChannel(child, () => listener(undefined))
    },
    onData(stream, reader) {
      group.onOutput(
        stream,
        (text) => reader.write(text),
        () => reader.end(),
      )
    },
    onEnd: (listener, lastWordsMs) => group.onEnd(({ code, signal }) => listener(code, signal), lastWordsMs),
    onChannelLost(listener, lastWordsMs) {
      const later = () => void clock.after(lastWordsMs, () => lives() && listener())
      if (child.connected) child.once('disconnect', later)
      else later()
    },
  }
}

/** A failed start is reported as an exit, with the reason as stderr. */
function stillborn(group: ProcessGroup, cwd: string): Process {
  return {
    pid: 0,
    alive: false,
    send: () => undefined,
    become: () => undefined,
    kill: () => undefined,
    onReport: () => undefined,
    onData(stream, reader) {
      if (stream === 'stderr')
        group.onExit(({ unstarted }) => reader.write(`it could not be started in ${cwd}: ${unstarted}\n`))
    },
    onEnd: (listener, lastWordsMs) => group.onEnd(({ code, signal }) => listener(code, signal), lastWordsMs),
    onChannelLost: () => undefined,
  }
}

/** Linux: the kernel can kill a process when its parent dies; not every program named setpriv supports it. */
function findSetpriv(): string | undefined {
  if (process.platform !== 'linux') return undefined
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'setpriv'))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return readFileSync(path).includes('pdeathsig')
      } catch {
        return false
      }
    })
}
