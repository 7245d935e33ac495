// From the spawn of a child to its first result, in turns with an empty Node program that prints one word:
// what is Node's own time, and what is ours.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Bundler } from '../../runtime/catalog/bundle.ts'
import { realClock } from '../../runtime/protocol/clock.ts'
import type { Dispatch } from '../../runtime/protocol/ipc.ts'
import { childEnv } from '../../runtime/workers/child-env.ts'
import { Prewarm } from '../../runtime/workers/prewarm.ts'
import { nodeSpawner, type Spawner } from '../../runtime/workers/process.ts'
import { Worker } from '../../runtime/workers/worker.ts'
import { scratch } from '../lab.ts'
import { moduleOf } from '../module.ts'
import { type Row, ratio, spread, type Target } from '../table.ts'
import type { Benchmark, World } from '../world.ts'

const SPAWNS = 15
const PREWARMED = 6
const KEEP_MS = 1_500
const HANDLER_KB = 50
/** zod 4, bundled. */
const LIBRARY_KB = 750

export const coldStart: Benchmark = {
  name: 'cold-start',
  run: async (world) => [
    ...(await coldStartOf(
      `${HANDLER_KB} KB handler`,
      { source: moduleOf(HANDLER_KB), bounds: { must: 1.25, goal: 1.1 } },
      world,
    )),
    ...(await coldStartOf(
      `handler with a library of ${LIBRARY_KB} KB`,
      {
        source: moduleOf(LIBRARY_KB),
        bounds: { must: 1.6, goal: 1.25 },
        note: 'generated code of the size of zod; `npm run bench:peers` takes zod itself',
      },
      world,
    )),
  ],
}

interface Cold {
  /** A handler in JavaScript. */
  readonly source: string
  /** A folder whose node_modules it may import from. */
  readonly packages?: string
  readonly bounds: Pick<Target, 'must' | 'goal'>
  readonly note?: string
}

export async function coldStartOf(
  what: string,
  { source, packages, bounds, note }: Cold,
  world: World,
): Promise<Row[]> {
  const root = scratch('cold')
  const prewarm = new Prewarm({ clock: realClock, spawn: nodeSpawner(realClock), keep: true })
  try {
    const empty = join(root, 'empty.cjs')
    writeFileSync(empty, `process.send('up')`)
    if (packages) symlinkSync(join(packages, 'node_modules'), join(root, 'node_modules'))
    const bundle = await bundleOf(root, source)
    const ours: number[] = []
    const told: number[] = []
    const against: number[] = []
    // The first of each pays for a cold disk, and has time to leave what V8 compiled of the bundle
    // (child/start.ts).
    for (let n = -1; n < world.count(SPAWNS); n++) {
      const direct = await firstResultMs(root, bundle, NO_PREWARM, n < 0 ? KEEP_MS : 0)
      const empties = await emptyMs(empty)
      if (n >= 0) {
        ours.push(direct)
        against.push(empties)
      }
      if (n >= PREWARMED) continue
      // It lives on until the next prewarmed one is there.
      const byPrewarm = await firstResultMs(root, bundle, prewarm, KEEP_MS)
      if (n >= 0) told.push(byPrewarm)
    }
    const node = { name: 'empty Node child', ...spread(against) }
    return [
      {
        what: `cold start, spawn → first result: ${what}`,
        unit: 'ms',
        ours: spread(ours),
        against: node,
        target: { value: ratio(ours, against), unit: '×', better: 'less', ...bounds },
        ...(note !== undefined && { note }),
      },
      {
        what: `a start with the prewarmed process → first result: ${what}`,
        unit: 'ms',
        ours: spread(told),
        against: node,
        target: { value: ratio(told, against), unit: '×', better: 'less' },
      },
    ]
  } finally {
    prewarm.stop()
    rmSync(root, { recursive: true, force: true })
  }
}

async function bundleOf(root: string, source: string): Promise<string> {
  const path = join(root, 'handler.js')
  const cache = join(root, 'build')
  mkdirSync(cache)
  writeFileSync(path, source)
  const made = { name: 'handler', file: 'handler.js', path }
  const bundler = new Bundler()
  try {
    return (await bundler.function(made, { cache, root, external: [] })).path
  } finally {
    await bundler.release()
  }
}

async function emptyMs(path: string): Promise<number> {
  const fromMs = performance.now()
  const child = fork(path, { execArgv: [] })
  await once(child, 'message')
  const tookMs = performance.now() - fromMs
  child.disconnect()
  await once(child, 'exit')
  return tookMs
}

const NO_PREWARM = { spawn: nodeSpawner(realClock), stop: async () => undefined }

/** `livesMs`: so long goes the child on living. */
function firstResultMs(root: string, bundle: string, spawner: Spawner, livesMs: number): Promise<number> {
  const limits = {
    loadTimeoutMs: 30_000,
    abortGraceMs: 2_000,
    killGraceMs: 2_000,
    maxMemoryMb: 512,
    maxReplyBytes: 2 ** 20,
    maxLogBytes: 2 ** 16,
    maxMessagesPerWorker: 100_000,
    env: childEnv([]),
    nodeArgs: [],
    cwd: root,
  }
  return new Promise((resolve, reject) => {
    let tookMs: number | undefined
    const fromMs = performance.now()
    const child = new Worker(
      'cold',
      bundle,
      { clock: realClock, limits, spawner },
      {
        loaded: (loaded) =>
          loaded.run([DISPATCH], {
            workspace: '',
            step: () => {},
            ended: ([ended]) => {
              if (ended?.outcome.type !== 'replied') return
              tookMs = performance.now() - fromMs
              setTimeout(() => child.kill('measured'), livesMs)
            },
          }),
        free: () => undefined,
        gone: (_child, { why }) => (tookMs === undefined ? reject(new Error(why)) : resolve(tookMs)),
        output: (_child, _id, _stream, line) => console.error(line),
        log: () => undefined,
      },
    )
  })
}

const DISPATCH: Dispatch = {
  n: 1,
  lane: '',
  attempt: 1,
  alone: false,
  timeoutMs: 30_000,
  scope: '',
  message: {
    id: 'm-1',
    seq: 2,
    kind: 'cold',
    timestamp: '2026-01-01T00:00:00.000Z',
    status: 'pending',
    processAfter: null,
    recurrence: null,
    seriesId: null,
    tries: 0,
    trigger: true,
    platformId: null,
    channelType: null,
    threadId: null,
    sourceSessionId: null,
    onWake: false,
    content: '{"text":"hello"}',
  },
}
