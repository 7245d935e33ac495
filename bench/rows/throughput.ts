// Messages a second, durable: no-op handlers in child processes with one reply each, everything else on.
// Beside it, in turns, the least that SQLite needs for the design.
import { NOOP, rate, withRuntime } from '../lab.ts'
import { BATCH, twoTransactions } from '../limits.ts'
import { type Row, ratio, spread } from '../table.ts'
import type { Benchmark, World } from '../world.ts'

const MESSAGES = 100_000

interface Variant {
  readonly flags: readonly string[]
  readonly thread: (n: number) => string | null
}
const VARIANTS = {
  plain: { flags: [], thread: () => null },
  hot: { flags: [], thread: () => 'only' },
  many: { flags: [], thread: (n) => `t${n % 100}` },
  wal: { flags: ['--journal', 'wal'], thread: () => null },
} satisfies Record<string, Variant>

export const throughput: Benchmark = {
  name: 'throughput',
  async run(world) {
    const count = world.count(MESSAGES)
    const { limit, walLimit, plain, wal, hot, many } = await measure(world, count)
    const messages = `${count.toLocaleString('en-US')} messages`
    const loop = { name: `two-transaction loop, batches of ${BATCH}` }
    const target = { unit: '×', better: 'more' } as const
    return [
      {
        what: `${messages}, DELETE/FULL`,
        unit: 'msg/s',
        ours: spread(plain),
        against: { ...loop, ...spread(limit) },
        target: { ...target, value: ratio(plain, limit), must: 0.5, goal: 0.7 },
      },
      {
        what: `${messages}, outbound.db in WAL, FULL`,
        unit: 'msg/s',
        ours: spread(wal),
        against: { ...loop, ...spread(walLimit) },
        target: { ...target, value: ratio(wal, walLimit) },
      },
      {
        what: 'all in one conversation',
        unit: 'msg/s',
        ours: spread(hot),
        against: { name: 'without a key', ...spread(plain) },
        target: { ...target, value: ratio(hot, plain), must: 0.5, goal: 0.8 },
      },
      {
        what: 'in 100 conversations',
        unit: 'msg/s',
        ours: spread(many),
        against: { name: 'without a key', ...spread(plain) },
        target: { ...target, value: ratio(many, plain) },
      },
    ] satisfies Row[]
  },
}

async function measure(world: World, count: number) {
  const rates = { limit: [], walLimit: [], plain: [], wal: [], hot: [], many: [] } as Record<
    'limit' | 'walLimit' | keyof typeof VARIANTS,
    number[]
  >
  for (let n = 0; n < world.rounds; n++) {
    rates.limit.push(twoTransactions(count, 'delete'))
    rates.plain.push(await run(VARIANTS.plain, count))
    rates.walLimit.push(twoTransactions(count, 'wal'))
    rates.wal.push(await run(VARIANTS.wal, count))
    rates.hot.push(await run(VARIANTS.hot, count))
    rates.many.push(await run(VARIANTS.many, count))
  }
  return rates
}

function run({ flags, thread }: Variant, count: number): Promise<number> {
  return withRuntime(NOOP, flags, (bench) => rate(bench, count, (n) => ({ thread: thread(n) })))
}
