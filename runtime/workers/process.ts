// Node processes that run a bundle and speak protocol/ipc. Each leads a process group of its own (process-group.ts), and ends
// with this process even when its event loop is blocked: the kernel ends it where the system has setpriv, elsewhere a thread of
// its own does.
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
  /** undefined: it waits until it is told what to become. */
  readonly setup: Setup | undefined
  /** Of its heap; Node's own limit if undefined, which also saves the time of a start: with other flags V8 compiles Node's own code anew. */
  readonly maxMemoryMb: number | undefined
  readonly nodeArgs: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

export interface Process {
  readonly pid: number
  /** Not gone yet, as far as is known: its end is told by onEnd, when its last words are read. */
  readonly alive: boolean
  /** Silently nothing when the process is gone. */
  send(order: Order): void
  /** One that waits for that runs this bundle now. */
  become(bundle: string, setup: Setup): void
  /** To its whole group. */
  kill(signal: Signal): void
  onReport(listener: (report: unknown) => void): void
  onData(stream: OutputStream, reader: { write(text: string): void; end(): void }): void
  /** Once, when the process has exited and its last words are read, or `lastWordsMs` after its exit: a grandchild may hold the pipes for ever. */
  onEnd(listener: (code: number | null, signal: string | null) => void, lastWordsMs: number): void
  /** Once, when its channel has ended, and `lastWordsMs` later the process has not: it can neither be given work nor answer. */
  onChannelLost(listener: () => void, lastWordsMs: number): void
}

export type Spawn = (options: SpawnOptions) => Process

/** Where processes of functions come from. */
export interface Spawner {
  spawn(options: SpawnOptions & { readonly setup: Setup }): Process
  /** Resolves when no process is left that was given to nobody. */
  stop(): Promise<void>
}

/** Finds out once how children can be made to die with this process. */
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

/** A process that could not be started has ended, with the reason on its stderr. */
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

/** Linux: the kernel can kill a process when its parent dies; of several programs of this name not every one knows how to ask for it. */
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
