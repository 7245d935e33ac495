// A whole soak: rounds drawn from a seed, shared by lanes that work side by side, then a drain in each. The
// first finding ends it: what comes after a broken round proves nothing.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { keepEvidence } from './evidence.ts'
import { Lane, Unplanned } from './lane.ts'
import { planRounds, type Round } from './plan.ts'
import { Random } from './random.ts'
import { add, type Tally } from './tally.ts'

export interface Soak {
  readonly kills: number
  readonly seed: number
  readonly lanes: number
  /** The entry of the build that is tested. */
  readonly command: string
  /** Does not exist yet; everything of this soak lies in it. */
  readonly folder: string
  /** Where the programs of the peers lie. */
  readonly peers: string
  /** Whether a finding leaves copies behind. */
  readonly keeps: boolean
}

/** The last lane's disk: empty files, and what some kills add to them. */
const TINY_DISK_MB = 24
const KILLS_PER_MB = 20
const TOLD_EVERY_MS = 10_000
const FINDINGS_TOLD = 10
/** Poison that meets the deaths of the runtime, too, may need minutes to end: not in a short soak. */
const EARLY_POISON_KILLS = 300

export class Play {
  readonly #soak: Soak
  readonly #tally: Tally
  readonly #rounds: Round[]
  readonly #drainRound: number
  readonly #lanes: readonly Lane[]
  /** Some lane works on a disk that can be filled. */
  readonly hasTinyDisk: boolean
  readonly found: string[] = []

  constructor(soak: Soak, tally: Tally) {
    this.#soak = soak
    this.#tally = tally
    this.#rounds = planRounds(soak.kills, new Random(soak.seed))
    this.#drainRound = this.#rounds.length + 1
    mkdirSync(soak.folder)
    this.#lanes = Array.from({ length: soak.lanes }, (_, at) => this.#makeLane(at))
    this.hasTinyDisk = this.#lanes.some((lane) => lane.onTinyDisk)
  }

  async run(): Promise<void> {
    const { kills } = this.#soak
    const telling = setInterval(() => console.log(`${this.#tally.kills} of ${kills} kills`), TOLD_EVERY_MS)
    await Promise.all(this.#lanes.map((lane) => this.#runLane(lane)))
    clearInterval(telling)
  }

  async close(): Promise<void> {
    for (const lane of this.#lanes) await lane.close()
  }

  /**
   * One lane more than the first lies on a disk of its own, if there is one: the others feel the real one's
   * fsync.
   */
  #makeLane(at: number): Lane {
    const { folder, peers, command, kills, lanes } = this.#soak
    const name = `lane${at + 1}`
    const tinyDiskMb = at > 0 && at === lanes - 1 ? TINY_DISK_MB + Math.ceil(kills / KILLS_PER_MB) : undefined
    const own = join(folder, name)
    mkdirSync(own)
    return new Lane({ name, folder: own, peers, command, tinyDiskMb, tally: this.#tally })
  }

  async #runLane(lane: Lane): Promise<void> {
    if (this.#soak.kills >= EARLY_POISON_KILLS) await lane.poison()
    while (this.found.length === 0) {
      const round = this.#rounds.shift()
      await this.#judge(lane, round)
      if (!round) return
    }
  }

  async #judge(lane: Lane, round: Round | undefined): Promise<void> {
    const { seed, keeps } = this.#soak
    const findings = await this.#findings(lane, round)
    if (findings.length === 0) return
    this.found.push(...findings)
    const where = round ? `round ${round.n}, ${JSON.stringify(round.kill)}` : 'drain'
    console.log(`seed ${seed}, ${lane.name}, ${where}`)
    for (const text of findings.slice(0, FINDINGS_TOLD)) console.log(`  ${text}`)
    if (keeps) console.log(`  left in ${keepEvidence(lane, { seed, round, found: findings })}`)
  }

  async #findings(lane: Lane, round: Round | undefined): Promise<string[]> {
    try {
      const violations = round
        ? await lane.play(round)
        : await lane.drain(this.#drainRound, lane === this.#lanes[0])
      for (const { invariant } of violations) add(this.#tally.broken, invariant)
      return violations.map(({ invariant, text }) => `${invariant} ${text}`)
    } catch (error) {
      this.#tally.troubles++
      if (error instanceof Unplanned) return [error.message]
      return [error instanceof Error ? (error.stack ?? error.message) : String(error)]
    }
  }
}
