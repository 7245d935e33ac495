// BullMQ with a sandboxed processor: the only peer whose handlers run in child processes, as ours do. Two of
// them, as ours on two cores. The result of each job is kept, which is its reply. Settings: docs.bullmq.io,
// "Sandboxed processors".
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pause } from '../lab.ts'
import { load, PEERS } from './packages.ts'
import { HOLD, type Peer, servePeer } from './peer.ts'

interface Queue {
  add(name: string, data: unknown, options?: object): Promise<unknown>
  addBulk(jobs: readonly { name: string; data: unknown }[]): Promise<unknown>
  pause(): Promise<void>
  resume(): Promise<void>
  close(): Promise<void>
}
interface Worker {
  on(event: 'completed', listener: (job: unknown, result: { at: string }) => void): void
  on(event: 'error', listener: (error: Error) => void): void
  close(): Promise<void>
}
interface BullMq {
  readonly Queue: new (name: string, options: object) => Queue
  readonly Worker: new (name: string, processor: string, options: object) => Worker
}

const PROCESSOR = `module.exports = async ({ data }) => {
  if (data.mark) await require(${JSON.stringify(HOLD)})(data.mark)
  return { text: 'hello', at: String(process.hrtime.bigint()) }
}`
const CONCURRENCY = 2
const BULK = 1_000
const PAUSE_MS = 20
const WARM_UP = 20

async function open(path: string): Promise<Peer> {
  const { Queue, Worker } = load('bullmq') as BullMq
  const processor = join(PEERS, 'processor.cjs')
  writeFileSync(processor, PROCESSOR)
  const connection = { path, maxRetriesPerRequest: null }
  const queue = new Queue('noop', { connection })
  // Not our own flags for its children: they would load a compiler.
  const workerForkOptions = { execArgv: [] }
  const worker = new Worker('noop', processor, { connection, concurrency: CONCURRENCY, workerForkOptions })
  const done = new Done(worker)
  await addMany(queue, WARM_UP)
  await done.reach(WARM_UP)
  return {
    async rate(count) {
      await queue.pause()
      const before = done.count
      await addMany(queue, count)
      const startMs = performance.now()
      await queue.resume()
      await done.reach(before + count)
      return count / ((performance.now() - startMs) / 1000)
    },
    async pickUp(count) {
      const times: number[] = []
      for (let n = 0; n < count; n++) {
        const before = done.count
        await queue.add('noop', { text: 'hello' })
        const addedAt = process.hrtime.bigint()
        await done.reach(before + 1)
        times.push(Number(BigInt(done.lastAt) - addedAt) / 1e6)
        await pause(PAUSE_MS)
      }
      return times
    },
    async hold(mark) {
      await queue.add('noop', { mark }, { attempts: 2 })
    },
    // It works all the time.
    work: async () => undefined,
    async close() {
      await worker.close()
      await queue.close()
    },
  }
}

async function addMany(queue: Queue, count: number): Promise<void> {
  for (let from = 0; from < count; from += BULK) {
    const jobs = Array.from({ length: Math.min(BULK, count - from) }, () => ({
      name: 'noop',
      data: { text: 'hello' },
    }))
    await queue.addBulk(jobs)
  }
}

class Done {
  count = 0
  lastAt = '0'
  #wanted = 0
  #wake: () => void = () => undefined

  constructor(worker: Worker) {
    worker.on('error', (error) => console.error(error))
    worker.on('completed', (_job, { at }) => {
      this.lastAt = at
      if (++this.count >= this.#wanted) this.#wake()
    })
  }

  async reach(count: number): Promise<void> {
    this.#wanted = count
    if (this.count < count) await new Promise<void>((resolve) => (this.#wake = resolve))
  }
}

await servePeer(open)
