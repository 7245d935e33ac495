// npm run scale -- [--rows 1000000] [--only waiting|acked|acked-uuid|behind|retrying|not-started] [--save] A
// first start on a file with a million pending rows. `waiting`: all of them are to run; how soon the first
// one does, what the runtime keeps in memory, how long its event loop is away, and how many it answers
// meanwhile. `acked`: all of them are finished by the acks in outbound.db, as where a host never syncs; how
// soon a new message runs, and what the rescan costs that follows each commit of the host. The runtime lives
// in this process, so that its loop can be watched. What a million acks of the past cost is measured by `npm
// run bench -- --only history`. `acked-uuid`: the same with ids in no order. `behind`, `retrying`,
// `not-started`: a fiftieth of so many messages waits, behind the first one of their conversation, each for
// its own next attempt, or for processes that do not start; how long a message of another conversation waits,
// and what memory they take.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import Database from 'better-sqlite3'
import { evaluateFile } from '../runtime/cli/evaluate-file.ts'
import { loadConfig } from '../runtime/config/load.ts'
import { createEvents, createRuntime } from '../runtime/runtime.ts'
import { Outbox } from '../runtime/store/sqlite/outbox.ts'
import { UUID } from './history.ts'
import { enqueue, type Lab, lab, NOOP, pause, ROOT } from './lab.ts'

const WATCHED_MS = 10_000
/** How long the CPU is watched with a commit of the host in each second, and as long without. */
const RESCANNED_MS = 20_000
const MS_IN_S = 1_000

type Figures = Record<string, number>

interface Case {
  readonly functions: Readonly<Record<string, string>>
  readonly fill: (bench: Lab) => void
  readonly measure: (bench: Lab) => Promise<Figures>
}

const ORDERED = "printf('m-%07d', i)"
/** Every message waits for an hour after its first attempt, unless its content asks for something else. */
const LATER = `export default { retry: { attempts: 2, minDelay: '1h' }, handler({ content }) {
  if (content.now) return 'done'
  throw new Error('not now')
} }`
const GONE = `import { existsSync } from 'node:fs'
if (!existsSync('loads')) process.exit(1)
export default { retry: { attempts: 2, minDelay: '1h' }, handler() { process.exit(1) } }`

const CASES: Readonly<Record<string, Case>> = {
  waiting: { functions: NOOP, fill: (bench) => fill(bench, rows), measure: waiting },
  acked: { functions: NOOP, fill: (bench) => fill(bench, rows), measure: acked },
  'acked-uuid': { functions: NOOP, fill: (bench) => fill(bench, rows, { id: UUID }), measure: acked },
  behind: {
    functions: { 'noop.js': LATER },
    fill: () => undefined,
    measure: (bench) => crowded(bench, "'one'"),
  },
  retrying: {
    functions: { 'noop.js': LATER },
    fill: () => undefined,
    measure: (bench) => crowded(bench, "'t-' || i"),
  },
  'not-started': {
    functions: { ...NOOP, 'gone.js': GONE },
    fill: (bench) => writeFileSync(join(bench.root, 'loads'), ''),
    measure: (bench) => crowded(bench, "'t-' || i", 'gone'),
  },
}

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    only: { type: 'string' },
    save: { type: 'boolean', default: false },
  },
})
const rows = Number(values.rows)
for (const [name, { functions, fill, measure }] of Object.entries(CASES)) {
  if (values.only !== undefined && values.only !== name) continue
  const bench = lab(functions)
  try {
    fill(bench)
    const figures = await measure(bench)
    for (const [what, figure] of Object.entries(figures)) console.log(`${what.padEnd(58)} ${figure}`)
    if (values.save) save(name, figures)
  } finally {
    bench.close()
  }
}

interface Filling {
  readonly id?: string
  readonly kind?: string
  readonly thread?: string
}

function fill(
  { inbound }: Lab,
  count: number,
  { id = ORDERED, kind = 'noop', thread = 'null' }: Filling = {},
): void {
  inbound.pragma('synchronous = off')
  inbound.pragma('cache_size = -1000000')
  inbound.exec(`insert into messages_in (id, seq, kind, timestamp, thread_id, content)
    with recursive n (i) as (select 1 union all select i + 1 from n where i < ${count})
    select ${id}, 2 * i, '${kind}', '2026-11-24 06:02:20', ${thread}, '{"text":"hello"}' from n`)
  inbound.pragma('cache_size = -2000')
}

/** A fiftieth of the rows waits; then a message of another conversation comes. */
async function crowded(bench: Lab, thread: string, kind = 'noop'): Promise<Figures> {
  const { runtime, events } = await runtimeOf(bench)
  await runtime.start()
  if (kind === 'gone') rmSync(join(bench.root, 'loads'))
  globalThis.gc?.()
  const before = process.memoryUsage()
  let ended = 0
  events.on('runs-ended', (list) => (ended += list.length))
  const count = rows / 50
  fill(bench, count, { thread, kind })
  const startMs = performance.now()
  const expected = thread.startsWith("'t-'") && kind === 'noop' ? count : 1
  while (ended < expected) await pause(50)
  const runMs = performance.now() - startMs
  // What is read meanwhile is in memory.
  await pause(3_000)
  const waits: number[] = []
  for (let n = 0; n < 5; n++) {
    const claimed = new Promise<number>((resolve) => {
      const onClaimed = ({ ids }: { readonly ids: readonly string[] }) => {
        if (!ids.includes(`new-${n}`)) return
        events.off('claimed', onClaimed)
        resolve(performance.now())
      }
      events.on('claimed', onClaimed)
    })
    const sentMs = performance.now()
    bench.inbound
      .prepare(
        `insert into messages_in (id, seq, kind, timestamp, thread_id, content)
         select 'new-${n}', max(seq) + 2, 'noop', '', 'other', '{"now":true}' from messages_in`,
      )
      .run()
    const limit = pause(20_000).then(() => Number.NaN)
    waits.push((await Promise.race([claimed, limit])) - sentMs)
    await pause(500)
  }
  globalThis.gc?.()
  const after = process.memoryUsage()
  await runtime.stop()
  return {
    'messages that wait': count,
    'until they had their first attempt, ms': tenths(runMs),
    'a message of another conversation is claimed after, first, ms': tenths(waits[0]!),
    '… and at the median of five, ms': tenths(waits.toSorted((a, b) => a - b)[2]!),
    'heap before, MiB': tenths(before.heapUsed / 1024 / 1024),
    'heap then, MiB': tenths(after.heapUsed / 1024 / 1024),
  }
}

async function waiting(bench: Lab): Promise<Figures> {
  const { runtime, events } = await runtimeOf(bench)
  const rssBefore = process.memoryUsage().rss
  const startMs = performance.now()
  let [startedMs, firstMs, answered, rssMost] = [0, 0, 0, 0]
  events.once('started', () => (startedMs = performance.now()))
  events.once('claimed', () => (firstMs = performance.now()))
  events.on('runs-ended', (ended) => (answered += ended.length))
  await runtime.start()
  const loop = monitorEventLoopDelay({ resolution: 1 })
  loop.enable()
  const watch = setInterval(() => (rssMost = Math.max(rssMost, process.memoryUsage().rss)), 50)
  await pause(WATCHED_MS)
  loop.disable()
  clearInterval(watch)
  await runtime.stop()
  return {
    'messages that wait': rows,
    'start, with building the function, ms': tenths(startedMs - startMs),
    'from there to the first claim, ms': tenths(firstMs - startedMs),
    'event loop away, p50, ms': tenths(loop.percentile(50) / 1e6),
    'event loop away, p99, ms': tenths(loop.percentile(99) / 1e6),
    'event loop away, most, ms': tenths(loop.max / 1e6),
    'memory before, MiB': mib(rssBefore),
    'memory, most, MiB': mib(rssMost),
    [`answered in ${WATCHED_MS / 1000} s`]: answered,
  }
}

async function acked(bench: Lab): Promise<Figures> {
  ackAll(bench)
  enqueue(bench.inbound, 1, () => ({ id: 'new' }))
  const { runtime, events } = await runtimeOf(bench)
  let [startedMs, firstMs, firstCpuMs] = [0, 0, 0]
  const first = new Promise<void>((resolve) =>
    events.once('claimed', () => {
      firstMs = performance.now()
      firstCpuMs = cpuMs()
      resolve()
    }),
  )
  let startedCpuMs = 0
  events.once('started', () => {
    startedMs = performance.now()
    startedCpuMs = cpuMs()
  })
  const loop = monitorEventLoopDelay({ resolution: 1 })
  await runtime.start()
  loop.enable()
  await first
  loop.disable()
  // The host lives in this process, too: a commit of the same size elsewhere is what its own work costs.
  const other = lab(NOOP)
  enqueue(other.inbound, 1, () => ({ id: 'new' }))
  const touch = (db: Database.Database) =>
    db.prepare("update messages_in set tries = tries + 1 where id = 'new'").run()
  const quiet = await cpuPercent(() => touch(other.inbound))
  const rescanned = await cpuPercent(() => touch(bench.inbound))
  await runtime.stop()
  other.close()
  return {
    'pending messages that are finished by their acks': rows,
    'from the start to the first claim of a new one, ms': tenths(firstMs - startedMs),
    'CPU until then, ms': tenths(firstCpuMs - startedCpuMs),
    'event loop away meanwhile, p99, ms': tenths(loop.percentile(99) / 1e6),
    'CPU without commits to this file, %': hundredths(quiet),
    'CPU with one commit a second to this file, %': hundredths(rescanned),
  }
}

function ackAll(bench: Lab): void {
  const path = join(bench.workspace, 'outbound.db')
  new Outbox(path, 'delete').close()
  const outbound = new Database(path)
  outbound.pragma('synchronous = off')
  outbound.exec(`attach '${bench.inbound.name}' as host;
    insert into processing_ack select id, 'completed', '2026-11-24T06:02:20.000Z' from messages_in order by seq`)
  outbound.close()
}

async function runtimeOf(bench: Lab) {
  const flags = { workspace: bench.workspace, functions: join(bench.root, 'functions') }
  const evaluate = (path: string, place: { readonly root: string; readonly cache: string }) =>
    evaluateFile(path, place.root, place.cache)
  const config = await loadConfig({ cwd: bench.root, env: {}, flags, evaluate })
  const events = createEvents()
  return { runtime: createRuntime(config, events), events }
}

async function cpuPercent(eachSecond: () => void): Promise<number> {
  const [before, startMs] = [process.cpuUsage(), performance.now()]
  while (performance.now() - startMs < RESCANNED_MS) {
    eachSecond()
    await pause(MS_IN_S)
  }
  const { user, system } = process.cpuUsage(before)
  return (100 * (user + system)) / 1000 / (performance.now() - startMs)
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function save(name: string, figures: Figures): void {
  const path = join(ROOT, 'bench/results/scale.json')
  const machine = { at: new Date().toISOString(), node: process.version, cpu: cpus()[0]?.model }
  const saved = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  writeFileSync(path, `${JSON.stringify({ ...saved, [name]: { ...machine, ...figures } }, null, 2)}\n`)
}

function mib(bytes: number): number {
  return Math.round(bytes / 1024 / 1024)
}

function tenths(length: number): number {
  return Math.round(length * 10) / 10
}

function hundredths(share: number): number {
  return Math.round(share * 100) / 100
}
