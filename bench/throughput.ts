// Messages a second, durable: no-op handlers in child processes with one reply each, everything else on. Beside it, in
// turns, the least that SQLite needs for the design: two transactions a batch. `npm run bench:throughput -- [messages] [rounds]`
import { completed, enqueue, keep, lab, print, round, spread, twoTransactions } from './lab.ts'

const messages = Number(process.argv[2] ?? 20_000)
const rounds = Number(process.argv[3] ?? 3)

interface Variant {
  readonly name: string
  readonly flags: readonly string[]
  readonly thread: (n: number) => string | null
}
const variants: readonly Variant[] = [
  { name: 'no key', flags: [], thread: () => null },
  { name: '100 conversations', flags: [], thread: (n) => `t${n % 100}` },
  { name: 'one conversation', flags: [], thread: () => 'only' },
  { name: 'no key, wal', flags: ['--journal', 'wal'], thread: () => null },
]

const rates = new Map<string, number[]>()
const note = (name: string, rate: number) => rates.set(name, [...(rates.get(name) ?? []), rate])
for (let n = 0; n < rounds; n++) {
  note('two-transaction loop', twoTransactions(messages, 256))
  note('two-transaction loop, wal', twoTransactions(messages, 256, 'wal'))
  for (const variant of variants) note(variant.name, await run(variant))
}
const figures = [...rates].map(([name, values]) => ({ name, ...spread(values.map(Math.round)) }))
const limit = figures.find(({ name }) => name === 'two-transaction loop')!.median
keep('throughput', { messages, rounds, figures })
print(`Throughput, ${messages} messages, ${rounds} rounds (messages/s)`, [
  ['', 'median', 'min', 'max', 'of the limit'],
  ...figures.map(({ name, median, min, max }) => [name, median, min, max, round(median / limit)]),
])

/** From the moment a burst is committed until its last reply is, on a runtime that is up. */
async function run({ flags, thread }: Variant): Promise<number> {
  const bench = lab({ 'noop.js': `export default () => 'hello'` })
  const runtime = await bench.runtime(...flags)
  enqueue(bench.inbound, 1, () => ({ id: 'first' }))
  await completed(bench, 1)
  enqueue(bench.inbound, messages, (n) => ({ thread: thread(n) }))
  const startMs = performance.now()
  const endMs = await completed(bench, messages + 1)
  await runtime.stop()
  bench.close()
  return messages / ((endMs - startMs) / 1000)
}
