// Starting and ending node processes; execa enters the project here. A child leads a process group of its own, so that
// whatever it starts can be killed with it, and dies with us even when its event loop is blocked: the kernel sees to it
// where the system has setpriv, elsewhere a thread of its own does.
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs'
import { devNull } from 'node:os'
import { delimiter, join } from 'node:path'
import { execa } from 'execa'
import { type Become, type ChildSetup, SPARE } from '../protocol/ipc.ts'
import type { Order } from '../protocol/wire.ts'
import { guardChannel } from './channel.ts'

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
  onData(stream: 'stdout' | 'stderr', reader: { write(text: string): void; end(): void }): void
  /** Once, when the process has exited and its last words are read, or `lastWordsMs` after its exit: a grandchild may hold the pipes for ever. */
  onEnd(listener: (code: number | null, signal: string | null) => void, lastWordsMs: number): void
  /** Once, when its channel has ended, and `lastWordsMs` later the process has not: it can neither be given work nor answer. */
  onChannelLost(listener: () => void, lastWordsMs: number): void
}

export type Signal = 'SIGTERM' | 'SIGKILL' | 'SIGCONT'

export type Spawn = (options: SpawnOptions) => Process

/** Where processes of functions come from. */
export interface Spawner {
  spawn(options: SpawnOptions & { readonly setup: Setup }): Process
  /** Resolves when no process is left that was given to nobody. */
  stop(): Promise<void>
}

/** Finds out once how children can be made to die with this process. */
export function nodeSpawner(): Spawn {
  const setpriv = findSetpriv()
  return (options) => {
    try {
      needDescriptors()
      return spawnNode(options, setpriv)
    } catch (error) {
      return stillborn(`it could not be started: ${error instanceof Error ? error.message : error}`)
    }
  }
}

/** A process takes two for each pipe, and some on the way. */
const DESCRIPTORS = 12

/**
 * Without descriptors for the pipes Node reports the failure by an event of a process that execa has not got hold of yet: an
 * uncaught error, which would end the runtime.
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

/** A process that cannot be started ends at once, with the reason on its stderr. */
function stillborn(reason: string): Process {
  return {
    pid: 0,
    alive: false,
    send: () => undefined,
    become: () => undefined,
    kill: () => undefined,
    onReport: () => undefined,
    onData: (stream, reader) => stream === 'stderr' && reader.write(`${reason}\n`),
    onEnd: (listener) => void setImmediate(() => listener(null, null)),
    onChannelLost: () => undefined,
  }
}

function spawnNode(
  { bundle, setup, maxMemoryMb, nodeArgs, env, cwd }: SpawnOptions,
  setpriv: string | undefined,
): Process {
  const family = { parent: process.pid, watchParent: !setpriv }
  const flags = [...(maxMemoryMb === undefined ? [] : [`--max-old-space-size=${maxMemoryMb}`]), ...nodeArgs]
  const told = setup ? JSON.stringify({ ...setup, ...family } satisfies ChildSetup) : SPARE
  const node = [process.execPath, ...flags, bundle, told]
  const [command = '', ...args] = setpriv ? [setpriv, '--pdeathsig', 'KILL', ...node] : node
  const child = execa(command, args, {
    cwd,
    env,
    extendEnv: false,
    ipc: true,
    serialization: 'json',
    buffer: false,
    detached: true,
    reject: false,
    stdin: 'ignore',
  })
  // execa's promise waits for grandchildren that hold the pipes; the exit event does not.
  child.catch(() => undefined)
  if (child.pid === undefined)
    return stillborn(`${command} could not be started in ${cwd}; does the folder exist?`)
  const send = (said: Order | Become) => {
    if (child.connected) child.send(said, (error) => void error)
  }
  return {
    pid: child.pid,
    get alive() {
      return child.connected && child.exitCode === null && child.signalCode === null
    },
    send,
    become: (bundle, setup) => send({ type: 'become', bundle, setup: { ...setup, ...family } }),
    kill: (signal) => killGroup(child.pid, signal),
    onReport(listener) {
      child.on('message', listener)
      guardChannel(child, () => listener(undefined))
    },
    onData(stream, reader) {
      child[stream].setEncoding('utf8')
      child[stream].on('data', (text: string) => reader.write(text))
      child[stream].on('end', () => reader.end())
    },
    onEnd(listener, lastWordsMs) {
      let ended = false
      const end = () => {
        if (ended) return
        ended = true
        listener(child.exitCode, child.signalCode)
      }
      let left = 2
      const one = () => --left === 0 && end()
      child.once('error', end)
      const soon = () => setTimeout(end, lastWordsMs).unref()
      const gone = child.exitCode !== null || child.signalCode !== null
      if (gone) soon()
      else child.once('exit', soon)
      child.once('close', one)
      child.once('disconnect', one)
    },
    onChannelLost(listener, lastWordsMs) {
      const lives = () => child.exitCode === null && child.signalCode === null
      const later = () => setTimeout(() => lives() && listener(), lastWordsMs).unref()
      if (child.connected) child.once('disconnect', later)
      else later()
    },
  }
}

/** Nothing happens when the group is gone (ESRCH), or has become somebody else's (EPERM). */
function killGroup(pid: number | undefined, signal: Signal): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
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
