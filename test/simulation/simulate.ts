// The simulation: the real core in a world that is not, where everything goes wrong that can, over and over. See --help.
import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Event, randomEvents } from './events.ts'
import { HostFile } from './host.ts'
import { shrink } from './shrink.ts'
import { type RunResult, simulate } from './simulation.ts'

const USAGE = `Usage: npm run simulate -- [options]

Runs the core through random events and checks what must hold at each of them. A seed and a number of steps always give
the same run. The exit code is 0 when everything held; otherwise the first seed that failed is cut down to its events.

  --seeds <n>    how many seeds (default: 100, or 1 with --seed)
  --steps <n>    events of each (default: 1000)
  --seed <n>     the first seed (default: 1)
  --jobs <n>     processes that share them (default: one for each core)
  --trace        prints what happens in each run (one job)
  --shrink <s>   seconds that cutting down may take (default: 60)
  --help         prints this
`

interface Share {
  readonly first: number
  readonly every: number
  readonly seeds: number
  readonly steps: number
  readonly tracing: boolean
}

/** What one process has seen. */
interface Seen {
  readonly seeds: number
  readonly failed: number | undefined
  readonly counts: Record<string, number>
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    steps: { type: 'string', default: '1000' },
    seed: { type: 'string' },
    jobs: { type: 'string' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'string', default: '60' },
    help: { type: 'boolean', default: false },
    /** A share of another process's work. */
    share: { type: 'string' },
  },
})
if (values.help) console.log(USAGE)
else if (values.share !== undefined) process.send?.(await runShare(JSON.parse(values.share) as Share))
else process.exitCode = await main()

async function main(): Promise<number> {
  const first = whole('seed', values.seed ?? '1')
  const seeds = whole('seeds', values.seeds ?? (values.seed === undefined ? '100' : '1'))
  const steps = whole('steps', values.steps)
  const tracing = values.trace
  const jobs = tracing ? 1 : Math.min(whole('jobs', values.jobs ?? String(availableParallelism())), seeds)
  const startedMs = performance.now()
  const shares = Array.from({ length: jobs }, (_, at) => ({
    first: first + at,
    every: jobs,
    seeds: Math.ceil((seeds - at) / jobs),
    steps,
    tracing,
  }))
  const seen = jobs === 1 ? [await runShare(shares[0]!)] : await Promise.all(shares.map(inProcess))
  const ran = seen.reduce((sum, each) => sum + each.seeds, 0)
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  tell(seen)
  const failed = seen.flatMap((each) => each.failed ?? []).sort((a, b) => a - b)
  for (const seed of failed.slice(0, 1)) await explain(seed, steps)
  console.log(`\n${ran} seeds of ${steps} steps in ${seconds} s, ${jobs} processes`)
  console.log(`${ran - failed.length} passed, ${failed.length} failed`)
  return failed.length === 0 ? 0 : 1
}

function inProcess(share: Share): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--share', JSON.stringify(share)])
    child.once('message', (seen: Seen) => resolve(seen))
    child.once('exit', (code, signal) => reject(new Error(`a process ended: ${signal ?? code}`)))
  })
}

/** The first seed that fails ends it. */
async function runShare({ first, every, seeds, steps, tracing }: Share): Promise<Seen> {
  const file = new HostFile()
  const counts: Record<string, number> = {}
  let failed: number | undefined
  let ran = 0
  for (let seed = first; ran < seeds && failed === undefined; seed += every) {
    const result = await simulate(file, seed, randomEvents(seed, steps), tracing)
    if (tracing) console.log(result.trace.join('\n'))
    for (const [what, times] of Object.entries(result.counts)) counts[what] = (counts[what] ?? 0) + times
    ran++
    if (result.violation) failed = seed
  }
  file.close()
  return { seeds: ran, failed, counts }
}

function tell(seen: readonly Seen[]): void {
  const counts: Record<string, number> = {}
  for (const each of seen)
    for (const [what, times] of Object.entries(each.counts)) counts[what] = (counts[what] ?? 0) + times
  const width = Math.max(...Object.keys(counts).map(({ length }) => length))
  for (const [what, times] of Object.entries(counts).sort(([, a], [, b]) => b - a))
    console.log(`  ${what.padEnd(width)}  ${String(times).padStart(8)}`)
}

/** Says what failed, and the fewest events that still bring it about. */
async function explain(seed: number, steps: number): Promise<void> {
  const file = new HostFile()
  const events = randomEvents(seed, steps)
  const { violation } = await simulate(file, seed, events)
  console.log(`\nseed ${seed}: ${violation?.stack}\n\ncutting it down to the events that matter:`)
  const fails = async (fewer: readonly Event[]) =>
    kindOf(await simulate(file, seed, fewer)) === kindOf({ violation })
  const few = await shrink(events, fails, whole('shrink', values.shrink) * 1_000)
  const short = await simulate(file, seed, few, true)
  console.log(short.trace.join('\n'))
  console.log(`\nseed ${seed}, ${few.length} of ${events.length} events: ${short.violation?.message}`)
  file.close()
}

/** A violation without what differs from run to run. */
function kindOf({ violation }: Pick<RunResult, 'violation'>): string | undefined {
  return violation?.message
    .replaceAll(/m-[0-9a-z]+/g, '')
    .replaceAll(/\d+/g, '')
    .replaceAll(/\[.*?\]/g, '')
}

function whole(name: string, text: string): number {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number >= 1) return number
  throw new Error(`--${name} ${text}: expected a whole number, 1 or more`)
}
