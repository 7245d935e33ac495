// Does the simulation see what it is there to see? Each mutant of the core, in a copy of it, has to make it
// fail.
//   npm run mutants                      all of them
//   npm run mutants -- --only retry      those whose name has this word
// A table says by what each was caught. The exit code is 1 when one survives, or does not fit the core any
// more; or when the simulation fails without any of them, since it would then find fault with all.
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { ORDERS } from '../simulation/orders.ts'
import { changed, MUTANTS } from './list.ts'
import type { Mutant } from './mutant.ts'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const COPIED = ['runtime', 'test/simulation', 'test/support', 'package.json', 'tsconfig.json']
const SEEDS = 300
const STEPS = 400
/** A mutant that makes the simulation go on for ever has made it fail. */
const TIMEOUT_MS = 240_000
const ENDLESS = 'the simulation does not end'
const NAME_CHARS = 66
const FINDING_CHARS = 110

interface Verdict {
  readonly mutant: Mutant
  readonly finding: string | undefined
  /** It does not fit the core. */
  readonly misfit: string | undefined
  readonly seconds: number
}

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } })
const folder = mkdtempSync(join(tmpdir(), 'nanoclaw-mutants-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const startedMs = performance.now()
const left = MUTANTS.filter(({ name }) => name.includes(values.only))
const verdicts: Verdict[] = []
const copies = Array.from({ length: availableParallelism() }, (_, at) => copyOfCore(join(folder, String(at))))
const control = (await findingsIn(copies[0]!)).finding
if (control !== undefined) throw new Error(`The simulation fails without a mutant: ${control}`)
await Promise.all(copies.map(work))
const bad = verdicts.filter(({ finding }) => finding === undefined)
const seconds = ((performance.now() - startedMs) / 1000).toFixed(0)
console.log(
  `\n${verdicts.length} mutants in ${seconds} s, each against ${SEEDS} seeds of ${STEPS} steps at most`,
)
for (const { mutant, misfit } of bad) console.log(`${mutant.name}: ${misfit ?? 'SURVIVED'}`)
console.log(`${verdicts.length - bad.length} passed, ${bad.length} failed`)
process.exitCode = bad.length === 0 && verdicts.length > 0 ? 0 : 1

function copyOfCore(copy: string): string {
  mkdirSync(join(copy, 'test'), { recursive: true })
  for (const name of COPIED) cpSync(join(REPOSITORY, name), join(copy, name), { recursive: true })
  symlinkSync(join(REPOSITORY, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

async function work(copy: string): Promise<void> {
  for (let mutant = left.shift(); mutant; mutant = left.shift()) {
    const verdict = await judge(mutant, copy)
    verdicts.push(verdict)
    const [name, finding] = [mutant.name, verdict.finding ?? verdict.misfit ?? 'SURVIVED']
    console.log(
      `${name.padEnd(NAME_CHARS)} ${verdict.seconds.toFixed(1).padStart(5)} s  ${finding.slice(0, FINDING_CHARS)}`,
    )
  }
}

async function judge(mutant: Mutant, copy: string): Promise<Verdict> {
  const startMs = performance.now()
  const verdict = (of: Partial<Verdict>) => {
    return {
      mutant,
      finding: undefined,
      misfit: undefined,
      seconds: (performance.now() - startMs) / 1000,
      ...of,
    }
  }
  const files = [...new Set(mutant.changes.map(({ file }) => file))]
  try {
    for (const change of mutant.changes) {
      const path = join(copy, 'runtime', change.file)
      writeFileSync(path, changed(readFileSync(path, 'utf8'), change))
    }
    const orders = ORDERS.filter((order) => order.mutant === mutant.name)
    const { finding, titles } = await findingsIn(copy, orders.length > 0)
    const blind = orders.filter(({ title }) => !titles.includes(title))
    if (blind.length === 0 || finding === ENDLESS) return verdict({ finding })
    return verdict({ misfit: `not seen by the order of events that names it: ${blind[0]!.title}` })
  } catch (error) {
    return verdict({ misfit: error instanceof Error ? error.message : String(error) })
  } finally {
    for (const file of files) cpSync(join(REPOSITORY, 'runtime', file), join(copy, 'runtime', file))
  }
}

interface Findings {
  /** The first one; undefined: everything holds. */
  readonly finding: string | undefined
  /** Of the known runs and orders of events that fail. */
  readonly titles: readonly string[]
}

/** What the simulation says. `toTheEnd`: of all that is known, when some of it has failed. */
async function findingsIn(copy: string, toTheEnd = false): Promise<Findings> {
  const simulation = join(copy, 'simulate.mjs')
  await build({
    entryPoints: [join(copy, 'test/simulation/simulate.ts')],
    outfile: simulation,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'silent',
  })
  const options = { seeds: SEEDS, steps: STEPS, jobs: 1, shrink: 0 }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  if (toTheEnd) args.push('--known')
  const child = spawn(process.execPath, [simulation, ...args], { cwd: copy, timeout: TIMEOUT_MS })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (said += text))
  return new Promise((resolve, reject) =>
    child.once('close', (code, signal) => {
      const found = /(?:^what is known fails|^seed \d+): (.*)/m.exec(said)?.[1]
      const titles = [...said.matchAll(/^what is known fails: .* \((.*)\)$/gm)].map(([, title]) => title!)
      if (found !== undefined || code === 0) resolve({ finding: found, titles })
      else if (signal) resolve({ finding: ENDLESS, titles })
      else reject(new Error(`the simulation itself is broken: ${said.trim().split('\n').at(-1)}`))
    }),
  )
}
