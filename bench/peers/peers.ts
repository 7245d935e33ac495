// Ours and other job queues at the same work in one run, in turns: no-op jobs, every result forced to the
// disk.
//   npm run bench:peers -- [--rounds n] [--scale x] [--save]
// Packages and servers go to a scratch folder; what the machine cannot have is skipped with a word.
import { parseArgs } from 'node:util'
import { NOOP, rate, withRuntime } from '../lab.ts'
import { machine } from '../limits.ts'
import { save } from '../results.ts'
import { coldStartOf } from '../rows/cold-start.ts'
import { idleLatency } from '../rows/latency.ts'
import { percentile, print, type Row, ratio, round, spread, type Target } from '../table.ts'
import { World } from '../world.ts'
import { install, type Package, PEERS, versionOf } from './packages.ts'
import { PeerProcess } from './peer.ts'
import { recovery } from './recovery.ts'
import { type Server, startPostgres, startRedis } from './servers.ts'

interface Entry {
  readonly name: Package
  readonly what: string
  /** As many as take some seconds: a slow peer gets fewer. */
  readonly messages: number
  readonly server?: () => Promise<Server | string>
  readonly bounds: Pick<Target, 'must' | 'goal'>
  readonly note: string
}

const MESSAGES = 100_000
const LONE_MESSAGES = 100

const ENTRIES: readonly Entry[] = [
  {
    name: 'bullmq',
    what: 'sandboxed processor, 2 at once',
    messages: 20_000,
    server: startRedis,
    bounds: { must: 12, goal: 20 },
    note: 'handlers in child processes; appendonly, appendfsync always',
  },
  {
    name: 'graphile-worker',
    what: 'localQueue 500, batched completion',
    messages: MESSAGES,
    server: startPostgres,
    bounds: { must: 1, goal: 1.5 },
    note: 'handlers in its own process, no reply kept, a finished job is deleted; fsync and synchronous_commit on',
  },
  {
    name: 'plainjob',
    what: 'synchronous FULL',
    messages: 10_000,
    bounds: {},
    note: 'handlers in its own process, no reply kept; WAL',
  },
]

interface Started {
  readonly entry: Entry
  readonly version: string
  readonly peer: PeerProcess
  readonly server: Server | undefined
  readonly rates: number[]
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    save: { type: 'boolean', default: false },
  },
})
if (values.save && values.scale !== '1')
  throw new Error('--save keeps a run at full scale: leave out --scale')
const world = new World(Number(values.scale), Number(values.rounds))
const trouble = install()
if (trouble !== undefined) console.log(`skipped: ${trouble}`)
else await compare()

async function compare(): Promise<void> {
  const before = machine()
  const beganMs = performance.now()
  const started: Started[] = []
  try {
    for (const entry of ENTRIES) await start(entry, started)
    const rows = [
      ...(await throughput(started)),
      ...(await pickUp(started)),
      ...(await coldStart()),
      ...(await recovery(world.rounds, find('bullmq', started), find('graphile-worker', started))),
    ]
    const versions = Object.fromEntries(started.map(({ entry, version }) => [entry.name, version]))
    print(rows)
    console.log(
      `\n${((performance.now() - beganMs) / 1000).toFixed(0)} s in all; ${JSON.stringify({ ...before, versions })}`,
    )
    if (values.save) save('peers', { ...before, versions }, rows)
  } finally {
    for (const { peer, server } of started) {
      await peer.close()
      await server?.stop()
    }
  }
}

async function start(entry: Entry, started: Started[]): Promise<void> {
  const server = await entry.server?.()
  if (typeof server === 'string') return console.log(`${entry.name} skipped: ${server}`)
  try {
    const peer = await PeerProcess.start(`${entry.name}.ts`, server?.address ?? '')
    const version = [versionOf(entry.name), server?.version].filter(Boolean).join(', ')
    started.push({ entry, version, peer, server, rates: [] })
  } catch (error) {
    await server?.stop()
    console.log(`${entry.name} skipped: ${error instanceof Error ? error.message : error}`)
  }
}

async function throughput(started: readonly Started[]): Promise<Row[]> {
  const ours: number[] = []
  for (let n = 0; n < world.rounds; n++) {
    ours.push(await withRuntime(NOOP, [], (bench) => rate(bench, world.count(MESSAGES))))
    for (const { entry, peer, rates } of started) rates.push(await peer.rate(world.count(entry.messages)))
  }
  return started.map(({ entry, version, rates }) => ({
    what: `against ${entry.name} ${version}: ${entry.what}`,
    unit: 'msg/s',
    ours: spread(ours),
    against: { name: entry.name, ...spread(rates) },
    target: { value: ratio(ours, rates), unit: '×', better: 'more', ...entry.bounds },
    note: `${entry.note}; ours ${count(MESSAGES)} messages, ${entry.name} ${count(entry.messages)}`,
  }))
}

function find(name: Package, started: readonly Started[]): PeerProcess | undefined {
  return started.find(({ entry }) => entry.name === name)?.peer
}

function count(full: number): string {
  return world.count(full).toLocaleString('en-US')
}

/** Beside the one that keeps its handlers in child processes, too. */
async function pickUp(started: readonly Started[]): Promise<Row[]> {
  const bullmq = find('bullmq', started)
  if (!bullmq) return []
  const ours: number[] = []
  const inWal: number[] = []
  const theirs: number[] = []
  const lone = world.count(LONE_MESSAGES)
  const wal = ['--journal', 'wal']
  for (let n = 0; n < world.rounds; n++) {
    ours.push(...(await idleLatency(lone, () => undefined)).starts)
    inWal.push(...(await idleLatency(lone, () => undefined, wal)).starts)
    theirs.push(...(await bullmq.pickUp(lone)))
  }
  return [
    beside('idle pick-up beside bullmq, p50', 0.5, ours, theirs, { must: 1.5, goal: 1 }),
    beside('idle pick-up beside bullmq, p99', 0.99, ours, theirs, {}),
    beside('idle pick-up with outbound.db in WAL beside bullmq, p50', 0.5, inWal, theirs, {}),
  ]
}

function beside(
  what: string,
  share: number,
  ours: readonly number[],
  theirs: readonly number[],
  bounds: Pick<Target, 'must' | 'goal'>,
): Row {
  const [us, them] = [percentile(ours, share), percentile(theirs, share)]
  return {
    what,
    unit: 'ms',
    ours: alone(us),
    against: { name: 'bullmq', ...alone(them) },
    target: { value: round(us / them), unit: '×', better: 'less', ...bounds },
    note: `${ours.length} lone messages each: the call that adds one has returned → first line of its handler`,
  }
}

function alone(value: number) {
  return { median: round(value), min: round(value), max: round(value) }
}

/** Here there is a real zod to load. */
function coldStart(): Promise<Row[]> {
  const source = `import * as z from 'zod'
    const schema = z.object({ text: z.string() })
    export default (message) => schema.parse(message.content)`
  return coldStartOf(
    `handler with zod ${versionOf('zod')}`,
    { source, packages: PEERS, bounds: { must: 1.6, goal: 1.25 } },
    world,
  )
}
