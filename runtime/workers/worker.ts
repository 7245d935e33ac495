// One process that runs one function. Every dispatch given to it comes back as exactly one Ended, whatever becomes of the
// process: a result, its death, or its time being up, whichever is first. After a doubtful end it is never used again.
//
//   starting ─ loaded ─► ready ─ retire, timeout, forged report, uncaught error, lost channel ─► ending ─ exit ─► gone
//       └─ not-loaded, load timeout, lost channel, exit ────────────────────────────────────────────┘
//
// There is no other state: a process is starting (its load timer runs), can be given work, or ends (with work in it, whose
// timer runs, or after a signal, and the timer of the next signal runs).
//
// Blame is laid only where it is certain. While several messages are in the process and it dies, each of them comes back
// as cancelled (process-died) and runs alone next; what happens to a process with one message in it is that message's doing.
import type { Clock, Timer } from '../protocol/clock.ts'
import { causesText, type ErrorInfo, errorText } from '../protocol/errors.ts'
import type { Dispatch, Report, Result } from '../protocol/ipc.ts'
import type { Outcome } from '../protocol/outcome.ts'
import { type Order, pack } from '../protocol/wire.ts'
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
  /** Starts processes that speak protocol/ipc. */
  readonly spawner: Spawner
}

export interface RunEnd {
  readonly n: number
  readonly outcome: Outcome
  readonly durationMs: number
}

/** What a child tells its pool. */
export interface WorkerListener {
  loaded(child: Worker, definition: unknown): void
  /** It takes another batch. */
  free(child: Worker): void
  /** `unexpected`: nobody has asked it to go, and no message is charged with its end. */
  gone(child: Worker, why: string, unexpected: boolean): void
  output(child: Worker, messageId: string | null, stream: 'stdout' | 'stderr', line: string): void
  log(child: Worker, messageId: string | null, report: Extract<Report, { type: 'log' }>): void
}

interface Out {
  readonly dispatch: Dispatch
  readonly onEnded: (ended: readonly RunEnd[]) => void
}

/** Exit of a process, last words on its channel, end of its output: these arrive in any order, within this time. */
const LAST_WORDS_MS = 100

const CHANNEL_LOST = 'closed its channel to the runtime, and went on'

export class Worker {
  readonly name: string
  readonly bundle: string
  readonly startedMs: number
  readonly #clock: Clock
  readonly #limits: WorkerLimits
  readonly #listener: WorkerListener
  readonly #process: Process
  readonly #out = new Map<number, Out>()
  #state: 'starting' | 'ready' | 'ending' | 'gone' = 'starting'
  #why = ''
  #everLoaded = false
  #served = 0
  /** When the first of #out began, as far as can be told from here. */
  #headSinceMs = 0
  #timer: Timer | undefined
  /** The last one sent. */
  #signal: 'SIGTERM' | 'SIGKILL' | undefined
  #channelLost = false
  #timedOut: number | undefined
  #uncaught: ErrorInfo | undefined
  #shutdown = false
  readonly #words = new StderrTail()
  /** The message that runs takes so long that what waited behind it was given back. */
  #handedBack = false
  #dismissed = false

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
    this.#process.onEnd((code, signal) => this.#ended(code, signal), LAST_WORDS_MS)
    this.#process.onChannelLost(() => this.#lostChannel(), LAST_WORDS_MS)
    for (const stream of ['stdout', 'stderr'] as const)
      this.#process.onData(stream, new LineReader((line) => this.#line(stream, line)))
    this.#timer = clock.after(limits.loadTimeoutMs, () =>
      this.#end(`did not load within ${limits.loadTimeoutMs} ms`, 'SIGKILL'),
    )
  }

  get pid(): number {
    return this.#process.pid
  }

  get state(): 'starting' | 'ready' | 'ending' | 'gone' {
    return this.#state
  }

  /** Whether it ever got as far as to take messages. */
  get everLoaded(): boolean {
    return this.#everLoaded
  }

  /** Asked to go, for no fault of its own. */
  get dismissed(): boolean {
    return this.#dismissed
  }

  /** Whether a batch may wait behind what runs: that is quick so far, suspected of nothing, and stays. */
  get takesMore(): boolean {
    if (!this.#takes || this.#handedBack) return false
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

  /** Before its end is told it may be gone already; what is given to it then would be charged with its death. */
  get #takes(): boolean {
    return this.#state === 'ready' && this.#process.alive
  }

  run(batch: readonly Dispatch[], onEnded: (ended: readonly RunEnd[]) => void): void {
    if (!this.#takes) return onEnded(batch.map(({ n }) => cancelled(n, 'not-started')))
    if (this.#out.size === 0) this.#headSinceMs = this.#clock.monotonic()
    for (const dispatch of batch) this.#out.set(dispatch.n, { dispatch, onEnded })
    this.#watch()
    this.#process.send(pack(batch))
  }

  /** Ends when what is in it has ended. */
  retire(why: string): void {
    this.#dismissed = true
    this.#why ||= why
    if (this.#out.size === 0) this.#end(why, 'SIGTERM')
    else if (this.#state === 'ready') this.#state = 'ending'
  }

  /** Tells the running handler that the runtime shuts down; whatever it does from now on is not charged to it. */
  abort(): void {
    this.#shutdown = true
    const [head] = this.#out.keys()
    if (head !== undefined) this.#process.send({ type: 'abort', n: head, why: 'shutdown' } satisfies Order)
  }

  kill(why: string): void {
    this.#dismissed = true
    this.#end(why, 'SIGKILL')
  }

  get #head(): number | undefined {
    const [head] = this.#out.keys()
    return head
  }

  #report(report: Report): void {
    if (this.#state === 'gone') return
    switch (report.type) {
      case 'loaded':
        if (this.#state !== 'starting') return this.#end('reported its load twice', 'SIGKILL')
        this.#timer?.cancel()
        this.#timer = undefined
        this.#state = 'ready'
        this.#everLoaded = true
        this.#listener.loaded(this, report.definition)
        return
      case 'not-loaded':
        return this.#end(storyOf(report.error), 'SIGKILL')
      case 'results':
        return this.#results(report.results)
      case 'uncaught':
        this.#uncaught = report.error
        return this.#end(`uncaught ${storyOf(report.error)}`, 'SIGKILL')
      case 'log':
        return this.#listener.log(this, this.#out.get(report.n)?.dispatch.message.id ?? null, report)
      default:
        return report satisfies never
    }
  }

  /** Nothing that this process says can be believed any more. */
  #senseless(said: unknown): void {
    const error = { name: 'InvalidReport', message: `sent an invalid report: ${shown(said)}` }
    this.#end((this.#uncaught ??= error).message, 'SIGKILL')
  }

  #results(results: readonly Result[]): void {
    const byReceiver = new Map<Out['onEnded'], RunEnd[]>()
    const headBefore = this.#head
    for (const result of results) {
      const out = this.#out.get(result.n)
      if (!out) {
        const error = { name: 'Forged', message: `answered for a message not in it (${result.n})` }
        this.#end((this.#uncaught ??= error).message, 'SIGKILL')
        continue
      }
      this.#out.delete(result.n)
      if (result.end !== 'back') this.#served++
      else if (result.why === 'handed-back') this.#handedBack = true
      const ended = byReceiver.get(out.onEnded)
      if (ended) ended.push(this.#endedBy(result))
      else byReceiver.set(out.onEnded, [this.#endedBy(result)])
    }
    if (this.#head !== headBefore) {
      this.#headSinceMs = this.#clock.monotonic()
      this.#handedBack = false
    }
    for (const [onEnded, ended] of byReceiver) onEnded(ended)
    this.#afterResults()
  }

  #endedBy(result: Result): RunEnd {
    const { n, ms: durationMs } = result
    // An answer that came all the same, before the process had to go, is an answer: what ran behind it relies on it.
    if (n === this.#timedOut && result.end !== 'replied')
      return { n, durationMs, outcome: { type: 'timed-out', afterMs: Math.round(durationMs) } }
    switch (result.end) {
      case 'replied':
        return { n, durationMs, outcome: { type: 'replied', replies: result.replies } }
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
    if (this.#timedOut !== undefined && !this.#out.has(this.#timedOut)) return this.#end(this.#why, 'SIGTERM')
    if (this.#served >= this.#limits.maxMessagesPerWorker) this.retire(`served ${this.#served} messages`)
    if (this.#state === 'ending' && this.#out.size === 0) this.#end(this.#why, 'SIGTERM')
    if (this.#state === 'ready') this.#listener.free(this)
  }

  /** One timer for the message that runs now; it is looked at when it fires, never moved while all goes well. */
  #watch(): void {
    if (this.#timer || this.#state === 'gone') return
    const [head] = this.#out.values()
    if (!head) return
    const leftMs = this.#headSinceMs + head.dispatch.timeoutMs - this.#clock.monotonic()
    this.#timer = this.#clock.after(leftMs, () => {
      this.#timer = undefined
      const [now] = this.#out.values()
      if (now && this.#clock.monotonic() >= this.#headSinceMs + now.dispatch.timeoutMs)
        this.#timeout(now.dispatch)
      else this.#watch()
    })
  }

  #timeout({ n, timeoutMs }: Dispatch): void {
    this.#timedOut = n
    this.#why = `a message took longer than its ${timeoutMs} ms`
    this.#state = 'ending'
    this.#process.send({ type: 'abort', n, why: 'timeout' } satisfies Order)
    this.#timer = this.#clock.after(this.#limits.abortGraceMs, () => this.#end(this.#why, 'SIGTERM'))
  }

  /** One that has its time to end by itself, after an abort or SIGTERM, keeps it. */
  #lostChannel(): void {
    if (this.#signal || this.#timedOut !== undefined) return
    this.#channelLost = true
    this.#end(CHANNEL_LOST, 'SIGKILL')
  }

  /** SIGTERM is followed by SIGKILL, however often it is asked for; both go to the whole process group. */
  #end(why: string, signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#state === 'gone' || (this.#signal && signal === 'SIGTERM')) return
    this.#why ||= why
    this.#state = 'ending'
    this.#signal = signal
    this.#timer?.cancel()
    this.#process.kill(signal)
    if (signal === 'SIGTERM')
      this.#timer = this.#clock.after(this.#limits.killGraceMs, () => this.#end(why, 'SIGKILL'))
  }

  #ended(code: number | null, signal: string | null): void {
    this.#state = 'gone'
    this.#timer?.cancel()
    this.#process.kill('SIGKILL')
    const certain = this.#out.size === 1
    const durationMs = this.#clock.monotonic() - this.#headSinceMs
    let unexpected = this.#everLoaded && !this.#dismissed && !this.#shutdown && this.#timedOut === undefined
    const byReceiver = new Map<Out['onEnded'], RunEnd[]>()
    for (const [n, { dispatch, onEnded }] of this.#out) {
      const ended = byReceiver.get(onEnded) ?? []
      byReceiver.set(onEnded, ended)
      const outcome = this.#outcomeOfDeath(dispatch, certain, code, signal)
      if (outcome.type !== 'cancelled') unexpected = false
      ended.push({ n, durationMs, outcome })
    }
    this.#out.clear()
    for (const [onEnded, ended] of byReceiver) onEnded(ended)
    const last = this.#words.tail.trim().slice(-300)
    const why = this.#why || `exited by itself (${signal ?? `code ${code}`})${last && `: ${last}`}`
    this.#listener.gone(this, why, unexpected)
  }

  #outcomeOfDeath(dispatch: Dispatch, certain: boolean, code: number | null, signal: string | null): Outcome {
    if (this.#shutdown) return { type: 'cancelled', why: 'shutdown' }
    const forAnother = this.#timedOut !== undefined && dispatch.n !== this.#timedOut
    if (!certain || forAnother) return { type: 'cancelled', why: 'process-died' }
    if (dispatch.n === this.#timedOut) return { type: 'timed-out', afterMs: dispatch.timeoutMs }
    // Either of these may stem from a message before this one; only when this one was alone in a fresh process, or fails so twice, is it sure.
    if (this.#uncaught && (this.#served === 0 || dispatch.alone))
      return { type: 'threw', error: this.#uncaught, retry: { wish: 'policy' } }
    if (this.#uncaught || (this.#channelLost && this.#served > 0 && !dispatch.alone))
      return { type: 'cancelled', why: 'process-died' }
    const stderr = this.#words.tail
    if (this.#words.heapFull) return { type: 'out-of-memory', stderr }
    if (this.#channelLost) return { type: 'exited', code: null, stderr }
    if (signal !== null) return { type: 'killed', signal, stderr }
    return { type: 'exited', code: code ?? 0, stderr }
  }

  #line(stream: 'stdout' | 'stderr', line: string): void {
    if (stream === 'stderr') this.#words.add(line)
    const [only] = this.#out.values()
    this.#listener.output(
      this,
      this.#out.size === 1 ? (only?.dispatch.message.id ?? null) : null,
      stream,
      line,
    )
  }
}

const SHOWN_CHARS_MAX = 200

/** What came as JSON; undefined: bytes that are none. */
function shown(said: unknown): string {
  const text = said === undefined ? 'bytes that are no JSON' : JSON.stringify(said)
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text
}

/** With its causes in the first line, since a screen may show few of the others. */
function storyOf(error: ErrorInfo): string {
  if (error.stack === undefined) return errorText(error)
  const [first = '', ...frames] = error.stack.split('\n')
  return [first + causesText(error), ...frames].join('\n')
}

function cancelled(n: number, why: 'not-started'): RunEnd {
  return { n, durationMs: 0, outcome: { type: 'cancelled', why } }
}
