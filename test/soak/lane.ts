// One workspace and its processes: host, runtime, checker. A round is one life of the runtime: the
// host writes, the runtime starts and works, a fault hits it, it is killed, the checker reads both files. The
// folder is kept over the rounds, so history grows. What a round finds broken, it returns; a round that does
// not go as planned throws Unplanned.
import { cpSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Report } from './checker.ts'
import { type CrashPoint, isWaitPoint } from './failpoints.ts'
import { befall, mountTinyDisk } from './nemesis.ts'
import { Peer } from './peer.ts'
import type { Round } from './plan.ts'
import { processesOf, sizeOf } from './processes.ts'
import { Random } from './random.ts'
import { type Exit, RuntimeProcess } from './runtime-process.ts'
import { add, type Tally } from './tally.ts'
import { changesOf, isHot, lookAt } from './untouched.ts'
import type { Violation } from './violation.ts'
import { type Message, makeMessages, makeWaits, POISON } from './workload.ts'

export interface LaneParts {
  readonly name: string
  /** Everything of this lane lies here; it is there and empty. */
  readonly folder: string
  /** Where the programs of the peers lie. */
  readonly peers: string
  /** The entry of the build that is tested. */
  readonly command: string
  /** Undefined: the workspace lies on the disk that `folder` is on. */
  readonly tinyDiskMb: number | undefined
  readonly tally: Tally
}

const FUNCTIONS = fileURLToPath(new URL('../fixtures/soak', import.meta.url))
/** Of one lane; with two of them, all is looked at every 25 kills or so. */
const WHOLE_CHECK_ROUNDS = 10
/** Beyond it no more is written than keeps the runtime busy: what is not done now must be done in the end. */
const BACKLOG_MAX = 150
const FEW = 5
/** A step of a round is over by then. */
const STEP_MS = 30_000
/** A runtime that has nothing to do for so long gets more. */
const FEED_MS = 500
/** So often the host looks for questions while a round waits for a point. */
const ANSWER_MS = 40
/** Of the rounds. */
const ANSWERS_WHILE_DOWN = 0.5
const TRACE_LOOK_MS = 2
const COMMIT_WAIT_MS = 15
/**
 * A message that was in many deaths waits for up to a minute; when nothing has ended for so long, nothing
 * will.
 */
const DRAIN_STALL_MS = 150_000
const DRAIN_LOOK_MS = 100
const ORPHANS_MS = 1_000
const MEMORY_MAX_MB = 400
const DESCRIPTORS_MAX = 200

/** A round did not go as planned, in a way that no invariant names. */
export class Unplanned extends Error {}

/** A round while it is played. */
interface Scene {
  readonly round: Round
  readonly runtime: RuntimeProcess
  readonly random: Random
  /** How long the trace was before the runtime was started. */
  readonly traced: number
  /** What befalls the runtime; resolves when it is over. */
  readonly nemesis: Promise<void>
}

export class Lane {
  readonly #parts: LaneParts
  readonly #project: string
  readonly workspace: string
  readonly trace: string
  #unmount: (() => void) | undefined
  readonly #checker: Peer
  #host: Peer | undefined
  /** Goes up with each call that lets the host write. */
  #writes = 0
  #runtime: RuntimeProcess | undefined
  #rounds = 0
  #backlog = 0
  readonly #reported = new Map<string, number>()

  constructor(parts: LaneParts) {
    this.#parts = parts
    this.#project = join(parts.folder, 'project')
    this.workspace = join(parts.folder, 'workspace')
    this.trace = join(parts.folder, 'trace')
    mkdirSync(this.#project)
    mkdirSync(this.workspace)
    cpSync(FUNCTIONS, join(this.#project, 'functions'), { recursive: true })
    writeFileSync(this.trace, '')
    if (parts.tinyDiskMb !== undefined) this.#unmount = mountTinyDisk(this.workspace, parts.tinyDiskMb)
    this.#checker = new Peer(parts.peers, 'checker', this.workspace, this.trace, this.#mark)
    this.#host = this.#startHost()
  }

  get name(): string {
    return this.#parts.name
  }

  get onTinyDisk(): boolean {
    return this.#unmount !== undefined
  }

  /** Pid of the last runtime. */
  get life(): number | undefined {
    return this.#runtime?.pid
  }

  /** The last words of the last runtime. */
  get log(): string {
    return this.#runtime?.log ?? ''
  }

  /** A message that brings its process down each time: it fails in the end, and others do not. */
  async poison(): Promise<void> {
    await this.#host?.call('enqueue', { messages: [POISON], perCommit: 1 })
  }

  async play(round: Round): Promise<Violation[]> {
    const random = new Random(round.seed)
    const hostWasDead = this.#host === undefined
    if (!hostWasDead) {
      await this.#write(round.messages, random)
      if (random.chance(ANSWERS_WHILE_DOWN)) await this.#answer(random)
    }
    const [writes, before] = [this.#writes, lookAt(this.workspace, round.n)]
    const traced = statSync(this.trace).size
    const runtime = await this.#startedRuntime(round)
    if (hostWasDead) {
      // It finds the journal of a dead writer, and waits for a living one.
      await runtime.until(() => runtime.waited, FEED_MS)
      this.#host = this.#startHost()
      await this.#write(round.messages, random)
    }
    const nemesis = this.#befall(round, runtime)
    // `await nemesis` reports its failure; it may fail before that line.
    nemesis.catch(() => undefined)
    await this.#end({ round, runtime, random, traced, nemesis })
    await nemesis
    const quiet = !hostWasDead && this.#writes === writes
    const touched = quiet ? changesOf(before, lookAt(this.workspace, round.n)) : []
    const report = await this.#check(runtime)
    this.#backlog = report.messages - report.ended
    return [...report.violations, ...touched, ...this.#hearFailures(runtime)]
  }

  /**
   * Faults off: everything ends, and the runtime stops in order.
   * @param poisoned what brings its process down each time has to end, too
   */
  async drain(round: number, poisoned: boolean): Promise<Violation[]> {
    this.#host ??= this.#startHost()
    const random = new Random(round)
    await this.#write(FEW, random)
    if (poisoned) await this.poison()
    const found: Violation[] = []
    const look = async (depth: 'cheap' | 'whole' | 'end', life?: number): Promise<Report> => {
      const report = await this.#checker.call<Report>(depth, { life, started: false })
      found.push(...report.violations)
      return report
    }
    const failedBefore = new Set((await look('whole')).failed)
    const startMs = performance.now()
    const runtime = this.#start({ concurrency: 2 })
    let last = { ended: -1, messages: 0, atMs: startMs }
    while (last.ended < last.messages && performance.now() < last.atMs + DRAIN_STALL_MS && !runtime.ended) {
      await setTimeout(DRAIN_LOOK_MS)
      await this.#answer(random, true)
      const { ended, messages } = await look('cheap')
      last = { ended, messages, atMs: ended > last.ended ? performance.now() : last.atMs }
    }
    const drainMs = performance.now() - startMs
    runtime.signal('SIGTERM')
    const { code, signal } = await this.#exitOf(runtime, 'stop')
    await this.#orphansGone()
    const end = await look('end', runtime.pid)
    this.#parts.tally.ends.push({ ...end, drainMs })
    found.push(...this.#hearFailures(runtime))
    for (const id of end.failed)
      if (!failedBefore.has(id) && !runtime.failures.includes(id))
        found.push({ invariant: 'I11', text: `${id} failed without a log line` })
    if (code !== 0)
      found.push({
        invariant: 'I11',
        text: `told to stop, the runtime ended with ${signal ?? `code ${code}`}`,
      })
    return found
  }

  async close(): Promise<void> {
    this.#runtime?.signal('SIGKILL')
    await this.#runtime?.exit
    await this.#host?.kill()
    await this.#checker.kill()
    this.#unmount?.()
    this.#unmount = undefined
  }

  async #end(scene: Scene): Promise<void> {
    const { kill, hostDies } = scene.round
    const { tally } = this.#parts
    if (kill.type === 'point') {
      await this.#dieAt(scene, kill.point)
      return add(tally.hits, kill.point)
    }
    await this.#working(scene)
    // While the file is away from its path, the host's journal would lie beside nothing.
    if (scene.round.nemesis !== 'rename') await this.#answer(scene.random)
    if (hostDies !== 'no') await this.#killHost()
    if (hostDies === 'healed first') {
      this.#host = this.#startHost()
      await this.#write(FEW, scene.random)
    }
    await setTimeout(kill.afterMs)
    if (kill.aimedMs !== undefined) awaitCommit(join(this.workspace, 'outbound.db'), kill.aimedMs)
    await this.#kill(scene.runtime)
    tally.timed++
  }

  /** The runtime kills itself when it comes to the point; it gets work until it does. */
  async #dieAt(scene: Scene, point: CrashPoint): Promise<void> {
    const { runtime, random, nemesis } = scene
    if (point === 'in-shutdown') {
      await this.#working(scene)
      await setTimeout(random.int(0, 30))
      runtime.signal('SIGTERM')
    } else if (point !== 'in-recovery') {
      await nemesis
      if (isWaitPoint(point)) await this.#insert(makeWaits(FEW, random), random)
      let traced = 0
      let feedAtMs = performance.now() + FEED_MS
      for (const endMs = performance.now() + STEP_MS; !runtime.ended && performance.now() < endMs; ) {
        await runtime.until(() => false, ANSWER_MS)
        if (runtime.ended) break
        await this.#answer(random)
        if (performance.now() < feedAtMs) continue
        const { size } = statSync(this.trace)
        if (isWaitPoint(point)) await this.#insert(makeWaits(FEW, random), random)
        else if (size === traced) await this.#write(FEW, random)
        traced = size
        feedAtMs = performance.now() + FEED_MS
      }
    }
    const { signal } = await this.#exitOf(runtime, `come to ${point}`)
    if (signal !== 'SIGKILL') throw unplanned(runtime, `before it came to ${point}`)
  }

  async #kill(runtime: RuntimeProcess): Promise<void> {
    const size = sizeOf(runtime.pid)
    if (runtime.ended) throw unplanned(runtime, 'before it was killed')
    runtime.signal('SIGKILL')
    await runtime.exit
    if (size && (size.megabytes > MEMORY_MAX_MB || size.descriptors > DESCRIPTORS_MAX))
      throw new Unplanned(
        `I9 the runtime has ${Math.round(size.megabytes)} MB and ${size.descriptors} descriptors; expected ${MEMORY_MAX_MB} and ${DESCRIPTORS_MAX} at most`,
      )
  }

  /** Resolves when a handler has started: the runtime has claimed something. */
  async #working({ runtime, random, traced, nemesis }: Scene): Promise<void> {
    const endMs = performance.now() + STEP_MS
    let feedAtMs = performance.now() + FEED_MS
    while (statSync(this.trace).size === traced) {
      if (runtime.ended) throw unplanned(runtime, 'before it began to work')
      if (performance.now() > endMs)
        throw new Unplanned(`nothing has run for ${STEP_MS} ms. The runtime's log:\n${runtime.log}`)
      if (performance.now() > feedAtMs) {
        await nemesis
        await this.#write(FEW, random)
        feedAtMs = performance.now() + FEED_MS
      }
      await setTimeout(TRACE_LOOK_MS)
    }
  }

  async #exitOf(runtime: RuntimeProcess, what: string): Promise<Exit> {
    // The timer keeps no process alive: the soak ends without waiting for it.
    const ended = await Promise.race([runtime.exit, setTimeout(STEP_MS, undefined, { ref: false })])
    if (ended) return ended
    runtime.signal('SIGKILL')
    throw new Unplanned(`the runtime did not ${what} within ${STEP_MS} ms. Its log:\n${runtime.log}`)
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

  /**
   * A disk is filled only when it is ours alone; what needs the host is not for a round in which the host
   * dies.
   */
  #befall({ nemesis, nemesisMs, hostDies }: Round, runtime: RuntimeProcess): Promise<void> {
    if (nemesis === undefined || runtime.ended) return Promise.resolve()
    const needsHost = nemesis === 'lock' || nemesis === 'rename'
    const cannot = (needsHost && hostDies !== 'no') || (nemesis === 'full disk' && !this.onTinyDisk)
    const here = cannot ? 'stop' : nemesis
    add(this.#parts.tally.nemeses, here)
    return befall(here, nemesisMs, { runtime, host: this.#host, workspace: this.workspace })
  }

  async #write(count: number, random: Random): Promise<void> {
    await this.#insert(makeMessages(this.#backlog > BACKLOG_MAX ? FEW : count, Date.now(), random), random)
    if (random.chance(0.2)) await this.#host?.call('sync')
  }

  async #insert(messages: readonly Message[], random: Random): Promise<void> {
    this.#writes++
    await this.#host?.call('enqueue', { messages, perCommit: random.int(1, messages.length) })
  }

  /** The host answers what is new, as hosts do; `all`: each question that is open, once. */
  async #answer(random: Random, all = false): Promise<void> {
    this.#writes++
    await this.#host?.call('answer', { seed: random.int(0, 2 ** 31), all })
  }

  async #check({ pid, started }: RuntimeProcess): Promise<Report> {
    const { tally } = this.#parts
    const whole = ++this.#rounds % WHOLE_CHECK_ROUNDS === 0
    tally[whole ? 'wholeChecks' : 'cheapChecks']++
    const report = await this.#checker.call<Report>(whole ? 'whole' : 'cheap', {
      life: pid,
      started,
    })
    if (report.hotOutbound) tally.hotOutbound++
    return report
  }

  /** Each failure is reported once, whichever process dies. */
  #hearFailures({ failures }: RuntimeProcess): Violation[] {
    for (const id of failures) add(this.#reported, id)
    return failures
      .filter((id) => (this.#reported.get(id) ?? 0) > 1)
      .map((id) => ({ invariant: 'I11', text: `${id} was reported as failed more than once` }))
  }

  async #orphansGone(): Promise<void> {
    const endMs = performance.now() + ORPHANS_MS
    while (processesOf(this.#mark).length > 0 && performance.now() < endMs) await setTimeout(10)
  }

  /** Resolves when it has started, when it waits for inbound.db before that, or when it has died. */
  async #startedRuntime(round: Round): Promise<RuntimeProcess> {
    const startMs = performance.now()
    const runtime = this.#start(round)
    await runtime.until(() => runtime.started, STEP_MS)
    if (runtime.started) this.#parts.tally.startMs.push(performance.now() - startMs)
    return runtime
  }

  #start({ concurrency, kill }: Pick<Round, 'concurrency'> & Partial<Round>): RuntimeProcess {
    this.#runtime = new RuntimeProcess({
      command: this.#parts.command,
      project: this.#project,
      workspace: this.workspace,
      lane: this.#mark,
      trace: this.trace,
      concurrency,
      crashAt: kill?.type === 'point' ? `${kill.point}:${kill.nth}` : undefined,
    })
    return this.#runtime
  }

  #startHost(): Peer {
    const file = (name: string) => join(this.workspace, name)
    return new Peer(this.#parts.peers, 'host', file('inbound.db'), file('outbound.db'), `${this.name}-`)
  }

  /** Tells processes of this lane from all others on the machine. */
  get #mark(): string {
    return this.#parts.folder
  }
}

/**
 * A commit is over before a timer fires: this one spins, and gives up when there is none for a while.
 */
function awaitCommit(path: string, thenMs: number): void {
  const endMs = performance.now() + COMMIT_WAIT_MS
  while (!existsSync(`${path}-journal`) && performance.now() < endMs);
  for (const atMs = performance.now() + thenMs; performance.now() < atMs; );
}

function unplanned({ ended, log }: RuntimeProcess, when: string): Unplanned {
  return new Unplanned(
    `the runtime ended (${ended?.signal ?? `code ${ended?.code}`}) ${when}. Its log:\n${log}`,
  )
}
