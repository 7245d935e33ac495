// What a long past costs a message: the same messages behind a million rows of history and behind ten
// thousand, with ids that grow with time and with random ones. The host chooses the ids.
import { randomUUID } from 'node:crypto'
import { type Lab, rate, type Sent } from '../lab.ts'
import { type Row, ratio, spread } from '../table.ts'
import type { Benchmark, Ids, World } from '../world.ts'

export const LONG = 1_000_000
const SHORT = 10_000
const MESSAGES = 10_000

const BOUNDS = {
  'time-ordered': { must: 1.3, goal: 1.1 },
  uuid: { must: 3.5, goal: 2 },
} as const

export const history: Benchmark = {
  name: 'history',
  async run(world) {
    const rows: Row[] = []
    const past = world.count(LONG).toLocaleString('en-US')
    for (const ids of ['time-ordered', 'uuid'] as const) {
      const { long, short } = await measure(world, ids)
      rows.push({
        what: `cost of a message behind ${past} rows of history, ${ids === 'uuid' ? 'UUIDv4' : 'time-ordered'} ids`,
        unit: 'µs',
        ours: spread(long),
        against: { name: `behind ${world.count(SHORT).toLocaleString('en-US')}`, ...spread(short) },
        target: { value: ratio(long, short), unit: '×', better: 'less', ...BOUNDS[ids] },
      })
    }
    return rows
  },
}

async function measure(world: World, ids: Ids) {
  const [longLab, shortLab] = [
    await world.history(world.count(LONG), ids),
    await world.history(world.count(SHORT), ids),
  ]
  const long: number[] = []
  const short: number[] = []
  const send = ids === 'uuid' ? () => ({ id: randomUUID() }) : () => ({})
  for (let n = 0; n < world.rounds; n++) {
    long.push(await costUs(longLab, world.count(MESSAGES), send))
    short.push(await costUs(shortLab, world.count(MESSAGES), send))
  }
  return { long, short }
}

async function costUs(bench: Lab, count: number, send: () => Sent): Promise<number> {
  const running = await bench.runtime()
  try {
    await rate(bench, 1, send)
    return 1e6 / (await rate(bench, count, send))
  } finally {
    await running.stop()
  }
}
