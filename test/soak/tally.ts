// What has happened so far, over all lanes, and the summary of it at the end.
import { CRASH_POINTS, type CrashPoint } from './failpoints.ts'
import { leastHits, NEMESES, type Nemesis } from './plan.ts'
import { INVARIANTS, type Invariant } from './violation.ts'

export interface LaneEnd {
  readonly messages: number
  readonly runs: number
  readonly starts: number
  readonly replies: number
  readonly questions: number
  readonly answers: number
  /** Answers that came too late, or with what was not offered. */
  readonly late: number
  readonly unanswered: number
  /** From the last start to the last end. */
  readonly drainMs: number
}

export class Tally {
  readonly #kills: number
  readonly #startedMs = performance.now()
  readonly hits = new Map<CrashPoint, number>()
  readonly nemeses = new Map<Nemesis, number>()
  readonly broken = new Map<Invariant, number>()
  readonly ends: LaneEnd[] = []
  /** From the start of a runtime until it said so. */
  readonly startMs: number[] = []
  /** Rounds that could not be played, or were not as planned. */
  troubles = 0
  timed = 0
  hostKills = 0
  hotInbound = 0
  hotOutbound = 0
  cheapChecks = 0
  wholeChecks = 0

  constructor(kills: number) {
    this.#kills = kills
  }

  get kills(): number {
    return this.timed + sum(this.hits.values())
  }

  get failed(): boolean {
    return this.broken.size > 0 || this.troubles > 0 || this.#missed().length > 0
  }

  /** Lines for people; the last one counts what held and what did not. */
  lines(tinyDisk: boolean): string[] {
    const seconds = (performance.now() - this.#startedMs) / 1000
    const { kills } = this
    const of = (name: keyof LaneEnd) => sum(this.ends.map((end) => end[name]))
    const least = leastHits(this.#kills)
    const missed = this.#missed()
    const checks = Object.keys(INVARIANTS).length + CRASH_POINTS.length + 1
    const failed = this.broken.size + missed.length + (this.troubles > 0 ? 1 : 0)
    return [
      '',
      ...table([
        ['point', 'hit', 'at least'],
        ...CRASH_POINTS.map((point) => [point, this.hits.get(point) ?? 0, least]),
      ]),
      '',
      ...table([
        [
          'kills',
          kills,
          `${kills - this.timed} at a point, ${this.timed} at some time, ${this.hostKills} of them the host`,
        ],
        [
          'hot journals',
          this.hotInbound + this.hotOutbound,
          `inbound.db ${this.hotInbound}, outbound.db ${this.hotOutbound}`,
        ],
        ['nemeses', sum(this.nemeses.values()), this.#nemesesText(tinyDisk)],
        ['messages', of('messages'), `${of('replies')} replies`],
        [
          'questions',
          of('questions'),
          `${of('answers')} answered, ${of('unanswered')} not in time, ${of('late')} further answers`,
        ],
        ['runs', of('runs'), `${of('starts')} starts of a handler`],
        ['checks', this.cheapChecks + this.wholeChecks, `${this.wholeChecks} of them whole`],
        ['start', `${median(this.startMs)} ms`, 'median, from spawn to "started"'],
        [
          'drain',
          `${Math.round(Math.max(0, ...this.ends.map(({ drainMs }) => drainMs)))} ms`,
          'until everything had ended, faults off',
        ],
        ['seconds', seconds.toFixed(1), `${(kills / seconds).toFixed(2)} kills a second`],
      ]),
      '',
      ...[...this.broken].map(([name, times]) => `${name} broken ${times} times: ${INVARIANTS[name]}`),
      ...missed.map(
        (point) => `${point} was hit ${this.hits.get(point) ?? 0} times; expected ${least} at least`,
      ),
      ...(this.troubles > 0 ? [`${this.troubles} rounds did not go as planned`] : []),
      `${checks - failed} passed, ${failed} failed`,
    ]
  }

  #missed(): CrashPoint[] {
    return CRASH_POINTS.filter((point) => (this.hits.get(point) ?? 0) < leastHits(this.#kills))
  }

  #nemesesText(tinyDisk: boolean): string {
    const counts = NEMESES.map((name) => `${name} ${this.nemeses.get(name) ?? 0}`).join(', ')
    return tinyDisk ? counts : `${counts} (a full disk needs root and a second lane)`
  }
}

export function add<K>(map: Map<K, number>, key: K): void {
  map.set(key, (map.get(key) ?? 0) + 1)
}

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}

function median(numbers: readonly number[]): number {
  return Math.round([...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0)
}

function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = [0, 1, 2].map((at) => Math.max(...rows.map((row) => String(row[at] ?? '').length)))
  return rows.map(([name, value, note]) =>
    `  ${String(name).padEnd(widths[0]!)}  ${String(value).padStart(widths[1]!)}  ${note}`.trimEnd(),
  )
}
