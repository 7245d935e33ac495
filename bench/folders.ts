// One host, one process, many session folders: opened, swept and delivered. And how fast a host writes many
// messages.
//   npm run bench:folders -- [--folders 10000] [--rounds 5] [--save]
// The folders are copies of one that a host made; a runtime's answers are written by hand, without waiting
// for the disk. What is measured is the host alone, and it is durable.
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import Database from 'better-sqlite3'
import { openHost } from '../runtime/host/index.ts'
import { type SweepEvent, sweep } from '../runtime/host/sweep.ts'
import { enqueueRow } from './enqueue.ts'
import { pause, scratch } from './lab.ts'
import { machine } from './limits.ts'
import { save } from './results.ts'
import { percentile, print, type Row, round, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    folders: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '5' },
    save: { type: 'boolean', default: false },
  },
})
const count = Number(values.folders)
const rounds = Number(values.rounds)
/** Longer than a folder is under suspicion after it was written: then a round that finds nothing is one. */
const SETTLED_MS = 3_000
/** Of the folders, in the round that is like the daily life of a host. */
const ACTIVE_SHARE = 0.01

const before = machine()
const rows: Row[] = [enqueueRow(rounds)]
const root = scratch('folders')
const base = { mib: rssMiB(), handles: handles() }
const delay = monitorEventLoopDelay({ resolution: 1 })
let most = { mib: 0, handles: 0 }
const watch = setInterval(() => {
  most = { mib: Math.max(most.mib, rssMiB()), handles: Math.max(most.handles, handles()) }
}, 20)
try {
  await measureFolders(makeFolders(root))
} finally {
  clearInterval(watch)
  rmSync(root, { recursive: true, force: true })
}
console.log(`\n${count} folders`)
print(rows)
console.log(`\n${JSON.stringify(before)}`)
if (values.save) save('folders', before, rows)

async function measureFolders(folders: readonly string[]): Promise<void> {
  let delivered = 0
  const onEvent = (event: SweepEvent) => {
    if (event.type === 'delivered') delivered++
    if (event.type === 'trouble') throw new Error(`${event.folder}: ${event.error}`)
  }
  const all = sweep({ adapter: () => undefined, pauseMs: 3_600_000, onEvent })
  const until = async (total: number) => {
    while (delivered < total) await pause(1)
  }

  await timed('opened, and read for the first time', async () => {
    for (const folder of folders) all.add(folder)
    await all.round()
  })
  answer(folders, 1)
  await timed('every folder has an answer: carried over, delivered, noted', async () => {
    await all.round()
    await until(count)
  })

  await pause(SETTLED_MS)
  await all.round()
  const idleMs: number[] = []
  const activeMs: number[] = []
  for (let n = 0; n < rounds; n++) {
    const active = folders.filter((_, at) => at % Math.round(1 / ACTIVE_SHARE) === 0)
    answer(active, n + 2)
    const atMs = performance.now()
    await all.round()
    await until(count + (n + 1) * active.length)
    activeMs.push(performance.now() - atMs)
    await pause(SETTLED_MS)
    await all.round()
    delay.reset()
    const idleAtMs = performance.now()
    await all.round()
    idleMs.push(performance.now() - idleAtMs)
  }
  rows.push(
    {
      what: 'round in which nothing is new',
      unit: 'folders/s',
      ours: spread(idleMs.map((ms) => (count / ms) * 1_000)),
      note: `a whole round: ${round(percentile(idleMs, 0.5))} ms; event loop ${delayText(delay)}`,
    },
    {
      what: `round in which 1 of ${1 / ACTIVE_SHARE} has an answer`,
      unit: 'ms',
      ours: spread(activeMs),
    },
    { what: 'memory at most, beside the process itself', unit: 'MiB', ours: once(most.mib - base.mib) },
    {
      what: 'file descriptors at most, beside those of the process',
      unit: '',
      ours: once(most.handles - base.handles),
    },
  )
  await all.stop()
}

async function timed(what: string, work: () => Promise<void>): Promise<void> {
  delay.enable()
  delay.reset()
  const startMs = performance.now()
  await work()
  const ms = performance.now() - startMs
  rows.push({
    what,
    unit: 'folders/s',
    ours: once((count / ms) * 1_000),
    note: `${(ms / 1_000).toFixed(1)} s in all; event loop ${delayText(delay)}`,
  })
}

function makeFolders(root: string): string[] {
  const pattern = join(root, 'pattern')
  const host = openHost(pattern)
  host.enqueueMany(
    Array.from({ length: rounds + 1 }, (_, n) => ({ id: `m-${n + 1}`, kind: 'chat', content: 'hi' })),
  )
  host.close()
  return Array.from({ length: count }, (_, n) => {
    const folder = join(root, `session-${n}`)
    mkdirSync(folder)
    for (const file of readdirSync(pattern)) cpSync(join(pattern, file), join(folder, file))
    return folder
  })
}

/** What a runtime writes when it has answered message n. */
function answer(folders: readonly string[], n: number): void {
  for (const folder of folders) {
    const db = new Database(join(folder, 'outbound.db'))
    db.pragma('synchronous = off')
    const at = new Date().toISOString()
    db.transaction(() => {
      db.prepare("insert into processing_ack values (?, 'completed', ?)").run(`m-${n}`, at)
      db.prepare(
        "insert into messages_out (id, seq, in_reply_to, timestamp, kind, content) values (?, ?, ?, ?, 'chat', '{}')",
      ).run(`m-${n}:0`, 2 * n + 1, `m-${n}`, at)
    })()
    db.close()
  }
}

function delayText(histogram: IntervalHistogram): string {
  const ms = (ns: number) => round(ns / 1e6)
  return `held up ${ms(histogram.percentile(99))} ms (p99), ${ms(histogram.max)} ms at most`
}

function once(value: number): { median: number; min: number; max: number } {
  return spread([value])
}

function rssMiB(): number {
  return process.memoryUsage.rss() / 2 ** 20
}

function handles(): number {
  return readdirSync('/proc/self/fd').length
}
