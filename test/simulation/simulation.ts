// One run: a world, made from a number, in which a list of events happens to a runtime, one after the other;
// then nothing goes wrong any more, and everything that is due has to come to its end. The same number and
// events give the same run.
import { INBOUND_LIMITS } from '../../runtime/sources/inbound.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { catalogOf } from './cast.ts'
import { type Choices, choicesOf } from './choices.ts'
import { type Event, type Hint, KINDS, type NewMessage, type Situation } from './events.ts'
import { Crash } from './faults.ts'
import type { Files } from './files.ts'
import { Findings } from './findings.ts'
import { Folder } from './folder.ts'
import { Life, type Over } from './life.ts'
import type { Told } from './messages.ts'
import type { Birth } from './process.ts'
import { mix, Random } from './random.ts'
import type { Served } from './served.ts'

export interface RunResult {
  /** What did not hold. */
  readonly violation: Error | undefined
  readonly trace: readonly string[]
  /** How often what happened. */
  readonly counts: Readonly<Record<string, number>>
}

const CRASH_LIMIT = 4
const BIG_LIMITS = { ...INBOUND_LIMITS, scheduledMax: 20_000, parkedMax: 10_000 }
const SMALL_LIMITS = {
  pageRows: 5,
  skimRows: 8,
  readyMax: 8,
  shareMax: 2,
  asideMax: 12,
  unfinishedMax: 6,
  namelessMax: 2,
  scheduledMax: 4,
  parkedMax: 2,
}
/**
 * What is inserted is due within this, but for what is due in weeks; nor does anything wait longer for its
 * next attempt.
 */
const HORIZON_MS = 600_000
/** A supervisor starts a runtime again after this when it did not start. */
const RESTART_MS = 100
/** Calls that so little time may bring; more time may bring one in each millisecond. */
const CALLS_MAX = 5_000
/**
 * Longer than a process that does not start makes others wait, shorter than a stuck message waits for its
 * retry.
 */
const QUIET_MS = 40_000
/** More than a small runtime has room for. */
const CROWD = 12
/** Without faults, everything ends within this. */
const PATIENCE_MS = 120_000

/** `choices`: in place of what follows from the number. */
export interface Options {
  readonly tracing?: boolean
  readonly choices?: Partial<Choices> | undefined
}

export async function simulate(
  files: Files,
  seed: number,
  events: readonly Event[],
  options: Options = {},
): Promise<RunResult> {
  const simulation = new Simulation(files, seed, options)
  try {
    for (const event of events) await simulation.happen(event)
    await simulation.finish()
  } catch (error) {
    simulation.findings.keep(error)
  } finally {
    simulation.close()
  }
  return simulation
}

class Simulation implements RunResult {
  readonly findings = new Findings()
  readonly trace: string[] = []
  readonly #clock = new FakeClock()
  readonly #random: Random
  readonly #tracing: boolean
  readonly #choices: Choices
  readonly #isLate: boolean
  readonly #counts: Record<string, number> = {}
  readonly #folders: readonly Folder[]
  /** More than one when a folder was taken over from a life that serves another one too, or does not know. */
  readonly #lives = new Set<Life>()
  #catalog = catalogOf(0)
  #lastPid = 100
  /** Wall time; before the clock was set back, if that was later than now. */
  #latestMs = 0
  #calm = false
  #last = false

  constructor(files: Files, seed: number, { tracing = false, choices }: Options) {
    this.#tracing = tracing
    this.#random = new Random(mix(seed, 1))
    this.#choices = { ...choicesOf(seed), ...choices }
    const { stores } = this.#choices
    this.#isLate = stores.some((store) => store !== 'sqlite')
    const all = { clock: this.#clock, findings: this.findings, crashLimit: CRASH_LIMIT }
    this.#folders = stores.map((store, at) => {
      const name = at === 0 ? 'first' : 'second'
      return new Folder({ ...all, name, world: seed + at, files: files.folders[at]!, store })
    })
    for (const folder of this.#folders) this.#start(folder)
  }

  get violation(): Error | undefined {
    return this.findings.violation
  }

  get counts(): Readonly<Record<string, number>> {
    const counts = { ...this.#counts }
    for (const { faults } of this.#folders)
      for (const [what, times] of Object.entries(faults.struck)) counts[what] = (counts[what] ?? 0) + times
    return counts
  }

  async happen(event: Event): Promise<void> {
    this.#say(() => JSON.stringify(event))
    this.#count(event.do)
    await this.#apply(event, this.#folders[event.at ?? 0] ?? this.#folders[0]!)
    if (this.violation) throw this.violation
  }

  /**
   * Faults end, the hosts rest: everything that can end does, and a fresh start finds nothing that it should
   * not.
   */
  async finish(): Promise<void> {
    this.#say(() => 'nothing goes wrong any more')
    this.#calm = true
    for (const folder of this.#folders) this.#heal(folder)
    const aheadMs = Math.max(this.#latestMs, this.#clock.now()) + HORIZON_MS - this.#clock.now()
    this.#jump(aheadMs)
    await this.#until('everything that is due ends', () => this.#unfinished(false).length === 0)
    await this.#until('what the host has ended waits no more', () => this.#waitsInVain().length === 0)
    for (const folder of this.#folders) folder.downMs = 0
    for (const life of this.#lives) life.kill()
    await this.#until('it starts again', () => this.#folders.every(({ life }) => life !== undefined))
    await this.#until('a fresh start ends what waited for it', () => this.#unfinished(true).length === 0)
    await this.#pass(2_000)
    for (const { books } of this.#folders) books.checkAll()
    this.#last = true
    for (const life of this.#lives) life.drain()
    const inPeace = ({ life }: Folder) => life === undefined
    await this.#until('it stops in peace', () => this.#folders.every(inPeace))
    for (const { books } of this.#folders) books.checkAll()
  }

  close(): void {
    this.#last = true
    for (const { host } of this.#folders) host.away(false)
    for (const life of this.#lives) life.kill()
  }

  async #apply(event: Event, folder: Folder): Promise<void> {
    const { host, faults, books } = folder
    const { do: what } = event
    switch (what) {
      case 'pass':
        return this.#pass(event.ms)
      case 'call':
        return this.#pass(1_000, 1)
      case 'until':
        return this.#untilSituation(folder, event.situation)
      case 'hint':
        return this.#hint(folder, 'now')
      case 'insert':
        books.inserted(host.insert(event))
        return this.#hint(folder, event.hint)
      case 'answer':
        books.inserted(host.answer(event, books.waits.questions))
        return this.#hint(folder, event.hint)
      case 'say':
        books.inserted(host.say(event, books.waits.questions))
        return this.#hint(folder, event.hint)
      case 'crowd':
        books.inserted(host.insert({ ...event, do: 'insert', messages: crowdOf(event.plan) }))
        return this.#hint(folder, event.hint)
      case 'quiet':
        return this.#quiet(folder, event.other ?? 'rests')
      case 'replace':
        for (const each of this.#folders) if (each.life === folder.life) each.downMs = event.downMs
        folder.life?.kill()
        return books.inserted(host.replace(event))
      case 'swap':
        host.away(true)
        return faults.swap(event.goneMs, () => books.inserted(host.replace(event)))
      case 'sync':
        host.sync(event)
        return this.#hint(folder, event.hint)
      case 'unclaim':
        return this.#sayWhich(host.unclaim(event))
      case 'crash':
        folder.downMs = event.downMs
        return faults.crashIn(event.afterEffects, event.before)
      case 'stop':
        folder.downMs = event.downMs
        return folder.life?.drain()
      case 'leave':
        return this.#leave(folder, event.downMs)
      case 'take-over':
        return this.#takeOver(folder)
      case 'busy-reads':
        return faults.busyReads(event.after, event.times)
      case 'busy-commits':
        return faults.busyCommits(event.times)
      case 'failing-commits':
        return faults.failingCommits(event.times)
      case 'unanswered-commits':
        return faults.unansweredCommits(event.times)
      case 'slow-commit':
        return faults.slowCommit(event.writeMs, event.answerMs)
      case 'odd-pages':
        return faults.oddPages(event.how, event.times)
      case 'unreadable':
        faults.unreadable(event.how, event.ms)
        return host.away(faults.gone)
      case 'full':
        return faults.full(event.ms, event.atStatement)
      case 'jump':
        return this.#jump(event.ms)
      case 'freeze':
        return this.#clock.sleep(event.ms)
      case 'reload':
        this.#catalog = catalogOf(event.version)
        for (const life of this.#lives) life.reload(this.#catalog)
        return
      default: {
        const changed = host.change(event)
        if (changed) this.#sayWhich([changed])
        return this.#hint(folder, event.hint)
      }
    }
  }

  #heal({ faults, host, life }: Folder): void {
    if (faults.isSwapUnseen) life?.kill()
    faults.end()
    host.away(false)
  }

  #jump(ms: number): void {
    this.#latestMs = Math.max(this.#latestMs, this.#clock.now())
    for (const { books } of this.#folders) books.jumps(ms)
    this.#clock.jump(ms)
  }

  /** Whatever the other folder does, this one goes on. */
  async #quiet(folder: Folder, otherDoes: 'rests' | 'unreadable' | 'full' | 'failing'): Promise<void> {
    const served = folder.life?.served(folder)
    if (!served || folder.life?.isDraining || served.drained !== 'not') return
    for (const other of this.#folders) {
      this.#heal(other)
      if (other === folder || otherDoes === 'rests') continue
      this.#count(`quiet, the other folder is ${otherDoes}`)
      if (otherDoes === 'unreadable') other.faults.unreadable('gone', QUIET_MS)
      if (otherDoes === 'full') other.faults.full(QUIET_MS, 0)
      if (otherDoes === 'failing') other.faults.failingCommits(20)
    }
    this.#calm = true
    await this.#pass(QUIET_MS)
    this.#calm = false
    folder.books.checkOthersGoOn(this.#choices.small ? SMALL_LIMITS : BIG_LIMITS)
  }

  async #untilSituation(folder: Folder, situation: Situation): Promise<void> {
    for (let n = 0; n < CALLS_MAX; n++) {
      const served = folder.life?.served(folder)
      if (served && holds(situation, served)) return
      if (situation === 'suspended' && folder.books.waits.isAnyoneWaiting(folder.host.messages.values()))
        return
      await this.#pass(1_000, 1)
    }
    folder.books.fail(`it does not come to this: ${situation}`)
  }

  /** Lets time pass, and things happen in it; at most so many. */
  async #pass(ms: number, calls = Number.POSITIVE_INFINITY): Promise<void> {
    const untilMs = this.#clock.monotonic() + ms
    for (let n = 0; n < calls; n++) {
      for (const { host, faults } of this.#folders) host.away(faults.gone)
      const stepped = this.#clock.step(untilMs - this.#clock.monotonic())
      if (this.#isLate) for (let n = 0; n < 12; n++) await undefined
      for (const life of this.#lives) life.checkQueues()
      if (!stepped) return
      const most = Math.max(CALLS_MAX, ms)
      if (n === most) this.findings.fail(`spins: more than ${most} calls within ${ms} ms`)
      if (this.violation) throw this.violation
      await this.#stopping()
    }
  }

  /** A stop goes on in promises; when it is through, the next life begins after a while. */
  async #stopping(): Promise<void> {
    const isDraining = [...this.#lives].some((life) => life.all.some(({ drained }) => drained !== 'not'))
    if (!isDraining) return
    for (let n = 0; n < 6; n++) await undefined
    for (const life of this.#lives) life.close()
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    let untilMs = this.#clock.monotonic() + PATIENCE_MS
    while (!holds()) {
      // One pause may follow another.
      untilMs = Math.max(untilMs, ...this.#folders.map(({ books }) => books.pausesUntilMs + PATIENCE_MS))
      if (this.#clock.monotonic() > untilMs) {
        const left = [...this.#unfinished(true), ...this.#waitsInVain()].map(
          ({ id, seq, ack }) => `${id} (seq ${seq}, ack ${ack})`,
        )
        this.findings.fail(
          `without any fault, ${what}; after ${PATIENCE_MS} ms this had not: [${left.join('; ')}]`,
        )
      }
      await this.#pass(100)
    }
  }

  #waitsInVain(): Told[] {
    const nowMs = this.#clock.now()
    return this.#folders.flatMap(({ books, host }) => books.waits.inVain(host.messages.values(), nowMs))
  }

  #unfinished(onWakeToo: boolean): Told[] {
    const kinds = new Set(KINDS.filter((kind) => this.#catalog.get(kind)))
    return this.#folders.flatMap(({ books }) => [...books.unfinished(this.#clock.now(), onWakeToo, kinds)])
  }

  /** In a life that is up and serves another folder, or in a new one. */
  #start(folder: Folder): void {
    folder.isStarting = false
    const up = [...this.#lives].find((life) => life.mayServe(folder))
    if (!this.#tryToServe(folder, up ?? this.#newLife())) this.#comeBack(folder, RESTART_MS)
  }

  #newLife(): Life {
    return new Life(
      {
        clock: this.#clock,
        random: this.#random,
        limits: this.#choices.small ? SMALL_LIMITS : BIG_LIMITS,
        pollMs: this.#choices.pollMs,
        retentionMs: this.#choices.retentionMs,
        crashLimit: CRASH_LIMIT,
        nextPid: () => ++this.#lastPid,
        birth: () => this.#birth(),
        delayMs: () => this.#delayMs(),
        say: (text) => this.#say(text),
        isCalm: () => this.#calm,
        over: (folder, life, why) => this.#over(folder, life, why),
      },
      this.#catalog,
    )
  }

  #tryToServe(folder: Folder, life: Life): boolean {
    try {
      const served = life.open(folder)
      this.#lives.add(life)
      folder.life = life
      served.start()
      return true
    } catch (error) {
      const planned = error instanceof Crash || (error instanceof Error && 'code' in error)
      if (this.violation || !planned) throw error
      this.#count('start that failed')
      this.#say(() => `the ${folder.name} folder is not served: ${error}`)
      if (error instanceof Crash) life.kill()
      return false
    }
  }

  #over(folder: Folder, life: Life, why: Over): void {
    this.#count(why === 'left' ? `stopped ${life.served(folder)?.drained ?? 'with others'}` : why)
    if (!life.alive) this.#lives.delete(life)
    if (why === 'taken-down') folder.downMs = RESTART_MS
    if (folder.life === life) this.#comeBack(folder)
  }

  #comeBack(folder: Folder, afterMs = folder.downMs): void {
    folder.life = undefined
    if (folder.isStarting || this.#last) return
    folder.isStarting = true
    this.#clock.after(afterMs, () => this.#start(folder))
  }

  #leave(folder: Folder, downMs: number): void {
    const { life } = folder
    const served = life?.served(folder)
    if (!life || !served || life.isDraining || this.#folders.length === 1) return
    folder.downMs = downMs
    life.leave(folder, served)
  }

  #takeOver(folder: Folder): void {
    const served = folder.life?.served(folder)
    if (!served || folder.life?.isDraining || served.drained !== 'not') return
    const before = folder.life
    if (!this.#tryToServe(folder, this.#newLife())) folder.life = before
  }

  #hint(folder: Folder, hint: Hint): void {
    const look = () => folder.life?.served(folder)?.look()
    if (hint === 'now') this.#clock.soon(look)
    if (hint === 'late') for (const delayMs of [3, 40]) this.#clock.after(delayMs, look)
  }

  #birth(): Birth {
    const { loads, afterMs } = { loads: this.#random.next(), afterMs: 2 + this.#random.int(60) }
    if (this.#calm || loads < 0.94) return { loads: 'well', afterMs }
    return { loads: this.#random.pick(['not', 'never', 'dies'] as const), afterMs }
  }

  #delayMs(): number {
    const slow = this.#random.next() < 0.05
    return this.#random.next() * (slow ? 60 : 0.4)
  }

  #sayWhich(messages: readonly Told[]): void {
    this.#say(() => `  of ${messages.map(({ id }) => id)}`)
  }

  #count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1
  }

  #say(text: () => string): void {
    if (this.#tracing) this.trace.push(`${this.#clock.monotonic().toFixed(2).padStart(10)}  ${text()}`)
  }
}

function holds(situation: Situation, served: Served): boolean {
  const { underWay } = served
  const about = (of: 'claims' | 'results' | 'answers', state: 'asked' | 'written') =>
    underWay !== undefined && underWay.state === state && underWay.batch[of].length > 0
  switch (situation) {
    case 'claims-asked':
      return about('claims', 'asked')
    case 'claims-written':
      return about('claims', 'written')
    case 'ends-asked':
      return about('results', 'asked')
    case 'ends-written':
      return about('results', 'written')
    case 'answers-asked':
      return about('answers', 'asked')
    case 'answers-written':
      return about('answers', 'written')
    case 'suspended':
      return false
    case 'idle':
      return !underWay && BUSY.every((state) => served.count(state) === 0)
    default:
      return served.count(situation) > 0
  }
}

const BUSY = ['ready', 'claiming', 'running', 'finishing', 'rereading'] as const

function crowdOf(plan: number): NewMessage[] {
  return Array.from({ length: CROWD }, (_, n) => ({
    plan: plan + n,
    kind: n < CROWD - 1 ? 'stuck' : 'free',
    address: n % 4,
    due: 'now',
    odd: 'no',
  }))
}
