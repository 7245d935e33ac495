// The simulation: the real core in a world that is not, where everything goes wrong that can, over and over.
// See --help.
import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { randomEvents } from './events.ts'
import { Files } from './files.ts'
import { failureOf, KNOWN } from './known.ts'
import { ORDER_SEEDS, ORDERS } from './orders.ts'
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
  --shrink <s>   seconds that cutting down may take; 0: not at all (default: 60)
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
  readonly failed: { readonly seed: number; readonly text: string } | undefined
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
    /** Looks at all that is known, when some of it has failed. */
    known: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    /** A share of another process's work. */
    share: { type: 'string' },
  },
})
if (values.help) console.log(USAGE)
else if (values.share !== undefined) process.send?.(await runShare(JSON.parse(values.share) as Share))
else process.exitCode = await main()

async function main(): Promise<number> {
  if (!(await knownHold())) return 1
  const firstSeed = whole('seed', values.seed ?? '1')
  const seeds = whole('seeds', values.seeds ?? (values.seed === undefined ? '100' : '1'))
  const steps = whole('steps', values.steps)
  const tracing = values.trace
  const jobs = tracing ? 1 : Math.min(whole('jobs', values.jobs ?? String(availableParallelism())), seeds)
  const startedMs = performance.now()
  const shares = Array.from({ length: jobs }, (_, at) => ({
    first: firstSeed + at,
    every: jobs,
    seeds: Math.ceil((seeds - at) / jobs),
    steps,
    tracing,
  }))
  const seen = jobs === 1 ? [await runShare(shares[0]!)] : await Promise.all(shares.map(inProcess))
  const ran = seen.reduce((sum, each) => sum + each.seeds, 0)
  const took = ((performance.now() - startedMs) / 1000).toFixed(1)
  tell(seen)
  const failed = seen.flatMap((each) => each.failed ?? []).sort((a, b) => a.seed - b.seed)
  for (const { seed, text } of failed) console.log(`\nseed ${seed}: ${text}`)
  const [first] = failed
  const seconds = whole('shrink', values.shrink, 0)
  if (first && seconds > 0) await cutDown(first.seed, steps, seconds * 1_000)
  console.log(`\n${ran} seeds of ${steps} steps in ${took} s, ${jobs} processes`)
  console.log(`${ran - failed.length} passed, ${failed.length} failed`)
  return failed.length === 0 ? 0 : 1
}

/**
 * What failed once, and the orders of events that are written down, are looked at first: that is soon done.
 */
async function knownHold(): Promise<boolean> {
  const files = new Files()
  const failures: string[] = []
  const looks = [
    ...KNOWN.map((known) => () => failureOf(files, known)),
    ...ORDERS.map((order) => () => failureOf(files, order, ORDER_SEEDS)),
  ]
  for (const look of looks) {
    const failure = await look()
    if (failure !== undefined) failures.push(failure)
    if (failure !== undefined && !values.known) break
  }
  files.close()
  for (const failure of failures) console.log(`what is known fails: ${failure}`)
  return failures.length === 0
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
  const files = new Files()
  const counts: Record<string, number> = {}
  let failed: Seen['failed']
  let ran = 0
  for (let seed = first; ran < seeds && failed === undefined; seed += every) {
    const result = await simulate(files, seed, randomEvents(seed, steps), { tracing })
    if (tracing) console.log(result.trace.join('\n'))
    for (const [what, times] of Object.entries(result.counts)) counts[what] = (counts[what] ?? 0) + times
    ran++
    if (result.violation) failed = { seed, text: result.violation.stack ?? result.violation.message }
  }
  files.close()
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

/** The fewest events that still bring it about, and what happens in them. */
async function cutDown(seed: number, steps: number, deadlineMs: number): Promise<void> {
  const files = new Files()
  const events = randomEvents(seed, steps)
  const kind = kindOf(await simulate(files, seed, events))
  console.log('\ncutting it down to the events that matter:')
  const few = await shrink(
    events,
    async (fewer) => kindOf(await simulate(files, seed, fewer)) === kind,
    deadlineMs,
  )
  const short = await simulate(files, seed, few, { tracing: true })
  console.log(short.trace.join('\n'))
  console.log(`\nseed ${seed}, ${few.length} of ${events.length} events: ${short.violation?.message}`)
  files.close()
}

/** A violation without what differs from run to run. */
function kindOf({ violation }: Pick<RunResult, 'violation'>): string | undefined {
  return violation?.message
    .replaceAll(/m-[0-9a-z]+/g, '')
    .replaceAll(/\d+/g, '')
    .replaceAll(/\[.*?\]/g, '')
}

function whole(name: string, text: string, least = 1): number {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number >= least) return number
  throw new Error(`--${name} ${text}: expected a whole number, ${least} or more`)
}
