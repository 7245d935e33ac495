// The table of docs/performance.md: ours and what the machine itself can do, in turns, in one run.
//   npm run bench -- [--only name,name] [--rounds n] [--scale x] [--save]
// `--scale 0.01` is for work on a benchmark; `--save` keeps the rows in results/, and in the
// documents.
import { parseArgs } from 'node:util'
import { machine } from './limits.ts'
import { save } from './results.ts'
import { burst } from './rows/burst.ts'
import { coldStart } from './rows/cold-start.ts'
import { history } from './rows/history.ts'
import { hostCommit } from './rows/host-commit.ts'
import { idle } from './rows/idle.ts'
import { latency } from './rows/latency.ts'
import { payload } from './rows/payload.ts'
import { poll } from './rows/poll.ts'
import { recovery } from './rows/recovery.ts'
import { steps } from './rows/steps.ts'
import { throughput } from './rows/throughput.ts'
import { print, type Row } from './table.ts'
import { type Benchmark, World } from './world.ts'

const BENCHMARKS: readonly Benchmark[] = [
  ...[throughput, latency, burst, hostCommit, coldStart, idle],
  ...[history, poll, recovery, payload, steps],
]

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    save: { type: 'boolean', default: false },
  },
})
const names = values.only.split(',').filter((name) => name !== '')
const unknown = names.filter((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name))
if (unknown.length > 0)
  throw new Error(
    `There is no ${unknown.join(', ')}; there are ${BENCHMARKS.map(({ name }) => name).join(', ')}`,
  )

if (values.save && (names.length > 0 || values.scale !== '1'))
  throw new Error('--save keeps a whole run at full scale: leave out --only and --scale')

const world = new World(Number(values.scale), Number(values.rounds))
const before = machine()
const beganMs = performance.now()
const rows: Row[] = []
try {
  for (const benchmark of BENCHMARKS) {
    if (names.length > 0 && !names.includes(benchmark.name)) continue
    const startMs = performance.now()
    const made = await benchmark.run(world)
    console.log(`\n${benchmark.name} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`)
    print(made)
    rows.push(...made)
  }
} finally {
  world.close()
}
console.log(`\n${((performance.now() - beganMs) / 1000).toFixed(0)} s in all; ${JSON.stringify(before)}`)
if (values.save) save('bench', before, rows)
