// npm run simulate -- --seeds 1000 --steps 1000 --seed 1
import { parseArgs } from 'node:util'
import { randomEvents } from './events.ts'
import { HostFile } from './host.ts'
import { shrink } from './shrink.ts'
import { simulate } from './simulation.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    steps: { type: 'string' },
    seed: { type: 'string' },
    trace: { type: 'boolean' },
  },
})
const first = Number(values.seed ?? 1)
const seeds = Number(values.seeds ?? (values.seed ? 1 : 100))
const steps = Number(values.steps ?? 1_000)
const file = new HostFile()
const counts: Record<string, number> = {}
const started = performance.now()
for (let seed = first; seed < first + seeds; seed++) {
  const events = randomEvents(seed, steps)
  const result = await simulate(file, seed, events, values.trace)
  for (const [what, n] of Object.entries(result.counts)) counts[what] = (counts[what] ?? 0) + n
  if (values.trace) console.log(result.trace.join('\n'))
  if (result.violation) {
    console.log(`seed ${seed}: ${result.violation.stack}`)
    const few = await shrink(
      events,
      async (fewer) => sort((await simulate(file, seed, fewer)).violation) === sort(result.violation),
    )
    const short = await simulate(file, seed, few, true)
    console.log(short.trace.join('\n'))
    console.log(`seed ${seed}, ${few.length} events: ${short.violation?.stack}`)
    break
  }
}
console.log(counts, (performance.now() - started).toFixed(0), 'ms')
file.close()

function sort(e?: Error) {
  return e?.message
    .replaceAll(/m-[0-9a-z]+/g, '')
    .replaceAll(/\d+/g, '')
    .replaceAll(/\[.*?\]/g, '')
}
