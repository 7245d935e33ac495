// Whether the runtime has become slow: its throughput as a part of the two-transaction loop's, measured in
// turns, so that a slow or busy machine slows both. Fails only where something must be broken. `npm run
// bench:check`, about 15 s.
import { NOOP, rate, withRuntime } from './lab.ts'
import { twoTransactions } from './limits.ts'
import { ratio, round, spread } from './table.ts'

const MESSAGES = 20_000
const ROUNDS = 5
/** On an idle machine it is about twice that. */
const LEAST = 0.35

const ours: number[] = []
const limit: number[] = []
await withRuntime(NOOP, [], async (bench) => {
  for (let n = 0; n < ROUNDS; n++) {
    const before = twoTransactions(MESSAGES, 'delete')
    ours.push(await rate(bench, MESSAGES))
    // The mean of what was before and after: whatever disturbed ours has most likely disturbed one of them,
    // too.
    limit.push((before + twoTransactions(MESSAGES, 'delete')) / 2)
  }
})
const part = ratio(ours, limit)
console.log(
  `${spread(ours).median} messages/s, ${part} of the two-transaction loop (${ours.map((rate, n) => round(rate / (limit[n] ?? 0))).join(', ')}); at least ${LEAST}`,
)
if (part < LEAST) {
  console.error(`Throughput has fallen to ${part} of what SQLite alone does; see docs/performance.md.`)
  process.exitCode = 1
}
