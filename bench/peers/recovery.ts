// How long a job that was running waits after a death: of the process that hands jobs out, started again at
// once, or of the child process that its handler ran in.
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { enqueue, lab, pause, scratch } from '../lab.ts'
import { type Row, round, spread } from '../table.ts'
import { HOLD, type PeerProcess } from './peer.ts'

interface Run {
  readonly pid: number
  readonly atMs: number
}

const FUNCTIONS = {
  'hold.js': `import hold from ${JSON.stringify(HOLD)}
    export default ({ content }) => hold(content.mark)`,
}
const LOOK_EVERY_MS = 5
/** What is made ready in calm moments is ready then, ours and theirs. */
const CALM_MS = 2_000
/** Twice what BullMQ's lock and its check of locks take. */
const PATIENCE_MS = 120_000
/**
 * graphile-worker gives up the lock of a dead worker after four hours (its resetLockedAt): that is not waited
 * for.
 */
const GRAPHILE_PATIENCE_MS = 60_000

export async function recovery(rounds: number, bullmq?: PeerProcess, graphile?: PeerProcess): Promise<Row[]> {
  const restarts: number[] = []
  const replacements: number[] = []
  for (let n = 0; n < rounds; n++) {
    restarts.push(await restartMs())
    replacements.push(await replacementMs())
  }
  const ours = spread(restarts)
  return [
    {
      what: 'killed (SIGKILL) under a running handler, started again at once → the handler runs again',
      unit: 'ms',
      ours,
      ...(bullmq && once('bullmq', await comebackMs(bullmq, () => bullmq.restart()))),
      target: { value: ours.median, unit: 'ms', better: 'less', must: 1_000 },
      note: [
        'the start is in it',
        ...(bullmq ? ['bullmq one run, its own settings: a lock of 30 s, checked every 30 s'] : []),
        ...(graphile ? [await graphileWaits(graphile)] : []),
      ].join('; '),
    },
    {
      what: 'child process killed (SIGKILL) under its handler → the handler runs again',
      unit: 'ms',
      ours: spread(replacements),
      ...(bullmq && once('bullmq', await comebackMs(bullmq, killed))),
      note: 'bullmq one run, with `attempts: 2`: with its default of 1 the job fails',
    },
  ]
}

async function restartMs(): Promise<number> {
  const bench = lab(FUNCTIONS)
  let running = await bench.runtime()
  try {
    return await comebackMs({ hold: async (mark) => hold(bench, mark) }, async () => {
      running.child.kill('SIGKILL')
      running = await bench.runtime()
    })
  } finally {
    await running.stop()
    bench.close()
  }
}

async function replacementMs(): Promise<number> {
  const bench = lab(FUNCTIONS)
  const running = await bench.runtime()
  try {
    return await comebackMs({ hold: async (mark) => hold(bench, mark) }, killed)
  } finally {
    await running.stop()
    bench.close()
  }
}

function hold({ inbound }: ReturnType<typeof lab>, mark: string): void {
  enqueue(inbound, 1, () => ({ kind: 'hold', content: JSON.stringify({ mark }) }))
}

async function killed(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL')
}

async function graphileWaits(graphile: PeerProcess): Promise<string> {
  await graphile.work()
  const ms = await comebackMs(
    graphile,
    async () => {
      await graphile.restart()
      await graphile.work()
    },
    GRAPHILE_PATIENCE_MS,
  )
  const name = 'graphile-worker one run'
  if (Number.isFinite(ms)) return `${name}, ${round(ms)} ms`
  return `${name}, not within ${GRAPHILE_PATIENCE_MS / 1_000} s: it gives up the lock of a dead worker after 4 hours`
}

/** Milliseconds from the death to the first line of the next run; Infinity when there is none in time. */
async function comebackMs(
  queue: { hold(mark: string): Promise<void> },
  die: (pid: number) => Promise<void>,
  patienceMs = PATIENCE_MS,
): Promise<number> {
  const folder = scratch('recovery')
  const mark = join(folder, 'mark')
  try {
    await pause(CALM_MS)
    await queue.hold(mark)
    const first = await nthRun(mark, 1, patienceMs)
    if (!first) throw new Error('the job that was to be held has not run')
    const diedMs = Date.now()
    await die(first.pid)
    const second = await nthRun(mark, 2, patienceMs)
    return second ? second.atMs - diedMs : Number.POSITIVE_INFINITY
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** As soon as it has begun; undefined when it has not after so long. */
async function nthRun(mark: string, n: number, patienceMs: number): Promise<Run | undefined> {
  const endMs = performance.now() + patienceMs
  while (performance.now() < endMs) {
    const lines = existsSync(mark) ? readFileSync(mark, 'utf8').split('\n').slice(0, -1) : []
    const [pid, atMs] = lines[n - 1]?.split(' ').map(Number) ?? []
    if (pid !== undefined && atMs !== undefined) return { pid, atMs }
    await pause(LOOK_EVERY_MS)
  }
  return undefined
}

function once(name: string, ms: number) {
  if (!Number.isFinite(ms)) throw new Error(`${name} has not run its job again`)
  return { against: { name, median: round(ms), min: round(ms), max: round(ms) } }
}
