// A process beside the driver that is asked for things: the host simulator, the checker. It may be killed at
// any time; calls that are on their way then fail. Its source is compiled once for all of them: starting it
// must be cheap.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { ENVIRONMENT } from './environment.ts'
import type { Answer, Call } from './serve.ts'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))

/** Compiles the two programs into `folder`, from where they find the packages of this repository. */
export async function compilePeers(folder: string): Promise<void> {
  symlinkSync(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'))
  await build({
    entryPoints: ['host', 'checker'].map((name) => join(REPOSITORY, 'test/soak', `${name}.ts`)),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
  })
}

interface Waiting {
  resolve(value: any): void
  reject(error: Error): void
}

export class Peer {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #calls = 0

  constructor(folder: string, name: 'host' | 'checker', ...args: readonly string[]) {
    this.#name = name
    this.#child = fork(join(folder, `${name}.mjs`), args, {
      env: ENVIRONMENT,
      // Not those of this process, which loads the compiler that they have been through.
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.n)
      this.#waiting.delete(answer.n)
      if ('error' in answer) waiting?.reject(new Error(`${name}: ${answer.error}`))
      else waiting?.resolve(answer.value)
    })
    this.#child.once('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${name} ended: ${signal ?? code}`))
    })
  }

  call<T>(method: string, argument: unknown = null): Promise<T> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null)
      return Promise.reject(new Error(`${this.#name} has ended, so nothing answers ${method}`))
    const n = ++this.#calls
    return new Promise((resolve, reject) => {
      this.#waiting.set(n, { resolve, reject })
      this.#child.send({ n, method, argument } satisfies Call)
    })
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }
}
