// The host's reads of outbound.db during a test: the acks and replies so far, and violations. Each poll reads
// the replies first and the acks second, and so detects both orders of separate commits.

import type { TerminalAck } from '../host/sqlite/inbox.ts'
import { HostOutbox, type ReplyRow } from '../host/sqlite/outbox.ts'
import type { Clock } from '../protocol/clock.ts'
import type { TestMessage } from './inbound-writer.ts'

const PAGE_ROWS = 1_000

export class OutboundObserver {
  readonly #outbox: HostOutbox
  readonly #clock: Clock
  readonly #acks = new Map<string, string>()
  readonly #sent: string[] = []
  readonly #expected = new Set<string>()
  readonly #dueAtMs = new Map<string, number>()
  readonly replies: ReplyRow[] = []
  /** Messages that began before their time. */
  readonly early = new Set<string>()
  /** Acks without their replies, replies without their ack. */
  readonly apart = new Set<string>()
  /** On the monotonic clock. */
  lastReplyAtMs = 0

  constructor(path: string, clock: Clock) {
    this.#outbox = new HostOutbox(path)
    this.#clock = clock
  }

  expect(messages: readonly TestMessage[]): void {
    for (const { id, answered = true, dueAtMs } of messages) {
      this.#sent.push(id)
      if (answered) this.#expected.add(id)
      if (dueAtMs !== undefined) this.#dueAtMs.set(id, dueAtMs)
    }
  }

  /** No news while the file is not readable. */
  look(): void {
    const found = this.#outbox.repliesAfter({ seq: null, row: this.replies.at(-1)?.cursor ?? 0 }, PAGE_ROWS)
    const replies = found.either(
      (rows) => rows,
      () => undefined,
    )
    if (!replies) return
    this.replies.push(...replies)
    if (replies.length > 0) this.lastReplyAtMs = this.#clock.monotonic()
    // A message that was acked before the replies were read must have its reply among them.
    for (const [id, status] of this.#acks)
      if (status === 'completed' && this.#expected.has(id) && this.repliesTo(id).length === 0)
        this.apart.add(`${id}: acked before its reply was there`)
    const acks = this.#outbox.acks(this.#sent).either(
      (all) => all,
      () => undefined,
    )
    if (!acks) return
    this.#acks.clear()
    for (const { id, status } of acks) this.#acks.set(id, status)
    for (const { inReplyTo } of replies)
      if (inReplyTo !== null && this.#expected.has(inReplyTo) && this.ack(inReplyTo) !== 'completed')
        this.apart.add(`${inReplyTo}: answered before its ack was there`)
    const nowMs = this.#clock.now()
    for (const [id, dueAtMs] of this.#dueAtMs) if (nowMs < dueAtMs && this.hasBegun(id)) this.early.add(id)
  }

  ack(id: string): string | undefined {
    return this.#acks.get(id)
  }

  repliesTo(id: string): readonly ReplyRow[] {
    return this.replies.filter(({ inReplyTo }) => inReplyTo === id)
  }

  hasBegun(id: string): boolean {
    return this.#acks.has(id) || this.repliesTo(id).length > 0
  }

  hasEnded(id: string): boolean {
    const status = this.ack(id)
    if (status !== 'completed') return status === 'failed'
    return !this.#expected.has(id) || this.repliesTo(id).length > 0
  }

  get terminal(): TerminalAck[] {
    return [...this.#acks].flatMap(([id, status]) =>
      status === 'completed' || status === 'failed' ? [{ id, status } as const] : [],
    )
  }

  get claims(): string[] {
    return [...this.#acks].filter(([, status]) => status === 'processing').map(([id]) => id)
  }
}
