// One process that runs one function. Every dispatch ends in exactly one RunEnd: by a result, the death of
// the process or the timeout, whichever is first. After any other end than a result the process is not used
// again.
//
//   loading ──► ready ──► stopping (draining ► aborting ► terminating ► killing) ──► exited
//
// It may skip states, and never goes back: a step that is not in STEPS is a bug and throws. Each state has
// its own timer. blame.ts decides which message is charged with the end of the process.
import type { Clock, Timer } from '../protocol/clock.ts'
import { causesText, type ErrorInfo, errorText } from '../protocol/errors.ts'
import type { Dispatch, Report, Result } from '../protocol/ipc.ts'
import type { Receiver, RunEnd } from '../protocol/outcome.ts'
import { type FinishedStep, JOURNAL_BYTES_MAX, STEPS_MAX } from '../protocol/steps.ts'
import { type Order, pack } from '../protocol/wire.ts'
import { blame, type ProcessFault } from './blame.ts'
import { LineReader } from './lines.ts'
import type { Process, Spawner } from './process.ts'
import { parseReport } from './report.ts'
import { StderrTail } from './stderr-tail.ts'

export interface WorkerLimits {
  readonly loadTimeoutMs: number
  /** Between the abort signal and SIGTERM, after a timeout or at shutdown. */
  readonly abortGraceMs: number
  /** Between SIGTERM and SIGKILL. */
  readonly killGraceMs: number
  readonly maxMemoryMb: number
  readonly maxReplyBytes: number
  readonly maxLogBytes: number
  readonly maxMessagesPerWorker: number
  readonly env: Readonly<Record<string, string>>
  readonly nodeArgs: readonly string[]
  readonly cwd: string
}

export interface WorkerParts {
  readonly clock: Clock
  readonly limits: WorkerLimits
  /** Starts processes that use protocol/ipc. */
  readonly spawner: Spawner
}

export interface WorkerExit {
  readonly why: string
  /** It has reached the state `ready`. */
  readonly loaded: boolean
  /** The pool retired it. */
  readonly asked: boolean
  /** The pool did not retire it, and no message is charged with its end. */
  readonly unexpected: boolean
}

/** The listener of a worker: its pool. */
export interface WorkerListener {
  loaded(child: Worker, definition: unknown): void
  /** It accepts another batch. */
  free(child: Worker): void
  gone(child: Worker, exit: WorkerExit): void
  /** `out`: the message of the output, if known. */
  output(child: Worker, out: Out | undefined, stream: 'stdout' | 'stderr', line: string): void
  log(child: Worker, out: Out | undefined, report: Extract<Report, { type: 'log' }>): void
}

/** A message in a process. */
export interface Out {
  readonly dispatch: Dispatch
  readonly receiver: Receiver
  /** What its run has remembered, beside what it was given. */
  readonly kept: { steps: number; chars: number }
}

/** The message that runs now: the first of those in the process. */
interface Head {
  readonly n: number
  readonly timeoutMs: number
  /**
   * Its start, as far as the runtime knows, or the end of the runtime's last absence; later by the time for
   * which its steps waited for the store.
   */
  sinceMs: number
  /** Steps that wait for the store. */
  steps: number
  /** Since when any has. */
  stepsSinceMs: number
  /** Absences of the runtime that it was not charged with. */
  absences: number
  /** It runs so long that the process has returned the messages behind it. */
  handedBack: boolean
}

type State =
  /** `timer`: its load timeout. */
  | { readonly type: 'loading'; readonly timer: Timer }
  /** Accepts messages. `timer`: the timeout of the running message, see #watch. */
  | { readonly type: 'ready'; timer: Timer | undefined }
  | (Stopping & Step)
  | { readonly type: 'exited'; readonly timer?: undefined }

interface Stopping extends Ground {
  readonly type: 'stopping'
  readonly loaded: boolean
}

/** Why it stops. The first reason and the first fault stay; only a timeout overrides the reason. */
interface Ground {
  readonly why: string
  /** Undefined: it was retired, or did not load. */
  readonly fault?: ProcessFault | undefined
  /** The pool retired it, before or after a fault. */
  readonly asked?: boolean
}

type Step =
  /** Its messages end first. `timer`: as in `ready`. */
  | { readonly step: 'draining'; timer: Timer | undefined }
  /** The handler that timed out was aborted. `timer`: SIGTERM. */
  | { readonly step: 'aborting'; readonly timer: Timer }
  /** SIGTERM was sent. `timer`: SIGKILL. */
  | { readonly step: 'terminating'; readonly timer: Timer }
  /** SIGKILL was sent. */
  | { readonly step: 'killing'; readonly timer?: undefined }

/** Its messages run on, under their timeouts. */
type Working = Extract<State, { type: 'ready' } | { step: 'draining' }>

type StepName = Exclude<State['type'], 'stopping'> | Step['step']

/** A worker moves from left to right, and may skip states. Only a loaded worker drains or is aborted. */
const STEPS: Readonly<Record<StepName, readonly StepName[]>> = {
  loading: ['ready', 'terminating', 'killing', 'exited'],
  ready: ['draining', 'aborting', 'terminating', 'killing', 'exited'],
  draining: ['draining', 'aborting', 'terminating', 'killing', 'exited'],
  aborting: ['aborting', 'terminating', 'killing', 'exited'],
  terminating: ['terminating', 'killing', 'exited'],
  killing: ['killing', 'exited'],
  exited: [],
}

/**
 * The exit of a process, the last data on its channel and the end of its output arrive in any order, within
 * this time.
 */
const LAST_WORDS_MS = 100

/** Of a message that waits for the store the time may be almost up and stand still. */
const MIN_WATCH_MS = 1
/** No turn of the event loop takes as long. */
const ABSENT_MS = 100
/** With more of them the machine is too slow for this handler, and its timeout has to mean something. */
const ABSENCES_MAX = 3

const CHANNEL_LOST = 'closed its channel to the runtime without exiting'

export class Worker {
  readonly name: string
  readonly bundle: string
  readonly startedMs: number
  readonly #clock: Clock
  readonly #limits: WorkerLimits
  readonly #listener: WorkerListener
  readonly #process: Process
  readonly #out = new Map<number, Out>()
  #state: State
  #head: Head | undefined
  /** Messages that it has reported results for. */
  #served = 0
  /** Handlers were aborted, since the runtime shuts down; this holds in every state. */
  #shutdown = false
  readonly #words = new StderrTail()

  constructor(
    name: string,
    bundle: string,
    { clock, limits, spawner }: WorkerParts,
    listener: WorkerListener,
  ) {
    this.name = name
    this.bundle = bundle
    this.#clock = clock
    this.#limits = limits
    this.#listener = listener
    this.startedMs = clock.monotonic()
    this.#process = spawner.spawn({
      bundle,
      setup: { functionName: name, maxReplyBytes: limits.maxReplyBytes, maxLogBytes: limits.maxLogBytes },
      ...limits,
    })
    this.#process.onReport((said) => {
      const report = parseReport(said, limits.maxReplyBytes)
      if (report) this.#report(report)
      else this.#senseless(said)
    })
    this.#process.onEnd((code, signal) => this.#exited(code, signal), LAST_WORDS_MS)
    this.#process.onChannelLost(() => this.#lostChannel(), LAST_WORDS_MS)
    for (const stream of ['stdout', 'stderr'] as const)
      this.#process.onData(stream, new LineReader((line) => this.#line(stream, line)))
    const timer = clock.after(limits.loadTimeoutMs, () =>
      this.#kill({ why: `did not load within ${limits.loadTimeoutMs} ms` }),
    )
    this.#state = { type: 'loading', timer }
  }

  get pid(): number {
    return this.#process.pid
  }

  get loading(): boolean {
    return this.#state.type === 'loading'
  }

  /** The pool retired it. */
  get asked(): boolean {
    return this.#state.type === 'stopping' && this.#state.asked === true
  }

  /**
   * Whether a batch may queue behind the running one: the worker is fast so far, not isolated, and not
   * retired.
   */
  get takesMore(): boolean {
    if (!this.#takes || this.#head?.handedBack) return false
    for (const { dispatch } of this.#out.values()) if (dispatch.alone) return false
    return this.#served + this.#out.size < this.#limits.maxMessagesPerWorker
  }

  /** Messages in it. */
  get load(): number {
    return this.#out.size
  }

  get idle(): boolean {
    return this.#takes && this.#out.size === 0
  }

  /**
   * It may have exited before its end is reported; a message sent to it then would be charged with its death.
   */
  get #takes(): boolean {
    return this.#state.type === 'ready' && this.#process.alive
  }

  /** The workspace of its running message. */
  get workspace(): string | undefined {
    const [head] = this.#out.values()
    return head?.receiver.workspace
  }

  run(batch: readonly Dispatch[], receiver: Receiver): void {
    if (!this.#takes) return receiver.ended(batch.map(({ n }) => cancelled(n, 'not-started')))
    for (const dispatch of batch)
      this.#out.set(dispatch.n, { dispatch, receiver, kept: { steps: 0, chars: 0 } })
    this.#followHead()
    this.#watch()
    this.#process.send(pack(batch))
  }

  /** Ends when its messages have ended. */
  retire(why: string): void {
    const state = this.#state
    if (this.#out.size === 0) this.#terminate({ why, asked: true })
    else if (state.type === 'ready')
      this.#become({ ...this.#stopping({ why, asked: true }), step: 'draining', timer: state.timer })
    else if (state.type === 'stopping') this.#become({ ...state, asked: true })
  }

  /** Aborts the running handler, since the runtime shuts down; it is not charged from now on. */
  abort(): void {
    this.#shutdown = true
    if (this.#head) this.#process.send({ type: 'abort', n: this.#head.n, why: 'shutdown' } satisfies Order)
  }

  kill(why: string): void {
    this.#kill({ why, asked: true })
  }

  #report(report: Report): void {
    if (this.#state.type === 'exited') return
    switch (report.type) {
      case 'loaded':
        if (this.#state.type !== 'loading') return this.#kill({ why: 'sent a second load report' })
        this.#become({ type: 'ready', timer: undefined })
        this.#listener.loaded(this, report.definition)
        return
      case 'not-loaded':
        return this.#kill({ why: storyOf(report.error) })
      case 'results':
        return this.#results(report.results)
      case 'step':
        return this.#step(report.n, report)
      case 'uncaught':
        return this.#uncaught(`uncaught ${storyOf(report.error)}`, report.error)
      case 'log':
        return this.#listener.log(this, this.#out.get(report.n), report)
      default:
        return report satisfies never
    }
  }

  #uncaught(why: string, error: ErrorInfo): void {
    this.#kill({ why, fault: { type: 'uncaught', error } })
  }

  /** Further reports of this process are ignored. */
  #senseless(said: unknown): void {
    const message = `sent an invalid report: ${shown(said)}`
    this.#uncaught(message, { name: 'InvalidReport', message })
  }

  /**
   * While a step waits for the store the time of its run stands still: a disk on pause is not the handler's
   * doing.
   */
  #step(n: number, { name, state, value, durationMs }: FinishedStep): void {
    const out = this.#out.get(n)
    if (!out) return this.#forged(`remembered a step of a message not in it (${n})`)
    out.kept.steps++
    out.kept.chars += value?.length ?? 0
    if (out.kept.steps > STEPS_MAX || out.kept.chars > JOURNAL_BYTES_MAX)
      return this.#forged(`remembered more steps than a message may have (${n})`)
    const head = this.#head?.n === n ? this.#head : undefined
    if (head && head.steps++ === 0) head.stepsSinceMs = this.#clock.monotonic()
    out.receiver.step(n, { name, state, value, durationMs }, () => {
      if (head && --head.steps === 0) head.sinceMs += this.#clock.monotonic() - head.stepsSinceMs
      if (this.#out.has(n)) this.#process.send({ type: 'kept', n, name } satisfies Order)
    })
  }

  #forged(message: string): void {
    this.#uncaught(message, { name: 'Forged', message })
  }

  #results(results: readonly Result[]): void {
    const byReceiver = new Map<Receiver, RunEnd[]>()
    for (const result of results) {
      const out = this.#out.get(result.n)
      if (!out) {
        this.#forged(`reported a result for a message that it does not have (${result.n})`)
        continue
      }
      this.#out.delete(result.n)
      if (result.end !== 'back') this.#served++
      else if (result.why === 'handed-back' && this.#head) this.#head.handedBack = true
      const ended = byReceiver.get(out.receiver)
      if (ended) ended.push(this.#endedBy(result))
      else byReceiver.set(out.receiver, [this.#endedBy(result)])
    }
    this.#followHead()
    for (const [receiver, ended] of byReceiver) receiver.ended(ended)
    if (results.some((result) => result.end === 'suspended' && !result.isQuiet))
      this.retire('a handler that waits has left something running')
    this.#afterResults()
  }

  /** The first message in the process is the running one. */
  #followHead(): void {
    const [first] = this.#out.values()
    if (first?.dispatch.n === this.#head?.n) return
    const sinceMs = this.#clock.monotonic()
    this.#head = first && {
      n: first.dispatch.n,
      timeoutMs: first.dispatch.timeoutMs,
      sinceMs,
      steps: 0,
      stepsSinceMs: sinceMs,
      absences: 0,
      handedBack: false,
    }
  }

  #endedBy(result: Result): RunEnd {
    const { n, ms: durationMs } = result
    // A result that arrives before the process ends is accepted: later messages in the process depend on it.
    if (this.#hasTimedOut(n) && result.end !== 'replied')
      return { n, durationMs, outcome: { type: 'timed-out', afterMs: Math.round(durationMs) } }
    switch (result.end) {
      case 'replied':
        return { n, durationMs, outcome: { type: 'replied', replies: result.replies, from: result.from } }
      case 'suspended': {
        const { waits, replies, from } = result
        return { n, durationMs, outcome: { type: 'suspended', waits, replies, from } }
      }
      case 'threw':
        if (this.#shutdown) return { n, durationMs, outcome: { type: 'cancelled', why: 'shutdown' } }
        return { n, durationMs, outcome: { type: 'threw', error: result.error, retry: result.retry } }
      case 'bad-reply':
        return { n, durationMs, outcome: { type: 'bad-reply', reason: result.reason, error: result.error } }
      case 'bad-message':
        return { n, durationMs, outcome: { type: 'bad-message', reason: 'bad_json', error: result.error } }
      case 'back':
        return { n, durationMs, outcome: { type: 'cancelled', why: result.why } }
      default:
        return result satisfies never
    }
  }

  #afterResults(): void {
    if (this.#served >= this.#limits.maxMessagesPerWorker) this.retire(`served ${this.#served} messages`)
    const state = this.#state
    if (state.type === 'ready') this.#listener.free(this)
    else if (state.type === 'stopping' && this.#isOver(state)) this.#terminate(state)
  }

  /** No further results are expected from it. */
  #isOver({ fault }: Stopping): boolean {
    return this.#out.size === 0 || (fault?.type === 'timed-out' && !this.#out.has(fault.n))
  }

  #hasTimedOut(n: number): boolean {
    const state = this.#state
    return state.type === 'stopping' && state.fault?.type === 'timed-out' && state.fault.n === n
  }

  /**
   * One timer for the running message; its deadline is checked when it fires, and it is not reset for each
   * message.
   */
  #watch(): void {
    const state = this.#state
    if (!isWorking(state) || state.timer || !this.#head) return
    const dueMs = this.#clock.monotonic() + Math.max(this.#leftMs(this.#head), MIN_WATCH_MS)
    state.timer = this.#clock.after(dueMs - this.#clock.monotonic(), () => {
      if (!isWorking(this.#state)) return
      this.#state.timer = undefined
      const head = this.#head
      this.#excuse(head, this.#clock.monotonic() - dueMs)
      if (head && this.#leftMs(head) <= 0) this.#timeout(head)
      else this.#watch()
    })
  }

  #leftMs({ sinceMs, timeoutMs, steps, stepsSinceMs }: Head): number {
    return sinceMs + timeoutMs - (steps > 0 ? stepsSinceMs : this.#clock.monotonic())
  }

  /**
   * A timer that fires so late shows that this process stood still, and perhaps the handler with it: its
   * message has its whole time again. An answer that came meanwhile is read before.
   */
  #excuse(head: Head | undefined, lateMs: number): void {
    if (!head || lateMs < ABSENT_MS || head.absences >= ABSENCES_MAX) return
    head.absences++
    head.sinceMs = this.#clock.monotonic()
    head.stepsSinceMs = head.sinceMs
  }

  #timeout({ n, timeoutMs }: Head): void {
    const why = `a message took longer than its ${timeoutMs} ms`
    const stopping = { ...this.#stopping({ why, fault: { type: 'timed-out', n } }), why }
    this.#process.send({ type: 'abort', n, why: 'timeout' } satisfies Order)
    const timer = this.#clock.after(this.#limits.abortGraceMs, () => this.#terminate(stopping))
    this.#become({ ...stopping, step: 'aborting', timer })
  }

  /** A worker within its grace after an abort or SIGTERM keeps that grace. */
  #lostChannel(): void {
    const state = this.#state
    if (state.type === 'loading' || isWorking(state))
      this.#kill({ why: CHANNEL_LOST, fault: { type: 'channel-lost' } })
  }

  /** SIGTERM is followed by SIGKILL, also when called repeatedly; both go to the whole process group. */
  #terminate(ground: Ground): void {
    const state = this.#state
    if (state.type === 'exited') return
    const stopping = this.#stopping(ground)
    if (state.type === 'stopping' && (state.step === 'terminating' || state.step === 'killing'))
      return this.#become({ ...state, ...stopping })
    const timer = this.#clock.after(this.#limits.killGraceMs, () => this.#kill(stopping))
    this.#become({ ...stopping, step: 'terminating', timer })
    this.#process.kill('SIGTERM')
  }

  #kill(ground: Ground): void {
    if (this.#state.type === 'exited') return
    this.#become({ ...this.#stopping(ground), step: 'killing' })
    this.#process.kill('SIGKILL')
  }

  #stopping({ why, fault, asked = false }: Ground): Stopping {
    const state = this.#state
    if (state.type !== 'stopping')
      return { type: 'stopping', why, fault, asked, loaded: state.type === 'ready' }
    return {
      type: 'stopping',
      why: state.why,
      fault: state.fault ?? fault,
      asked: state.asked || asked,
      loaded: state.loaded,
    }
  }

  /** @throws Error for an illegal step */
  #become(next: State): void {
    const { timer } = this.#state
    const [from, to] = [stepOf(this.#state), stepOf(next)]
    if (!STEPS[from].includes(to)) throw new Error(`worker ${this.pid} cannot go from ${from} to ${to}`)
    if (timer !== next.timer) timer?.cancel()
    this.#state = next
  }

  #exited(code: number | null, signal: string | null): void {
    const state = this.#state
    this.#become({ type: 'exited' })
    this.#process.kill('SIGKILL')
    const stopping = state.type === 'stopping' ? state : undefined
    const { tail: stderr, heapFull } = this.#words
    const exit = { fault: stopping?.fault, shutdown: this.#shutdown, served: this.#served, code, signal }
    const out = [...this.#out.values()]
    const outcomes = blame(
      { ...exit, stderr, heapFull },
      out.map(({ dispatch }) => dispatch),
    )
    const durationMs = this.#clock.monotonic() - (this.#head?.sinceMs ?? 0)
    const byReceiver = new Map<Receiver, RunEnd[]>()
    for (const [at, { dispatch, receiver }] of out.entries()) {
      const ended = byReceiver.get(receiver) ?? []
      byReceiver.set(receiver, ended)
      ended.push({ n: dispatch.n, durationMs, outcome: outcomes[at]! })
    }
    this.#out.clear()
    this.#head = undefined
    for (const [receiver, ended] of byReceiver) receiver.ended(ended)
    const last = stderr.trim().slice(-300)
    const why = stopping?.why ?? `exited by itself (${signal ?? `code ${code}`})${last && `: ${last}`}`
    const loaded = stopping?.loaded ?? state.type === 'ready'
    const asked = stopping?.asked ?? false
    const explained = asked || this.#shutdown || stopping?.fault?.type === 'timed-out'
    const charged = outcomes.some(({ type }) => type !== 'cancelled')
    this.#listener.gone(this, { why, loaded, asked, unexpected: loaded && !explained && !charged })
  }

  #line(stream: 'stdout' | 'stderr', line: string): void {
    if (stream === 'stderr') this.#words.add(line)
    const [only] = this.#out.values()
    this.#listener.output(this, this.#out.size === 1 ? only : undefined, stream, line)
  }
}

function stepOf(state: State): StepName {
  return state.type === 'stopping' ? state.step : state.type
}

function isWorking(state: State): state is Working {
  return state.type === 'ready' || (state.type === 'stopping' && state.step === 'draining')
}

const SHOWN_CHARS_MAX = 200

/** A parsed report; undefined: bytes that are not JSON. */
function shown(said: unknown): string {
  const text = said === undefined ? 'bytes that are not JSON' : JSON.stringify(said)
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text
}

/** Puts the causes into the first line, since terminals may show few of the others. */
function storyOf(error: ErrorInfo): string {
  if (error.stack === undefined) return errorText(error)
  const [first = '', ...frames] = error.stack.split('\n')
  return [first + causesText(error), ...frames].join('\n')
}

function cancelled(n: number, why: 'not-started'): RunEnd {
  return { n, durationMs: 0, outcome: { type: 'cancelled', why } }
}
