// The state of each message, as its host sees it. Decides the result of the demo: no message lost, repeated
// or out of order.
import type { Host, HostReply, SyncReport } from 'nanoclaw-functions/host'
import type { Planned } from './messages.ts'

interface Entry extends Planned {
  readonly id: string
  readonly place: number
  /** When its commit had returned, and when its last reply was read; milliseconds of performance.now(). */
  readonly sentMs: number
  answeredMs: number
  found: number
}

export class Ledger {
  readonly #entries = new Map<string, Entry>()
  /** For each ordering key, the place of the message that was answered last. */
  readonly #lastPlaces = new Map<string, number>()
  readonly #faults: string[] = []
  readonly #startMs = performance.now()
  #expected = 0
  replies = 0
  completed = 0
  failed = 0

  sent(id: string, planned: Planned): void {
    const place = this.#entries.size
    this.#entries.set(id, { ...planned, id, place, sentMs: performance.now(), answeredMs: 0, found: 0 })
    this.#expected += planned.replies
  }

  /** Returns the message that it answers. */
  replied({ id, inReplyTo, channelType, platformId, threadId }: HostReply): Planned | undefined {
    this.replies += 1
    const entry = this.#entries.get(inReplyTo ?? '')
    if (!entry) {
      this.#faults.push(`reply ${id} answers ${inReplyTo}, which was not sent`)
      return undefined
    }
    entry.found += 1
    entry.answeredMs = performance.now()
    const key = JSON.stringify([channelType, platformId, threadId])
    if (entry.place < (this.#lastPlaces.get(key) ?? 0))
      this.#faults.push(`${entry.id} was overtaken in ${key}`)
    this.#lastPlaces.set(key, entry.place)
    return entry
  }

  acked({ completed, failed }: SyncReport): void {
    this.completed += completed
    this.failed += failed
  }

  get messages(): number {
    return this.#entries.size
  }

  get acks(): number {
    return this.completed + this.failed
  }

  get done(): boolean {
    return this.acks >= this.messages && this.replies >= this.#expected
  }

  /** All faults as text. Checks every message in both files. */
  faults(host: Host): string[] {
    const ends = [...this.#entries.values()].flatMap(({ id, replies, found }) => {
      const expected = `${replies === 0 ? 'failed' : 'completed'} with ${replies} replies`
      const actual = `${host.status(id)?.state ?? 'gone'} with ${found} replies`
      return actual === expected ? [] : [`${id} is ${actual}; expected: ${expected}`]
    })
    return [...this.#faults, ...ends]
  }

  /** Rows of a table: what, how much, a remark. */
  summary(): [label: string, figure: string, remark: string][] {
    const answered = [...this.#entries.values()].filter(({ found }) => found > 0)
    const single = answered.filter(({ message }) => message.kind === 'webhook')
    const latencyMs = single.map(({ sentMs, answeredMs }) => answeredMs - sentMs).sort((a, b) => a - b)
    const together = answered.filter(({ burst }) => burst)
    const burstMs = Math.max(...together.map(({ answeredMs }) => answeredMs)) - together[0]!.sentMs
    const quantile = (share: number) => `${latencyMs[Math.ceil(latencyMs.length * share) - 1]?.toFixed(1)} ms`
    return [
      ['messages', count(this.messages), `${single.length} GitHub deliveries; chat and links`],
      [
        'acks',
        count(this.acks),
        `${count(this.completed)} completed, ${this.failed} failed: the link to nowhere`,
      ],
      [
        'replies',
        count(this.replies),
        `in order in each of ${this.#lastPlaces.size} repositories and threads`,
      ],
      ['p50', quantile(0.5), 'of a delivery, from commit until its reply is read'],
      ['p99', quantile(0.99), 'of 100 deliveries, one takes longer than this'],
      ['max', quantile(1), 'the slowest of them'],
      [
        'messages/s',
        count((together.length * 1000) / burstMs),
        `${count(together.length)} that came at once`,
      ],
      [
        'wall time',
        `${((performance.now() - this.#startMs) / 1000).toFixed(1)} s`,
        'the start of the runtime included',
      ],
    ]
  }
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en')
}
