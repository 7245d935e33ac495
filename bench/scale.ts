// npm run scale -- [--rows 1000000] [--save]
// A first start on a file in which a million messages wait: how soon the first one runs, what the runtime keeps in memory,
// how long its event loop is away, and how many it answers meanwhile. The runtime lives in this process, so that its loop
// can be watched. What a million acks of the past cost is measured by `npm run bench -- --only history`.
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { evaluateFile } from '../runtime/cli/evaluate-file.ts'
import { loadConfig } from '../runtime/config/load.ts'
import { createEvents, createRuntime } from '../runtime/runtime.ts'
import { lab, NOOP, ROOT } from './lab.ts'

const WATCHED_MS = 10_000

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '1000000' }, save: { type: 'boolean', default: false } },
})
const rows = Number(values.rows)
const bench = lab(NOOP)
try {
  bench.inbound.pragma('synchronous = off')
  bench.inbound.exec(`insert into messages_in (id, seq, kind, timestamp, content)
    with recursive n (i) as (select 1 union all select i + 1 from n where i < ${rows})
    select printf('m-%07d', i), 2 * i, 'noop', '2026-11-24 06:02:20', '{"text":"hello"}' from n`)
  const figures = await measure()
  for (const [what, figure] of Object.entries(figures)) console.log(`${what.padEnd(42)} ${figure}`)
  const result = { at: new Date().toISOString(), node: process.version, cpu: cpus()[0]?.model, ...figures }
  if (values.save)
    writeFileSync(join(ROOT, 'bench/results/scale.json'), `${JSON.stringify(result, null, 2)}\n`)
} finally {
  bench.close()
}

async function measure(): Promise<Record<string, number>> {
  const flags = { workspace: bench.workspace, functions: join(bench.root, 'functions') }
  const evaluate = (path: string, place: { readonly root: string; readonly cache: string }) =>
    evaluateFile(path, place.root, place.cache)
  const config = await loadConfig({ cwd: bench.root, env: {}, flags, evaluate })
  const events = createEvents()
  const runtime = createRuntime(config, events)
  const rssBefore = process.memoryUsage().rss
  const startMs = performance.now()
  let [startedMs, firstMs, answered, rssMost] = [0, 0, 0, 0]
  events.once('started', () => (startedMs = performance.now()))
  events.once('claimed', () => (firstMs = performance.now()))
  events.on('settled', (ended) => (answered += ended.length))
  await runtime.start()
  const loop = monitorEventLoopDelay({ resolution: 1 })
  loop.enable()
  const watch = setInterval(() => (rssMost = Math.max(rssMost, process.memoryUsage().rss)), 50)
  await new Promise((resolve) => setTimeout(resolve, WATCHED_MS))
  loop.disable()
  clearInterval(watch)
  await runtime.stop()
  const mib = (bytes: number) => Math.round(bytes / 1024 / 1024)
  const ms = (length: number) => Math.round(length * 10) / 10
  return {
    'messages that wait': rows,
    'start, with building the function, ms': ms(startedMs - startMs),
    'from there to the first claim, ms': ms(firstMs - startedMs),
    'event loop away, p50, ms': ms(loop.percentile(50) / 1e6),
    'event loop away, p99, ms': ms(loop.percentile(99) / 1e6),
    'event loop away, most, ms': ms(loop.max / 1e6),
    'memory before, MiB': mib(rssBefore),
    'memory, most, MiB': mib(rssMost),
    [`answered in ${WATCHED_MS / 1000} s`]: answered,
  }
}
