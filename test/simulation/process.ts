// A process that only exists in simulated time: the far side of the pipe as child/main.ts is it (one message
// at a time, in order; hands back what waits behind a slow one or behind a failure; results travel together),
// and the many ways in which a process ends. Two channels, each in order, each as slow as it likes.
import type { Clock, Timer } from '../../runtime/protocol/clock.ts'
import type { Dispatch, Report, Result } from '../../runtime/protocol/ipc.ts'
import { type Order, unpack } from '../../runtime/protocol/wire.ts'
import type { Process, SpawnOptions } from '../../runtime/workers/process.ts'
import type { Fate } from './cast.ts'
import { mix } from './random.ts'
import { type Next, nextOf } from './scripts.ts'

/** How a process behaves that is about to be started. */
export interface Birth {
  readonly loads: 'well' | 'not' | 'never' | 'dies'
  readonly afterMs: number
}

export interface Stage {
  readonly clock: Clock
  readonly birth: (pid: number) => Birth
  /** A message is handed to its handler. */
  readonly begins: (pid: number, dispatch: Dispatch) => Fate
  readonly ended: (pid: number, dispatch: Dispatch, how: Fate['end'] | 'waits' | 'cut-off') => void
  /** The body of a step is called, or its result is on disk. */
  readonly step: (dispatch: Dispatch, name: string, what: 'begins' | 'kept') => void
  /**
   * A message that it has answered for ends it: by a second answer, or by the channel that it closes
   * afterwards.
   */
  readonly outlived: (pid: number, hasAnswered: boolean) => void
  /** All that is in the process now, the running message first. */
  readonly holds: (pid: number, dispatches: readonly Dispatch[]) => void
  /** How long something travels through a channel, or a signal takes. */
  readonly delayMs: () => number
  readonly wishMs: (dispatch: Dispatch) => number
  /** What the runtime says its processes may take, and how long a lost channel stays unnoticed. */
  readonly limits: { readonly loadTimeoutMs: number; readonly killGraceMs: number }
  /** A process lives on that ought to have been ended. */
  readonly left: (pid: number, why: string) => void
}

interface Current {
  readonly dispatch: Dispatch
  readonly fate: Fate
  readonly sinceMs: number
  end: Timer | undefined
  readonly kept: Set<string>
  /** A step that is on its way to disk. */
  reported: string | undefined
}

const HAND_BACK_MS = 20
/**
 * How long after its answer a process closes its channel, and how long the runtime waits for its end then.
 */
const CUT_AFTER_MS = 30
const LAST_WORDS_MS = 100
const ERROR = { name: 'Error', message: 'as planned' }

export class SimulatedProcess implements Process {
  readonly pid: number
  readonly #stage: Stage
  #report: (report: unknown) => void = () => undefined
  #end: (code: number | null, signal: string | null) => void = () => undefined
  #channelLost: () => void = () => undefined
  #stderr: { write(text: string): void } | undefined
  readonly #queue: Dispatch[] = []
  readonly #unheard: (() => void)[] = []
  #results: Result[] = []
  #current: Current | undefined
  #alive = true
  #connected = true
  #loaded = false
  #hasAnswered = false
  #orderAtMs = 0
  #reportAtMs = 0

  constructor(pid: number, { setup }: SpawnOptions, stage: Stage) {
    this.pid = pid
    this.#stage = stage
    if (setup) this.become()
    else if (mix(pid, 1) % 20 === 0) stage.clock.after(mix(pid, 2) % 2_000, () => this.#cut())
  }

  become(): void {
    const { clock, birth } = this.#stage
    const { loads, afterMs } = birth(this.pid)
    this.#mustEnd(this.#stage.limits.loadTimeoutMs, 'has not loaded', () => !this.#loaded)
    if (loads === 'never') return
    clock.after(afterMs, () => {
      if (!this.#alive) return
      if (loads === 'dies') this.#die(1, null)
      else if (loads === 'not') this.#say({ type: 'not-loaded', error: ERROR })
      else this.#say({ type: 'loaded', definition: {} })
    })
  }

  send(order: Order): void {
    const { clock, delayMs } = this.#stage
    this.#orderAtMs = Math.max(this.#orderAtMs, clock.monotonic() + delayMs())
    clock.after(this.#orderAtMs - clock.monotonic(), () => this.#hear(() => this.#obey(order)))
  }

  get alive(): boolean {
    return this.#alive && this.#connected
  }

  onReport(listener: (report: unknown) => void): void {
    this.#report = listener
  }

  onData(stream: 'stdout' | 'stderr', reader: { write(text: string): void }): void {
    if (stream === 'stderr') this.#stderr = reader
  }

  onEnd(listener: (code: number | null, signal: string | null) => void): void {
    this.#end = listener
  }

  onChannelLost(listener: () => void): void {
    this.#channelLost = listener
  }

  kill(signal: 'SIGTERM' | 'SIGKILL' | 'SIGCONT'): void {
    if (signal === 'SIGKILL') this.#die(null, signal)
    else if (signal === 'SIGTERM') {
      // A handler that blocks and would not heed an abort has a listener for this signal, too.
      if (!this.#current?.fate.blocks || this.#current.fate.heeds) this.#die(null, signal)
      else this.#mustEnd(this.#stage.limits.killGraceMs, 'does not heed SIGTERM')
    }
  }

  #obey(order: Order): void {
    if (order.type === 'run') {
      this.#queue.push(...unpack(order))
      const current = this.#current ? [this.#current.dispatch] : []
      this.#stage.holds(this.pid, [...current, ...this.#queue])
      if (!this.#current) this.#work()
      else this.#handBackSoon(this.#current)
    } else if (order.type === 'kept') {
      const current = this.#current
      if (current?.dispatch.n === order.n && current.reported === order.name) this.#kept(current, order.name)
    } else if (this.#current?.dispatch.n === order.n && this.#current.fate.heeds) {
      this.#current.end?.cancel()
      this.#finish('throws')
    }
  }

  #work(): void {
    const { clock, begins } = this.#stage
    for (let dispatch = this.#queue.shift(); dispatch; dispatch = this.#queue.shift()) {
      const fate = begins(this.pid, dispatch)
      const sinceMs = clock.monotonic()
      const current: Current = {
        dispatch,
        fate,
        sinceMs,
        end: undefined,
        kept: new Set(),
        reported: undefined,
      }
      this.#current = current
      if (!isJson(dispatch.message.content)) this.#finishNow('bad-message')
      else if (fate.ms === 0) this.#goOn(current)
      else {
        if (fate.ms < Number.POSITIVE_INFINITY)
          current.end = clock.after(fate.ms, () => {
            if (this.#current === current) this.#afterwards(() => this.#goOn(current))
          })
        return this.#handBackSoon(current)
      }
      if (this.#alive && this.#current) this.#handBackSoon(current)
      if (!this.#alive || this.#current) return
    }
  }

  /** Ends the current message and goes on to the next. */
  #finish(how: Fate['end']): void {
    this.#afterwards(() => this.#finishNow(how))
  }

  #afterwards(end: () => void): void {
    end()
    if (!this.#alive || this.#current) return
    this.#listen()
    if (this.#alive && !this.#current) this.#work()
  }

  /** The time of its handler has passed: it ends, or does what its script says. */
  #goOn(current: Current): void {
    const { dispatch, fate, kept } = current
    if (!fate.script || (fate.end !== 'replies' && fate.endsAt === 'once')) return this.#finishNow(fate.end)
    const next = nextOf(fate.script, dispatch, kept, this.#stage.clock.now())
    if (next.do !== 'step') return this.#finishNow(fate.end, next)
    this.#stage.step(dispatch, next.name, 'begins')
    current.reported = next.name
    const value = JSON.stringify({ by: dispatch.n })
    this.#say({ type: 'step', n: dispatch.n, name: next.name, state: 'done', value, durationMs: 0 })
    if (fate.end !== 'replies' && fate.endsAt === 'reported') this.#finishNow(fate.end)
  }

  #kept(current: Current, name: string): void {
    const { dispatch, fate, kept } = current
    this.#stage.step(dispatch, name, 'kept')
    kept.add(name)
    current.reported = undefined
    this.#afterwards(() => (fate.end === 'replies' ? this.#goOn(current) : this.#finishNow(fate.end)))
  }

  #finishNow(how: Fate['end'] | 'bad-message', next?: Next): void {
    const current = this.#current
    if (!current) return
    const { dispatch, fate } = current
    if (fate.cuts === 'instead') return this.#cut()
    const result = this.#resultOf(how, current, next)
    if (!result) return this.#perish(how)
    this.#current = undefined
    this.#stage.ended(
      this.pid,
      dispatch,
      result.end === 'suspended' ? 'waits' : how === 'bad-message' ? 'throws' : how,
    )
    this.#tell(result)
    if (fate.cuts === 'afterwards') this.#stage.clock.after(CUT_AFTER_MS, () => this.#cut())
    if (fate.twice) {
      this.#stage.outlived(this.pid, true)
      this.#tell(result)
    }
    const { lane } = dispatch
    if (result.end !== 'replied' && lane !== '')
      this.#handBack('behind-a-failure', (behind) => behind.lane === lane)
  }

  #resultOf(
    how: Fate['end'] | 'bad-message',
    { dispatch, fate, sinceMs }: Current,
    next: Next | undefined,
  ): Result | undefined {
    const about = { n: dispatch.n, ms: this.#stage.clock.monotonic() - sinceMs }
    switch (how) {
      case 'replies':
        if (next?.do === 'suspend') {
          const { waits, replies, from } = next
          return { ...about, end: 'suspended', waits, replies, from, isQuiet: mix(dispatch.n, 13) % 20 > 0 }
        }
        if (next?.do === 'reply') return { ...about, end: 'replied', replies: next.replies, from: next.from }
        return { ...about, end: 'replied', replies: repliesOf(dispatch, fate.replies) }
      case 'throws':
        return { ...about, end: 'threw', error: ERROR, retry: { wish: 'policy' } }
      case 'gives-up':
        return { ...about, end: 'threw', error: ERROR, retry: { wish: 'never' } }
      case 'asks-for-later': {
        const delayMs = this.#stage.wishMs(dispatch)
        return { ...about, end: 'threw', error: ERROR, retry: { wish: 'after', delayMs } }
      }
      case 'replies-badly':
        return { ...about, end: 'bad-reply', reason: 'reply_too_large', error: ERROR }
      case 'bad-message':
        return { ...about, end: 'bad-message', error: ERROR }
      default:
        return undefined
    }
  }

  /** The handler ends its process. One that throws where nothing catches it runs on until it is ended. */
  #perish(how: Fate['end'] | 'bad-message'): void {
    if (how === 'exits') return this.#die(0, null)
    if (how === 'is-killed') return this.#die(null, 'SIGSEGV')
    if (how === 'runs-out-of-memory') {
      this.#stderr?.write(
        'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n',
      )
      return this.#die(null, 'SIGABRT')
    }
    this.#flush()
    this.#say({ type: 'uncaught', error: ERROR })
  }

  #die(code: number | null, signal: string | null): void {
    if (!this.#alive) return
    this.#alive = false
    const { clock, delayMs, ended } = this.#stage
    if (this.#current) ended(this.pid, this.#current.dispatch, 'cut-off')
    this.#current = undefined
    const atMs = Math.max(this.#reportAtMs, clock.monotonic()) + delayMs()
    clock.after(atMs - clock.monotonic(), () => this.#end(code, signal))
  }

  /** What it says from now on is not heard, and it hears nothing; the runtime notices that after a while. */
  #cut(): void {
    if (!this.#alive || !this.#connected) return
    this.#connected = false
    if (this.#current?.fate.cuts !== 'instead') this.#stage.outlived(this.pid, this.#hasAnswered)
    const { clock, delayMs } = this.#stage
    const atMs = Math.max(this.#reportAtMs, clock.monotonic()) + delayMs() + LAST_WORDS_MS
    clock.after(atMs - clock.monotonic(), () => {
      if (this.#alive) this.#channelLost()
      this.#mustEnd(this.#stage.limits.killGraceMs, 'has lost its channel')
    })
  }

  /**
   * Each process is on its way up, can be given work, or is on its way out: none stays as it is for longer
   * than its state may last.
   */
  #mustEnd(withinMs: number, why: string, stillSo = () => true): void {
    // The timer of the runtime for the same moment may have been set after this one.
    this.#stage.clock.after(withinMs + 1, () => {
      if (this.#alive && stillSo()) this.#stage.left(this.pid, why)
    })
  }

  /** What waits behind a slow message is given back, as long as the loop turns. */
  #handBackSoon(current: Current): void {
    if (this.#queue.length === 0 || current.fate.blocks) return
    this.#stage.clock.after(HAND_BACK_MS, () => {
      if (this.#current === current) this.#handBack('handed-back', () => true)
    })
  }

  #handBack(why: 'handed-back' | 'behind-a-failure', which: (dispatch: Dispatch) => boolean): void {
    const back = this.#queue.filter(which)
    if (back.length === 0) return
    const stays = this.#queue.filter((dispatch) => !which(dispatch))
    this.#queue.splice(0, Number.POSITIVE_INFINITY, ...stays)
    for (const { n } of back) this.#tell({ n, ms: 0, end: 'back', why })
  }

  /** Results of one turn of the loop travel together; while a handler blocks the loop, none travels. */
  #tell(result: Result): void {
    this.#results.push(result)
    if (this.#results.length === 1) this.#stage.clock.soon(() => this.#hear(() => this.#flush()))
  }

  #flush(): void {
    if (this.#results.length === 0) return
    if (this.#connected) this.#hasAnswered ||= this.#results.some(({ end }) => end !== 'back')
    this.#say({ type: 'results', results: this.#results.splice(0) })
  }

  #say(report: Report): void {
    if (!this.#connected) return
    if (report.type === 'loaded') this.#loaded = true
    const { clock, delayMs } = this.#stage
    this.#reportAtMs = Math.max(this.#reportAtMs, clock.monotonic() + delayMs())
    // As JSON, so that the two sides share no object.
    const text = JSON.stringify(report)
    clock.after(this.#reportAtMs - clock.monotonic(), () => this.#report(JSON.parse(text)))
  }

  /** What comes in while the loop is blocked is heard when it turns again. */
  #hear(call: () => void): void {
    if (!this.#alive || !this.#connected) return
    if (this.#current?.fate.blocks) this.#unheard.push(call)
    else call()
  }

  #listen(): void {
    for (const call of this.#unheard.splice(0)) this.#hear(call)
  }
}

function isJson(text: string): boolean {
  return text !== 'no json'
}

export function repliesOf({ message, attempt }: Dispatch, count: number) {
  return Array.from({ length: count }, (_, index) => ({
    kind: 'chat',
    platformId: message.platformId,
    channelType: message.channelType,
    threadId: message.threadId,
    deliverAfterMs: null,
    content: JSON.stringify({ to: message.id, attempt, index }),
  }))
}
