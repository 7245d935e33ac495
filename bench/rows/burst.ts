// Commits so close together that events of the file system overlap and get lost: how long a row stays unseen
// at worst.
import { answered, enqueue, pause, withRuntime } from '../lab.ts'
import { type Row, spread } from '../table.ts'
import type { Benchmark } from '../world.ts'
import { STAMP, stamps } from './latency.ts'

const COMMITS = 200
const PAUSE_MS = 5

export const burst: Benchmark = {
  name: 'burst',
  async run(world) {
    const rows: Row[] = []
    for (const journal of ['delete', 'wal'] as const) {
      const worst: number[] = []
      for (let n = 0; n < world.rounds; n++) worst.push(await longestUnseenMs(world.count(COMMITS), journal))
      const ours = spread(worst)
      rows.push({
        what: `burst, ${PAUSE_MS} ms between commits, inbound.db in ${journal.toUpperCase()}: longest unseen`,
        unit: 'ms',
        ours,
        target: { value: ours.max, unit: 'ms', better: 'less', must: 300, goal: 50 },
        note: 'from the commit to the first line of the handler, so the claim is in it; the worst of all rounds is judged',
      })
    }
    return rows
  },
}

function longestUnseenMs(count: number, journal: 'delete' | 'wal'): Promise<number> {
  return withRuntime(STAMP, [], async (bench) => {
    const mode = bench.inbound.pragma(`journal_mode = ${journal}`, { simple: true })
    if (mode !== journal) throw new Error(`inbound.db stays in ${mode}`)
    bench.inbound.pragma('synchronous = full')
    const committedAt = new Map<string, bigint>()
    for (let n = 0; n < count; n++) {
      enqueue(bench.inbound, 1, () => ({ kind: 'stamp', id: `s-${n}` }))
      committedAt.set(`s-${n}`, process.hrtime.bigint())
      await pause(PAUSE_MS)
    }
    await answered(bench, count + 1)
    const startedAt = stamps(bench)
    return Math.max(...[...committedAt].map(([id, at]) => Number((startedAt.get(id) ?? 0n) - at) / 1e6))
  })
}
