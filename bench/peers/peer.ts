// A peer runs in a process of its own, as its users would run it; the benchmark sends it what to do.
// This is both ends of that pipe.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** The handler of jobs that are held. */
export const HOLD = fileURLToPath(new URL('hold.cjs', import.meta.url))

export interface Peer {
  /** No-op jobs a second: from when a backlog of so many may be worked on until the last of them is done. */
  rate(count: number): Promise<number>
  /** Milliseconds from the return of the call that adds a job to its handler's first line, one at a time. */
  pickUp?(count: number): Promise<readonly number[]>
  /** Adds a job for the handler in hold.cjs. */
  hold?(mark: string): Promise<void>
  /** Works on such jobs from now on. */
  work?(): Promise<void>
  close(): Promise<void>
}

type Order = readonly [method: keyof Peer, argument?: unknown]

/** Called by a peer's file when it is started as a program; its argument is the address of its server. */
export async function servePeer(open: (address: string) => Promise<Peer>): Promise<void> {
  const peer = await open(process.argv[2] ?? '')
  process.on('message', async ([method, argument]: Order) => {
    if (method === 'close') {
      await peer.close()
      process.disconnect()
      return
    }
    const ask = peer[method] as ((argument: unknown) => Promise<unknown>) | undefined
    process.send?.((await ask?.(argument)) ?? null)
  })
  process.send?.('ready')
}

/** The process of a peer. */
export class PeerProcess implements Required<Peer> {
  readonly #file: string
  readonly #address: string
  #child: ChildProcess
  #exited: Promise<unknown[]>

  private constructor(file: string, address: string) {
    this.#file = file
    this.#address = address
    ;[this.#child, this.#exited] = this.#fork()
  }

  static async start(file: string, address: string): Promise<PeerProcess> {
    const peer = new PeerProcess(file, address)
    await peer.#answer()
    return peer
  }

  /** Killed as the kernel would, and started again at once. */
  async restart(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
    ;[this.#child, this.#exited] = this.#fork()
    await this.#answer()
  }

  rate(count: number): Promise<number> {
    return this.#ask('rate', count)
  }
  pickUp(count: number): Promise<readonly number[]> {
    return this.#ask('pickUp', count)
  }
  hold(mark: string): Promise<void> {
    return this.#ask('hold', mark)
  }
  work(): Promise<void> {
    return this.#ask('work')
  }

  async close(): Promise<void> {
    this.#child.send(['close'])
    await this.#exited
  }

  #fork(): [ChildProcess, Promise<unknown[]>] {
    const child = fork(fileURLToPath(new URL(this.#file, import.meta.url)), [this.#address])
    return [child, once(child, 'exit')]
  }

  #ask<T>(...order: Order): Promise<T> {
    this.#child.send(order)
    return this.#answer<T>()
  }

  async #answer<T>(): Promise<T> {
    const dies = this.#exited.then(([code]): never => {
      throw new Error(`${this.#file} ended with ${code}`)
    })
    const [answer] = await Promise.race([once(this.#child, 'message'), dies])
    return answer as T
  }
}
