// Starting and ending node processes; execa enters the project here. A child leads a process group of its own, so that
// whatever it starts can be killed with it, and dies with us even when its event loop is blocked: the kernel sees to it
// where the system has setpriv, elsewhere a thread of its own does.
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { execa } from 'execa'
import type { ChildSetup, Order } from '../protocol/ipc.ts'

export interface SpawnOptions {
  readonly bundle: string
  readonly setup: Omit<ChildSetup, 'watchParent'>
  readonly maxMemoryMb: number
  readonly nodeArgs: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

export interface Process {
  readonly pid: number
  /** Silently nothing when the process is gone: its end is reported by onEnd. */
  send(order: Order): void
  /** To its whole group. */
  kill(signal: Signal): void
  onReport(listener: (report: unknown) => void): void
  onData(stream: 'stdout' | 'stderr', reader: { write(text: string): void; end(): void }): void
  /** Once, when the process has exited and its last words are read, or `lastWordsMs` after its exit: a grandchild may hold the pipes for ever. */
  onEnd(listener: (code: number | null, signal: string | null) => void, lastWordsMs: number): void
}

export type Signal = 'SIGTERM' | 'SIGKILL' | 'SIGCONT'

/** @throws nothing: a process that cannot be started ends at once, with the reason on its stderr */
export function spawnNode({ bundle, setup, maxMemoryMb, nodeArgs, env, cwd }: SpawnOptions): Process {
  const setpriv = findSetpriv()
  const told: ChildSetup = { ...setup, watchParent: setpriv ? null : process.pid }
  const flags = ['--enable-source-maps', `--max-old-space-size=${maxMemoryMb}`, ...nodeArgs]
  const node = [process.execPath, ...flags, bundle, JSON.stringify(told)]
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
  return {
    pid: child.pid ?? 0,
    send: (order) => {
      if (child.connected) child.send(order, (error) => void error)
    },
    kill: (signal) => killGroup(child.pid ?? 0, signal),
    onReport: (listener) => void child.on('message', listener),
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
      child.once('exit', () => setTimeout(end, lastWordsMs).unref())
      child.once('close', one)
      child.once('disconnect', one)
    },
  }
}

/** Nothing happens when the group is gone. */
function killGroup(pid: number, signal: Signal): void {
  if (pid <= 0) return
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** Linux: the kernel can kill a process when its parent dies. */
function findSetpriv(): string | undefined {
  if (process.platform !== 'linux') return undefined
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'setpriv'))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}
