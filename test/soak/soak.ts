// The crash soak: the real runtime, killed again and again in the middle of its work, and looked at after every time.
// It needs a build (npm run build). See --help.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { copyBuild } from './build.ts'
import { compilePeers } from './peer.ts'
import { Play, type Soak } from './play.ts'
import { Tally } from './tally.ts'
import { VARIANTS } from './variants.ts'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const PROOF_KILLS = 100
const USAGE = `Usage: npm run soak -- [options]

Kills the runtime again and again, at named points and at any time, and the host, too; befalls both with locks, full disks
and pauses; and looks at both files after every kill. In the end everything has to end. The exit code is 0 when all held and
every named point was hit often enough. What failed leaves copies of both files with their journals in a folder that it names.

  --kills <n>    kills in all (default: 200)
  --seed <n>     draws the plan; the same seed draws the same one (default: any)
  --lanes <n>    workspaces at a time, each with its host, runtime and checker (default: 2)
  --prove        tests builds that are wrong on purpose instead: each has to be caught
  --build <dir>  the folder whose dist/ is tested (default: this one)
  --help         prints this
`

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    lanes: { type: 'string', default: '2' },
    prove: { type: 'boolean', default: false },
    build: { type: 'string', default: REPOSITORY },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(USAGE)
  process.exit(0)
}
const folder = mkdtempSync(join(tmpdir(), 'nanoclaw-soak-'))
let playing: Play | undefined
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void tidyUp().finally(() => process.exit(130)))
try {
  await compilePeers(folder)
  process.exitCode = values.prove ? await prove() : await soak()
} finally {
  await tidyUp()
}

async function soak(): Promise<number> {
  const kills = whole('kills', 1)
  const tally = new Tally(kills)
  const command = await copyBuild(values.build, join(folder, 'build'))
  const { hasTinyDisk } = await play({ kills, command, folder: join(folder, 'soak'), keeps: true }, tally)
  console.log(tally.lines(hasTinyDisk).join('\n'))
  return tally.failed ? 1 : 0
}

/** Each wrong build must be caught, and for what is wrong with it. */
async function prove(): Promise<number> {
  let caught = 0
  for (const [at, variant] of VARIANTS.entries()) {
    console.log(`\na wrong build: ${variant.name}`)
    const command = await copyBuild(values.build, join(folder, `variant${at}`), variant)
    const parts = { kills: PROOF_KILLS, command, folder: join(folder, `proof${at}`) }
    const { found } = await play({ ...parts, keeps: false }, new Tally(PROOF_KILLS))
    const finding = found.find((text) => variant.symptom.test(text))
    if (finding !== undefined) caught++
    console.log(finding === undefined ? `NOT CAUGHT; expected ${variant.symptom}` : `caught: ${finding}`)
  }
  console.log(`\n${caught} passed, ${VARIANTS.length - caught} failed`)
  return caught === VARIANTS.length ? 0 : 1
}

async function play(own: Omit<Soak, 'seed' | 'lanes' | 'peers'>, tally: Tally): Promise<Play> {
  const all = { ...own, seed: whole('seed', 0), lanes: whole('lanes', 1), peers: folder }
  console.log(`seed ${all.seed}, ${all.kills} kills, ${all.lanes} lanes`)
  playing = new Play(all, tally)
  await playing.run()
  await playing.close()
  return playing
}

async function tidyUp(): Promise<void> {
  await playing?.close()
  rmSync(folder, { recursive: true, force: true })
}

function whole(name: 'kills' | 'seed' | 'lanes', least: number): number {
  const number = Number(values[name])
  if (Number.isSafeInteger(number) && number >= least) return number
  throw new Error(`--${name} ${values[name]}: expected a whole number, ${least} or more`)
}
