// One run: a world, made from a number, in which a list of events happens to a runtime, one after the other; then nothing
// goes wrong any more, and everything that is due has to come to its end. The same number and events give the same run.
import { INBOUND_LIMITS } from '../../runtime/sources/inbound.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Books } from './books.ts'
import { catalogOf } from './cast.ts'
import { type Event, type Hint, KINDS, type NewMessage } from './events.ts'
import { Crash, Faults } from './faults.ts'
import type { Files } from './files.ts'
import { Host } from './host.ts'
import { Life } from './life.ts'
import type { Told } from './messages.ts'
import type { Birth } from './process.ts'
import { mix, Random } from './random.ts'

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
/** What is inserted is due within this, but for what is due in weeks; nor does anything wait longer for its next attempt. */
const HORIZON_MS = 600_000
/** Whoever watches over a runtime that does not start tries again after this. */
const RESTART_MS = 100
/** Calls that so little time may bring. */
const CALLS_MAX = 5_000
/** Longer than a process that does not start makes others wait, shorter than a stuck message waits for its retry. */
const QUIET_MS = 40_000
/** More than a small runtime has room for. */
const CROWD = 12
/** Without faults, everything ends within this. */
const PATIENCE_MS = 120_000

export async function simulate(
  files: Files,
  seed: number,
  events: readonly Event[],
  tracing = false,
): Promise<RunResult> {
  const simulation = new Simulation(files, seed, tracing)
  try {
    for (const event of events) await simulation.happen(event)
    await simulation.finish()
  } catch (error) {
    simulation.books.keep(error)
  } finally {
    simulation.close()
  }
  return simulation
}

class Simulation implements RunResult {
  readonly books: Books
  readonly trace: string[] = []
  readonly #clock = new FakeClock()
  readonly #faults = new Faults(this.#clock)
  readonly #files: Files
  readonly #host: Host
  readonly #random: Random
  readonly #tracing: boolean
  readonly #small: boolean
  readonly #lateCommits: boolean
  readonly #pollMs: number
  readonly #counts: Record<string, number> = {}
  #catalog = catalogOf(0)
  #life: Life | undefined
  /** Lives that were replaced and do not know. */
  readonly #others = new Set<Life>()
  readonly #lock = { stoppedEpoch: 0 }
  #lastPid = 100
  #downMs = 0
  /** Wall time; before the clock was set back, if that was later than now. */
  #latestMs = 0
  #starting = false
  #calm = false
  #last = false

  constructor(files: Files, seed: number, tracing: boolean) {
    this.#tracing = tracing
    this.#files = files
    files.empty(seed, this.#faults)
    this.#random = new Random(mix(seed, 1))
    this.#small = mix(seed, 2) % 2 === 0
    this.#lateCommits = mix(seed, 5) % 3 === 0
    this.#pollMs = [100, 250, 1_000][mix(seed, 3) % 3]!
    const nowMs = () => this.#clock.now()
    this.#host = new Host(files, nowMs)
    this.books = new Books(this.#host.messages, {
      outbound: files.outbound,
      clock: this.#clock,
      crashLimit: CRASH_LIMIT,
      lateCommits: this.#lateCommits,
    })
    this.#start()
  }

  get violation(): Error | undefined {
    return this.books.violation
  }

  get counts(): Readonly<Record<string, number>> {
    return { ...this.#counts, ...this.#faults.struck }
  }

  async happen(event: Event): Promise<void> {
    this.#say(() => JSON.stringify(event))
    this.#count(event.do)
    await this.#apply(event)
    if (this.books.violation) throw this.books.violation
  }

  /** Faults end, the host rests: everything that can end does, and a fresh start finds nothing that it should not. */
  async finish(): Promise<void> {
    this.#say(() => 'nothing goes wrong any more')
    this.#faults.end()
    this.#calm = true
    this.#host.away(false)
    const aheadMs = Math.max(this.#latestMs, this.#clock.now()) + HORIZON_MS - this.#clock.now()
    this.#jump(aheadMs)
    await this.#until('everything that is due ends', () => this.#unfinished(false).length === 0)
    this.#downMs = 0
    this.#life?.kill()
    await this.#until('it starts again', () => this.#life !== undefined)
    await this.#until('a fresh start ends what waited for it', () => this.#unfinished(true).length === 0)
    await this.#pass(2_000)
    this.books.checkAll()
    this.#last = true
    this.#life?.drain()
    await this.#until('it stops in peace', () => this.#life?.drained === 'in-peace')
    this.books.checkAll()
  }

  close(): void {
    this.#host.away(false)
    for (const life of [...this.#others, this.#life]) life?.kill()
  }

  async #apply(event: Event): Promise<void> {
    const { do: what } = event
    switch (what) {
      case 'pass':
        return this.#pass(event.ms)
      case 'call':
        return this.#pass(1_000, 1)
      case 'hint':
        return this.#hint('now')
      case 'insert':
        this.books.inserted(this.#host.insert(event))
        return this.#hint(event.hint)
      case 'crowd':
        this.books.inserted(this.#host.insert({ ...event, do: 'insert', messages: crowdOf(event.plan) }))
        return this.#hint(event.hint)
      case 'quiet':
        return this.#quiet()
      case 'replace':
        this.#downMs = event.downMs
        this.#life?.kill()
        return this.books.inserted(this.#host.replace(event))
      case 'sync':
        this.#host.sync(event)
        return this.#hint(event.hint)
      case 'unclaim':
        return this.#sayWhich(this.#host.unclaim(event))
      case 'crash':
        this.#downMs = event.downMs
        return this.#faults.crashIn(event.afterEffects)
      case 'stop':
        this.#downMs = event.downMs
        return this.#life?.drain()
      case 'take-over':
        return this.#takeOver()
      case 'busy-reads':
        return this.#faults.busyReads(event.after, event.times)
      case 'busy-commits':
        return this.#faults.busyCommits(event.times)
      case 'unreadable':
        this.#faults.unreadable(event.how, event.ms)
        return this.#host.away(this.#faults.gone)
      case 'full':
        return this.#faults.full(event.ms, event.atStatement)
      case 'jump':
        return this.#jump(event.ms)
      case 'freeze':
        return this.#clock.sleep(event.ms)
      case 'reload':
        this.#catalog = catalogOf(event.version)
        return this.#life?.reload(this.#catalog)
      default: {
        const changed = this.#host.change(event)
        if (changed) this.#sayWhich([changed])
        return this.#hint(event.hint)
      }
    }
  }

  #jump(ms: number): void {
    this.#latestMs = Math.max(this.#latestMs, this.#clock.now())
    this.books.jumps(ms)
    this.#clock.jump(ms)
  }

  async #quiet(): Promise<void> {
    if (this.#life?.drained !== 'not') return
    this.#faults.end()
    this.#host.away(false)
    this.#calm = true
    await this.#pass(QUIET_MS)
    this.#calm = false
    this.books.checkOthersGoOn(this.#small ? SMALL_LIMITS : BIG_LIMITS)
  }

  /** Lets time pass, and things happen in it; at most so many. */
  async #pass(ms: number, calls = Number.POSITIVE_INFINITY): Promise<void> {
    const untilMs = this.#clock.monotonic() + ms
    for (let n = 0; n < calls; n++) {
      this.#host.away(this.#faults.gone)
      const stepped = this.#clock.step(untilMs - this.#clock.monotonic())
      if (this.#lateCommits) for (let n = 0; n < 6; n++) await undefined
      this.#life?.checkQueue()
      if (!stepped) return
      if (n === CALLS_MAX) this.books.fail(`spins: more than ${CALLS_MAX} calls within ${ms} ms`)
      if (this.books.violation) throw this.books.violation
      await this.#stopping()
    }
  }

  /** A stop goes on in promises; when it is through, the next life begins after a while. */
  async #stopping(): Promise<void> {
    if (this.#life?.drained === 'draining') for (let n = 0; n < 4; n++) await undefined
    const drained = this.#life?.drained
    if (drained !== 'in-peace' && drained !== 'late') return
    this.#count(`stopped ${drained}`)
    if (!this.#last) this.#comeBack()
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    let untilMs = this.#clock.monotonic() + PATIENCE_MS
    while (!holds()) {
      // One pause may follow another.
      untilMs = Math.max(untilMs, this.books.pausesUntilMs + PATIENCE_MS)
      if (this.#clock.monotonic() > untilMs) {
        const left = this.#unfinished(true).map(({ id, seq, ack }) => `${id} (seq ${seq}, ack ${ack})`)
        this.books.fail(
          `without any fault, ${what}; after ${PATIENCE_MS} ms this had not: [${left.join('; ')}]`,
        )
      }
      await this.#pass(100)
    }
  }

  #unfinished(onWakeToo: boolean): Told[] {
    const kinds = new Set(KINDS.filter((kind) => this.#catalog.get(kind)))
    return [...this.books.unfinished(this.#clock.now(), onWakeToo, kinds)]
  }

  #start(): void {
    this.#starting = false
    const life = this.#tryToLive()
    if (!life) return this.#comeBack(RESTART_MS)
    this.#life = life
    life.start()
  }

  #tryToLive(): Life | undefined {
    try {
      return new Life(
        {
          clock: this.#clock,
          faults: this.#faults,
          books: this.books,
          outbound: this.#files.outbound,
          messages: this.#host.messages,
          inboundPath: this.#files.inbound.name,
          random: this.#random,
          limits: this.#small ? SMALL_LIMITS : BIG_LIMITS,
          pollMs: this.#pollMs,
          lateCommits: this.#lateCommits,
          crashLimit: CRASH_LIMIT,
          lock: this.#lock,
          nextPid: () => ++this.#lastPid,
          birth: () => this.#birth(),
          delayMs: () => this.#delayMs(),
          say: (text) => this.#say(text),
          over: (life, why) => this.#over(life, why),
        },
        this.#catalog,
      )
    } catch (error) {
      const planned = error instanceof Crash || (error instanceof Error && 'code' in error)
      if (this.books.violation || !planned) throw error
      this.#count('start that failed')
      this.#say(() => `does not start: ${error}`)
      return undefined
    }
  }

  #over(life: Life, why: 'crash' | 'fenced'): void {
    this.#count(why)
    this.#others.delete(life)
    if (life === this.#life) this.#comeBack()
  }

  #comeBack(afterMs = this.#downMs): void {
    this.#life = undefined
    if (this.#starting) return
    this.#starting = true
    this.#clock.after(afterMs, () => this.#start())
  }

  #takeOver(): void {
    if (this.#life?.drained !== 'not') return
    const life = this.#tryToLive()
    if (!life) return
    this.#others.add(this.#life)
    this.#life = life
    life.start()
  }

  #hint(hint: Hint): void {
    const look = () => this.#life?.look()
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

function crowdOf(plan: number): NewMessage[] {
  return Array.from({ length: CROWD }, (_, n) => ({
    plan: plan + n,
    kind: n < CROWD - 1 ? 'stuck' : 'free',
    address: n % 4,
    due: 'now',
    odd: 'no',
  }))
}
