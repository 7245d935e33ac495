// One workspace and those who work on it: host, runtime, checker. A round is one life of the runtime: the host writes, the
// runtime starts and works, something befalls it, it is killed, the checker looks. The folder is kept over the rounds, so
// history grows. What a round finds broken, it returns; a round that does not go as planned throws Unplanned.
import { cpSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Report } from './checker.ts'
import { befall, mountTinyDisk } from './nemesis.ts'
import { Peer } from './peer.ts'
import type { Round } from './plan.ts'
import { processesOf, sizeOf } from './processes.ts'
import { Random } from './random.ts'
import { RuntimeProcess } from './runtime-process.ts'
import { add, type Tally } from './tally.ts'
import { changesOf, isHot, lookAt } from './untouched.ts'
import type { Violation } from './violation.ts'
import { type Message, makeMessages, POISON } from './workload.ts'

export interface LaneParts {
  readonly name: string
  /** Everything of this lane lies here. */
  readonly folder: string
  /** Where the programs of the peers lie. */
  readonly peers: string
  /** dist/cli/main.js of the build that is tested. */
  readonly command: string
  /** Undefined: the workspace lies on the disk that `folder` is on. */
  readonly tinyDiskMb: number | undefined
  readonly tally: Tally
}

const WORK = fileURLToPath(new URL('../fixtures/soak/work.ts', import.meta.url))
/** Of one lane; with two of them, all is looked at every 25 kills or so. */
const FULL_CHECK_KILLS = 12
/** Beyond it no more is written than keeps the runtime busy: what is not done now must be done in the end. */
const BACKLOG_MAX = 150
const FEW = 5
/** A step of a round is over by then. */
const STEP_MS = 20_000
/** A runtime that has nothing to do for so long gets more. */
const FEED_MS = 500
/** The longest pause after a death is a minute. */
const DRAIN_MS = 180_000
const DRAIN_LOOK_MS = 100
const ORPHANS_MS = 1_000
const MEMORY_MAX_MB = 400
const DESCRIPTORS_MAX = 200

/** A round did not go as planned, in a way that no invariant names. */
export class Unplanned extends Error {}

export class Lane {
  readonly #parts: LaneParts
  readonly #project: string
  readonly workspace: string
  readonly trace: string
  readonly #checker: Peer
  readonly #unmount: (() => void) | undefined
  #host: Peer | undefined
  /** Goes up with each call that lets the host write. */
  #writes = 0
  #runtime: RuntimeProcess | undefined
  #poisoned = false
  #kills = 0
  #wholeAtKills = 0
  #backlog = 0
  readonly #reported = new Map<string, number>()

  constructor(parts: LaneParts) {
    this.#parts = parts
    this.#project = join(parts.folder, 'project')
    this.workspace = join(parts.folder, 'workspace')
    this.trace = join(parts.folder, 'trace')
    mkdirSync(join(this.#project, 'functions'), { recursive: true })
    mkdirSync(this.workspace)
    cpSync(WORK, join(this.#project, 'functions', 'work.ts'))
    writeFileSync(this.trace, '')
    this.#unmount =
      parts.tinyDiskMb === undefined ? undefined : mountTinyDisk(this.workspace, parts.tinyDiskMb)
    this.#checker = new Peer(parts.peers, 'checker', this.workspace, this.trace, parts.name)
    this.#host = this.#startHost()
  }

  get name(): string {
    return this.#parts.name
  }

  get onTinyDisk(): boolean {
    return this.#unmount !== undefined
  }

  /** The last words of the last runtime. */
  get log(): string {
    return this.#runtime?.log ?? ''
  }

  async play(round: Round): Promise<Violation[]> {
    const { tally } = this.#parts
    const random = new Random(round.seed)
    const hostWasDead = this.#host === undefined
    if (!hostWasDead) await this.#write(round.messages, random)
    const writes = this.#writes
    const before = lookAt(this.workspace, round.n)
    const startMs = performance.now()
    const { kill } = round
    const traced = statSync(this.trace).size
    const runtime = this.#start(round.n, kill.type === 'point' ? `${kill.point}:${kill.nth}` : undefined)
    await runtime.until(() => runtime.started || (hostWasDead && runtime.waited), STEP_MS)
    if (runtime.started) tally.startMs.push(performance.now() - startMs)
    if (hostWasDead) {
      await runtime.until(() => runtime.waited, FEED_MS)
      this.#host = this.#startHost()
      await this.#write(round.messages, random)
    }
    const nemesis = this.#befall(round, runtime)
    const working = () => statSync(this.trace).size > traced
    if (kill.type === 'point') await this.#dieAt(round, runtime, random, working, nemesis)
    else await this.#killAt(kill.afterMs, round, runtime, random, working, nemesis)
    await nemesis
    this.#kills++
    const touched =
      !hostWasDead && this.#writes === writes ? changesOf(before, lookAt(this.workspace, round.n)) : []
    const report = await this.#check(round.n, runtime.started)
    this.#backlog = report.messages - report.ended
    return [...report.violations, ...touched, ...this.#hearFailures(runtime)]
  }

  /** Faults off: everything ends, and the runtime stops as it is told. */
  async drain(round: number): Promise<Violation[]> {
    this.#host ??= this.#startHost()
    await this.#write(FEW, new Random(round))
    const { failed } = await this.#ask('full', 0, false)
    const startMs = performance.now()
    const runtime = this.#start(round, undefined)
    let report = await this.#ask('cheap', 0, false)
    while (report.ended < report.messages && performance.now() - startMs < DRAIN_MS && !runtime.ended) {
      await setTimeout(DRAIN_LOOK_MS)
      const { violations } = report
      report = await this.#ask('cheap', 0, false)
      report = { ...report, violations: [...violations, ...report.violations] }
    }
    const drainMs = performance.now() - startMs
    runtime.signal('SIGTERM')
    const { code, signal } = await this.#exitOf(runtime, 'stop')
    const end = await this.#orphansGone().then(() => this.#ask('end', round + 1, false))
    this.#parts.tally.ends.push({ ...end, drainMs })
    const newlyFailed = end.failed.filter((id) => !failed.includes(id))
    const unheard = newlyFailed.filter((id) => !runtime.failures.includes(id))
    return [
      ...report.violations,
      ...end.violations,
      ...this.#hearFailures(runtime),
      ...unheard.map((id) => ({ invariant: 'I11', text: `${id} failed without a log line` }) as const),
      ...(code === 0
        ? []
        : [{ invariant: 'I11', text: `told to stop, the runtime ended with ${signal ?? code}` } as const]),
    ]
  }

  async close(): Promise<void> {
    this.#runtime?.signal('SIGKILL')
    await this.#runtime?.exit
    await this.#host?.kill()
    await this.#checker.kill()
    this.#unmount?.()
  }

  /** The runtime kills itself; it gets work until it does. */
  async #dieAt(
    { kill }: Round,
    runtime: RuntimeProcess,
    random: Random,
    working: () => boolean,
    nemesis: Promise<void>,
  ): Promise<void> {
    if (kill.type !== 'point') return
    if (kill.point === 'in-shutdown') {
      await this.#untilWorking(runtime, random, working, nemesis)
      await setTimeout(random.int(0, 30))
      runtime.signal('SIGTERM')
    } else if (kill.point !== 'in-recovery') {
      const endMs = performance.now() + STEP_MS
      while (!runtime.ended && performance.now() < endMs) {
        await runtime.until(() => false, FEED_MS)
        await nemesis
        if (!runtime.ended) await this.#write(FEW, random)
      }
    }
    await this.#exitOf(runtime, `come to ${kill.point}:${kill.nth}`)
    if (runtime.ended?.signal !== 'SIGKILL')
      throw unplanned(runtime, `before it came to ${kill.point}:${kill.nth}`)
    add(this.#parts.tally.hits, kill.point)
  }

  async #killAt(
    afterMs: number,
    { hostDies }: Round,
    runtime: RuntimeProcess,
    random: Random,
    working: () => boolean,
    nemesis: Promise<void>,
  ): Promise<void> {
    const { tally } = this.#parts
    await this.#untilWorking(runtime, random, working, nemesis)
    if (hostDies !== 'no') {
      await this.#killHost()
      if (hostDies === 'healed first') {
        this.#host = this.#startHost()
        await this.#write(FEW, random)
      }
    }
    await setTimeout(afterMs)
    const size = sizeOf(runtime.pid)
    if (runtime.ended) throw unplanned(runtime, 'before it was killed')
    runtime.signal('SIGKILL')
    await runtime.exit
    tally.timed++
    if (size && (size.megabytes > MEMORY_MAX_MB || size.descriptors > DESCRIPTORS_MAX)) {
      const text = `the runtime has ${Math.round(size.megabytes)} MB and ${size.descriptors} descriptors`
      throw new Unplanned(`I9 ${text}; expected ${MEMORY_MAX_MB} and ${DESCRIPTORS_MAX} at most`)
    }
  }

  async #untilWorking(
    runtime: RuntimeProcess,
    random: Random,
    working: () => boolean,
    nemesis: Promise<void>,
  ): Promise<void> {
    const endMs = performance.now() + STEP_MS
    let fedMs = performance.now()
    while (!working()) {
      if (runtime.ended) throw unplanned(runtime, 'before it began to work')
      if (performance.now() > endMs) throw new Unplanned(`nothing has run for ${STEP_MS} ms: ${runtime.log}`)
      if (performance.now() > fedMs + FEED_MS) {
        await nemesis
        await this.#write(FEW, random)
        fedMs = performance.now()
      }
      await setTimeout(1)
    }
  }

  async #exitOf(
    runtime: RuntimeProcess,
    what: string,
  ): Promise<{ code: number | null; signal: string | null }> {
    const ended = await Promise.race([runtime.exit, setTimeout(STEP_MS)])
    if (ended) return ended
    runtime.signal('SIGKILL')
    throw new Unplanned(`the runtime did not ${what} within ${STEP_MS} ms: ${runtime.log}`)
  }

  async #killHost(): Promise<void> {
    const { tally } = this.#parts
    this.#writes++
    await this.#host?.call('spill')
    await this.#host?.kill()
    this.#host = undefined
    tally.timed++
    tally.hostKills++
    if (isHot(join(this.workspace, 'inbound.db'))) tally.hotInbound++
  }

  /** Never on a disk that is not ours alone, and nothing that needs the host when the host is to die. */
  #befall({ nemesis, nemesisMs, hostDies }: Round, runtime: RuntimeProcess): Promise<void> {
    const needsHost = nemesis === 'lock' || nemesis === 'rename'
    if (
      nemesis === undefined ||
      (needsHost && hostDies !== 'no') ||
      (nemesis === 'full disk' && !this.onTinyDisk)
    )
      return Promise.resolve()
    if (runtime.ended) return Promise.resolve()
    add(this.#parts.tally.nemeses, nemesis)
    return befall(nemesis, nemesisMs, { runtime, host: this.#host, workspace: this.workspace })
  }

  async #write(count: number, random: Random): Promise<void> {
    this.#writes++
    const messages: Message[] = makeMessages(this.#backlog > BACKLOG_MAX ? FEW : count, Date.now(), random)
    if (!this.#poisoned) messages.push(POISON)
    this.#poisoned = true
    await this.#host?.call('enqueue', { messages, perCommit: random.int(1, messages.length) })
    if (random.chance(0.2)) await this.#host?.call('sync')
  }

  async #check(round: number, started: boolean): Promise<Report> {
    const { tally } = this.#parts
    const whole = this.#kills - this.#wholeAtKills >= FULL_CHECK_KILLS
    if (whole) this.#wholeAtKills = this.#kills
    tally[whole ? 'fullChecks' : 'cheapChecks']++
    const report = await this.#ask(whole ? 'full' : 'cheap', round, started)
    if (report.hot.outbound) tally.hotOutbound++
    return report
  }

  #ask(depth: 'cheap' | 'full' | 'end', round: number, started: boolean): Promise<Report> {
    return this.#checker.call(depth, { round, started })
  }

  /** Each failure is told once, whatever dies. */
  #hearFailures({ failures }: RuntimeProcess): Violation[] {
    for (const id of failures) add(this.#reported, id)
    return failures
      .filter((id) => (this.#reported.get(id) ?? 0) > 1)
      .map((id) => ({ invariant: 'I11', text: `${id} was reported as failed more than once` }))
  }

  async #orphansGone(): Promise<void> {
    const endMs = performance.now() + ORPHANS_MS
    while (processesOf(this.name).length > 0 && performance.now() < endMs) await setTimeout(10)
  }

  #start(round: number, crashAt: string | undefined): RuntimeProcess {
    const { command, name } = this.#parts
    const { workspace, trace } = this
    this.#runtime = new RuntimeProcess({
      command,
      project: this.#project,
      workspace,
      lane: name,
      trace,
      round,
      crashAt,
    })
    return this.#runtime
  }

  #startHost(): Peer {
    const file = (name: string) => join(this.workspace, name)
    return new Peer(this.#parts.peers, 'host', file('inbound.db'), file('outbound.db'), `${this.name}-`)
  }
}

function unplanned({ ended, log }: RuntimeProcess, when: string): Unplanned {
  return new Unplanned(`the runtime ended (${ended?.signal ?? `code ${ended?.code}`}) ${when}: ${log}`)
}
