// plainjob: a queue in SQLite, as ours; it runs one job at a time in its own process, and keeps no reply.
// Given our better-sqlite3, and synchronous FULL in place of its NORMAL, so that a job that is done is on the
// disk as ours is.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { scratch } from '../lab.ts'
import { load } from './packages.ts'
import { type Peer, servePeer } from './peer.ts'

interface Worker {
  start(): Promise<void>
  stop(): Promise<void>
}
interface Plainjob {
  better(db: Database.Database): unknown
  defineQueue(options: object): { addMany(type: string, data: readonly unknown[]): unknown; close(): void }
  defineWorker(type: string, work: () => void, options: object): Worker
}

const QUIET = { error: console.error, warn: console.error, info: () => undefined, debug: () => undefined }

async function open(): Promise<Peer> {
  const { better, defineQueue, defineWorker } = (await load('plainjob')) as Plainjob
  const dir = scratch('plainjob')
  const db = new Database(join(dir, 'jobs.db'))
  const queue = defineQueue({ connection: better(db), logger: QUIET })
  db.pragma('synchronous = full')
  return {
    async rate(count) {
      queue.addMany(
        'noop',
        Array.from({ length: count }, () => ({ text: 'hello' })),
      )
      let done = 0
      let tookMs = 0
      const startMs = performance.now()
      await new Promise<void>((resolve) => {
        const onCompleted = () => {
          if (++done < count) return
          tookMs = performance.now() - startMs
          resolve(worker.stop())
        }
        const worker = defineWorker('noop', () => undefined, { queue, logger: QUIET, onCompleted })
        void worker.start()
      })
      return count / (tookMs / 1000)
    },
    async close() {
      queue.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

await servePeer(open)
