// The crash soak: the real runtime, killed again and again in the middle of its work, and looked at after every time.
//   npm run soak -- --kills 1000 --seed 1 --lanes 2     kills in all; a seed repeats a plan; two workspaces at a time
//   npm run soak -- --prove                             runs deliberately wrong builds, and succeeds if each is caught
// It needs a build (npm run build). The exit code is 0 when everything held and every kill point was hit often enough.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { keepEvidence } from './evidence.ts'
import { Lane, Unplanned } from './lane.ts'
import { compilePeers } from './peer.ts'
import { planRounds, type Round } from './plan.ts'
import { Random } from './random.ts'
import { add, Tally } from './tally.ts'
import { buildVariant, VARIANTS, type Variant } from './variants.ts'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
/** The last lane's disk: empty files, and what a kill adds to them. */
const TINY_DISK_MB = 24
const KILLS_PER_MB = 20
const PROOF_KILLS = 100
const TOLD_EVERY_MS = 10_000

interface Soak {
  readonly kills: number
  readonly seed: number
  readonly lanes: number
  readonly command: string
}

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    lanes: { type: 'string', default: '2' },
    prove: { type: 'boolean', default: false },
    /** Another build, as a folder that holds dist/. */
    build: { type: 'string', default: REPOSITORY },
  },
})
const folder = mkdtempSync(join(tmpdir(), 'nanoclaw-soak-'))
const open = new Set<Lane>()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void closeAll().finally(() => process.exit(130)))
try {
  await compilePeers(folder)
  const numbers = { seed: whole('seed', 0), lanes: whole('lanes', 1) }
  process.exitCode = values.prove
    ? await prove(numbers)
    : await run({ ...numbers, kills: whole('kills', 1), command: join(values.build, 'dist/cli/main.js') })
} finally {
  await closeAll()
  rmSync(folder, { recursive: true, force: true })
}

async function run(soak: Soak): Promise<number> {
  console.log(`soak: seed ${soak.seed}, ${soak.kills} kills, ${soak.lanes} lanes`)
  const tally = new Tally(soak.kills)
  const { tinyDisk } = await play(soak, tally, join(folder, 'soak'))
  console.log(tally.lines(tinyDisk).join('\n'))
  return tally.failed ? 1 : 0
}

/** Each wrong build must be caught, and for what is wrong with it. */
async function prove({ seed, lanes }: Pick<Soak, 'seed' | 'lanes'>): Promise<number> {
  let caught = 0
  for (const [at, variant] of VARIANTS.entries()) {
    console.log(`prove: ${variant.name} (seed ${seed})`)
    const command = buildVariant(values.build, join(folder, `variant-${at}`), variant)
    const tally = new Tally(PROOF_KILLS)
    const { found } = await play(
      { kills: PROOF_KILLS, seed, lanes, command },
      tally,
      join(folder, `proof-${at}`),
    )
    if (isCaught(variant, found)) caught++
    else console.log(`not caught; expected a finding like ${variant.symptom}`)
  }
  console.log(`${caught} passed, ${VARIANTS.length - caught} failed`)
  return caught === VARIANTS.length ? 0 : 1
}

function isCaught({ name, symptom }: Variant, found: readonly string[]): boolean {
  const finding = found.find((text) => symptom.test(text))
  if (finding !== undefined) console.log(`caught: ${name}: ${finding}`)
  return finding !== undefined
}

/** All rounds, shared by the lanes; then each lane drains. A lane with a finding ends, and so do the others. */
async function play(soak: Soak, tally: Tally, home: string): Promise<{ found: string[]; tinyDisk: boolean }> {
  const { kills, seed, lanes, command } = soak
  const rounds = planRounds(kills, new Random(seed))
  const last = rounds.length + 1
  const found: string[] = []
  mkdirSync(home)
  const all = Array.from({ length: lanes }, (_, at) => {
    const name = `lane${at + 1}`
    const tinyDiskMb = at > 0 && at === lanes - 1 ? TINY_DISK_MB + Math.ceil(kills / KILLS_PER_MB) : undefined
    mkdirSync(join(home, name))
    const lane = new Lane({ name, folder: join(home, name), peers: folder, command, tinyDiskMb, tally })
    open.add(lane)
    return lane
  })
  const tinyDisk = all.some((lane) => lane.onTinyDisk)
  const telling = setInterval(() => console.log(progress(tally, kills)), TOLD_EVERY_MS)
  const take = () => (found.length === 0 ? rounds.shift() : undefined)
  await Promise.all(
    all.map(async (lane) => {
      let whole = true
      for (let round = take(); round && whole; round = take()) whole = await judge(lane, round, last)
      if (whole) await judge(lane, undefined, last)
    }),
  )
  clearInterval(telling)
  await closeAll()
  return { found, tinyDisk }

  async function judge(lane: Lane, round: Round | undefined, last: number): Promise<boolean> {
    const findings = await findingsOf(lane, round, last)
    if (findings.length === 0) return true
    found.push(...findings)
    const where = round ? `round ${round.n}, ${JSON.stringify(round.kill)}` : 'drain'
    console.log(`seed ${seed}, ${lane.name}, ${where}`)
    for (const text of findings.slice(0, 10)) console.log(`  ${text}`)
    console.log(`  left in ${keepEvidence(lane, { seed, round, found: findings })}`)
    return false
  }

  async function findingsOf(lane: Lane, round: Round | undefined, last: number): Promise<string[]> {
    try {
      const violations = round ? await lane.play(round) : await lane.drain(last)
      for (const { invariant } of violations) add(tally.broken, invariant)
      return violations.map(({ invariant, text }) => `${invariant} ${text}`)
    } catch (error) {
      tally.troubles++
      return [
        error instanceof Unplanned ? error.message : String(error instanceof Error ? error.stack : error),
      ]
    }
  }
}

function progress(tally: Tally, kills: number): string {
  const done = tally.timed + [...tally.hits.values()].reduce((sum, hits) => sum + hits, 0)
  return `soak: ${done} of ${kills} kills`
}

async function closeAll(): Promise<void> {
  for (const lane of open) await lane.close()
  open.clear()
}

function whole(name: 'kills' | 'seed' | 'lanes', least: number): number {
  const number = Number(values[name])
  if (!Number.isSafeInteger(number) || number < least)
    throw new Error(`--${name} ${values[name]}: expected a whole number from ${least}`)
  return number
}
