// graphile-worker with the settings of its own benchmark (worker.graphile.org/docs/performance): jobs fetched
// 500 at a time, completions in batches, 24 jobs at once. Its handlers run in the worker's process, and a
// finished job is deleted: no reply is kept. Both make it faster than the work that ours does.
import { createRequire } from 'node:module'
import { load } from './packages.ts'
import { HOLD, type Peer, servePeer } from './peer.ts'

interface Utils {
  addJobs(jobs: readonly { identifier: string; payload: unknown }[]): Promise<unknown>
  migrate(): Promise<void>
  withPgClient<T>(work: (client: { query(sql: string): Promise<{ rows: T[] }> }) => Promise<T>): Promise<T>
  release(): Promise<void>
}
interface Runner {
  stop(): Promise<void>
}
interface GraphileWorker {
  makeWorkerUtils(options: object): Promise<Utils>
  run(options: object): Promise<Runner>
  readonly Logger: new (scoped: () => () => void) => object
}

const PRESET = {
  concurrentJobs: 24,
  maxPoolSize: 25,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
}
const BULK = 5_000
const LOOK_EVERY_MS = 5

async function open(socketFolder: string): Promise<Peer> {
  const { makeWorkerUtils, run, Logger } = load('graphile-worker') as GraphileWorker
  const logger = new Logger(() => () => undefined)
  const connectionString = `postgres://bench@/postgres?host=${encodeURIComponent(socketFolder)}`
  const utils = await makeWorkerUtils({ connectionString, logger })
  await utils.migrate()
  const waiting = () =>
    utils.withPgClient(async (client) => {
      const { rows } = await client.query(
        'select exists (select 1 from graphile_worker._private_jobs) as "some"',
      )
      return (rows[0] as { some: boolean } | undefined)?.some === true
    })
  const start = (taskList: object): Promise<Runner> =>
    run({ connectionString, logger, taskList, noHandleSignals: true, preset: { worker: PRESET } })
  let holding: Runner | undefined
  return {
    async rate(count) {
      for (let from = 0; from < count; from += BULK) {
        const length = Math.min(BULK, count - from)
        const jobs = Array.from({ length }, () => ({ identifier: 'noop', payload: { text: 'hello' } }))
        await utils.addJobs(jobs)
      }
      // Its start is not in the figure: the clock runs from the first job.
      let startMs = 0
      let done = 0
      let wake: () => void = () => undefined
      const all = new Promise<void>((resolve) => (wake = resolve))
      const noop = () => {
        startMs ||= performance.now()
        if (++done === count) wake()
      }
      const runner = await start({ noop })
      await all
      while (await waiting()) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
      const tookMs = performance.now() - startMs
      await runner.stop()
      return count / (tookMs / 1000)
    },
    async hold(mark) {
      await utils.addJobs([{ identifier: 'hold', payload: { mark } }])
    },
    async work() {
      const hold = createRequire(import.meta.url)(HOLD) as (mark: string) => unknown
      holding = await start({ hold: ({ mark }: { mark: string }) => hold(mark) })
    },
    async close() {
      await holding?.stop()
      await utils.release()
    },
  }
}

await servePeer(open)
