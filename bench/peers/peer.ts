// A peer runs in a process of its own, as its users would run it, and is told by the benchmark what to do. This is both ends
// of that pipe.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface Peer {
  /** No-op jobs a second: from when a backlog of so many may be worked on until the last of them is done. */
  rate(count: number): Promise<number>
  /** Milliseconds from the return of the call that adds a job to its handler's first line, one at a time. */
  pickUp?(count: number): Promise<readonly number[]>
  close(): Promise<void>
}

/** Called by a peer's file when it is started as a program; its argument is the address of its server. */
export async function servePeer(open: (address: string) => Promise<Peer>): Promise<void> {
  const peer = await open(process.argv[2] ?? '')
  process.on('message', async ([method, count]: ['rate' | 'pickUp' | 'close', number]) => {
    if (method === 'close') {
      await peer.close()
      process.disconnect()
      return
    }
    process.send?.(await peer[method]?.(count))
  })
  process.send?.('ready')
}

/** Starts a peer's file. */
export async function startPeer(file: string, address: string): Promise<Required<Peer>> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [address])
  const exited = once(child, 'exit')
  const dies = exited.then(([code]): never => {
    throw new Error(`${file} ended with ${code}`)
  })
  // Whoever waits for an answer hears of it; nobody else does.
  dies.catch(() => undefined)
  const answer = async <T>(): Promise<T> => (await Promise.race([once(child, 'message'), dies]))[0]
  await answer()
  const ask = <T>(...order: [string, number]): Promise<T> => {
    child.send(order)
    return answer<T>()
  }
  return {
    rate: (count) => ask('rate', count),
    pickUp: (count) => ask('pickUp', count),
    async close() {
      child.send(['close', 0])
      await exited
    },
  }
}
