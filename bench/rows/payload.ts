// Big messages: how many a second, and how much of what the way itself carries: read from SQLite, one hop to
// a child that parses it, a short answer back, two transactions.
import { fork } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { enqueue, lab, NOOP, rate, scratch, withRuntime } from '../lab.ts'
import { openOutbound, twoCommits } from '../limits.ts'
import { type Row, ratio, round, spread } from '../table.ts'
import type { Benchmark } from '../world.ts'

interface Size {
  readonly name: string
  readonly bytes: number
  readonly messages: number
  /** Messages on their way at a time: as many as fit into about 2 MB, 256 at most. */
  readonly batch: number
}
const SIZES: readonly Size[] = [
  { name: '10 KB', bytes: 10_000, messages: 5_000, batch: 200 },
  { name: '1 MB', bytes: 1_000_000, messages: 100, batch: 2 },
]

export const payload: Benchmark = {
  name: 'payload',
  async run(world) {
    const rows: Row[] = []
    for (const size of SIZES) {
      const ours: number[] = []
      const raw: number[] = []
      const count = world.count(size.messages)
      const content = JSON.stringify({ text: 'x'.repeat(size.bytes) })
      for (let n = 0; n < world.rounds; n++) {
        raw.push(await rawRate(count, size.batch, content))
        ours.push(await withRuntime(NOOP, [], (bench) => rate(bench, count, () => ({ content }))))
      }
      const { median } = spread(ours)
      rows.push({
        what: `messages of ${size.name}`,
        unit: 'msg/s',
        ours: spread(ours),
        against: { name: 'raw IPC and SQLite', ...spread(raw) },
        target: { value: ratio(ours, raw), unit: '×', better: 'more', goal: 0.6 },
        note: `${round((median * size.bytes) / 1e6)} MB/s`,
      })
    }
    return rows
  },
}

/** The far side of the raw way. */
const ECHO = `process.on('message', (batch) => {
  for (const message of batch) JSON.parse(message[1])
  process.send(batch.map(([id]) => [id, 'hello']))
})`

async function rawRate(count: number, batch: number, content: string): Promise<number> {
  const bench = lab({})
  const dir = scratch('raw')
  writeFileSync(join(dir, 'echo.cjs'), ECHO)
  enqueue(bench.inbound, count, () => ({ content }))
  const page = bench.inbound
    .prepare('select id, content, seq from messages_in where seq > ? order by seq limit ?')
    .raw()
  const outbound = openOutbound(join(dir, 'outbound.db'), 'delete')
  const commit = twoCommits(outbound)
  const child = fork(join(dir, 'echo.cjs'), { execArgv: [], serialization: 'json' })
  const next = (after: number) => page.all(after, batch) as [string, string, number][]
  const send = (rows: [string, string, number][]) => rows.length > 0 && child.send(rows)
  const startMs = performance.now()
  await new Promise<void>((resolve) => {
    // Two batches on their way at a time.
    let rows = next(0)
    let ahead = next(rows.at(-1)?.[2] ?? 0)
    let done = 0
    send(rows)
    send(ahead)
    child.on('message', () => {
      commit(done, rows.length)
      done += rows.length
      if (done >= count) return resolve()
      rows = ahead
      ahead = next(rows.at(-1)?.[2] ?? 0)
      send(ahead)
    })
  })
  const tookMs = performance.now() - startMs
  child.disconnect()
  outbound.close()
  bench.close()
  rmSync(dir, { recursive: true, force: true })
  return count / (tookMs / 1000)
}
