// Delivers one folder's replies: each poll inserts new replies into a queue on disk and passes the due ones
// to the adapter, one at a time per destination, until each is sent or given up. Every decision is on disk
// before the next step, so a killed host continues where it was; a send that was running then is repeated
// under the same idempotency key. The driver decides when to poll; a poll without work costs microseconds.
import type { Clock } from '../protocol/clock.ts'
import { NonRetryableError } from '../protocol/errors.ts'
import type { RetryPolicy } from '../protocol/function.ts'
import { parseTime } from '../protocol/time.ts'
import { ChangeProbe, type ProbeResult } from './change-probe.ts'
import { type DeliveryEvent, decideAttempt, type SendEnd } from './delivery-attempt.ts'
import { DeliveryLog } from './delivery-log.ts'
import type { Outage } from './outage.ts'
import { clearFiles } from './outgoing.ts'
import { type NewQueuedReply, type QueuedReply, queuedUpTo, queueReplies } from './sqlite/delivery.ts'
import type { HostFile } from './sqlite/file.ts'
import { headsOf, queueTimes } from './sqlite/heads.ts'
import type { HostOutbox, ReplyRow } from './sqlite/outbox.ts'

/** Sends one reply and returns the platform's id of it; throws when it was not sent. */
export type Send = (reply: ReplyRow, attempt: number) => Promise<string | null>

export interface RelayParts {
  readonly dir: string
  readonly file: HostFile
  readonly outbox: HostOutbox
  readonly clock: Clock
  readonly send: Send
  readonly policy: RetryPolicy
  /** Destinations served at the same time. */
  readonly concurrency: number
  /** Pause between two attempts to write a result. */
  readonly pollMs: number
  readonly onEvent: (event: DeliveryEvent) => void
}

/** The owner of a relay: its timer and its limits. */
export interface RelayDriver {
  readonly outage: Outage
  readonly stopping: AbortSignal
  /** How many sends may begin now, in addition to the relay's own limit. */
  readonly free: () => number
  /** A send has begun, or has ended. */
  readonly began: () => void
  readonly ended: () => void
  /** There is work: poll again soon. */
  readonly again: () => void
  /** A bug in this package, or in `onEvent`. */
  readonly failed: (bug: unknown) => void
}

/** Replies inserted into the queue in one transaction. */
const PAGE_ROWS = 500

export class Relay {
  readonly #parts: RelayParts
  readonly #driver: RelayDriver
  readonly #glance: ChangeProbe
  readonly #notes: DeliveryLog
  readonly #busy = new Map<string, Promise<void>>()
  /** The lane that was served last, for round robin. */
  #after = ''
  /** A change that the files need not show. */
  #asked = true
  #nextDueMs = Number.POSITIVE_INFINITY

  constructor(parts: RelayParts, driver: RelayDriver) {
    this.#parts = parts
    this.#driver = driver
    this.#glance = new ChangeProbe(parts.dir)
    this.#notes = new DeliveryLog(parts.file, parts.clock, driver.outage, parts.pollMs, driver.stopping)
  }

  /** Whether a poll may find work, by the files' times and the next due time. */
  isDue(look: ProbeResult): boolean {
    return this.#asked || this.#glance.isNews(look) || look.atMs >= this.#nextDueMs
  }

  /** @throws NanoclawError while a file cannot be used */
  look(look: ProbeResult = this.#glance.look(this.#parts.clock.now())): void {
    if (!this.isDue(look)) return
    this.#asked = false
    try {
      const { file, outbox } = this.#parts
      const readable = file.during(() => outbox.during(() => this.#takeIn() && this.#serveHeads()))
      if (readable) this.#glance.read(look)
    } catch (error) {
      this.#asked = true
      throw error
    }
  }

  /** Forces the next poll, whatever the files' times are. */
  ask(): void {
    this.#asked = true
  }

  /** Resolves when every running send has ended. */
  async drained(): Promise<void> {
    await Promise.all(this.#busy.values())
  }

  /**
   * Inserts one page; the rest of a long history follows in later polls, so that the event loop stays
   * responsive.
   */
  #takeIn(): boolean {
    const { file, outbox } = this.#parts
    return outbox.repliesBehind(queuedUpTo(file), PAGE_ROWS).either(
      (page) => {
        if (page.length > 0) queueReplies(file, page.map(queuedReplyOf))
        if (page.length === PAGE_ROWS) this.#again()
        return true
      },
      () => false,
    )
  }

  #serveHeads(): boolean {
    const { file, outbox, clock, concurrency } = this.#parts
    const nowMs = clock.now()
    const { isEmpty, nextDueMs } = queueTimes(file, nowMs)
    this.#nextDueMs = nextDueMs
    if (isEmpty) return true
    const limit = Math.min(concurrency - this.#busy.size, this.#driver.free())
    const busy = new Set(this.#busy.keys())
    const heads = headsOf(file, { after: this.#after, busy, limit, nowMs })
    if (heads.length === 0) return true
    return outbox.repliesById(heads.map(({ id }) => id)).either(
      (replies) => {
        for (const parcel of heads) {
          this.#after = parcel.lane
          this.#busy.set(parcel.lane, this.#serve(parcel, replies.get(parcel.id)))
        }
        return true
      },
      () => false,
    )
  }

  async #serve(parcel: QueuedReply, reply: ReplyRow | undefined): Promise<void> {
    const { dir, clock, policy, onEvent } = this.#parts
    const attempt = parcel.attempts + 1
    this.#driver.began()
    try {
      const end = await this.#send(parcel.id, reply, attempt)
      const facts = { attempt, policy, nowMs: clock.now(), random: Math.random() }
      const tried = decideAttempt(parcel.id, end, facts)
      if (!(await this.#notes.write(tried))) return
      if (tried.type === 'delivered') clearFiles(dir, parcel.id)
      onEvent(tried)
    } catch (error) {
      this.#driver.failed(error)
    } finally {
      this.#busy.delete(parcel.lane)
      this.#driver.ended()
      this.#again()
    }
  }

  async #send(id: string, reply: ReplyRow | undefined, attempt: number): Promise<SendEnd> {
    try {
      if (!reply) throw new NonRetryableError(`reply ${id} is no longer in outbound.db`)
      return { type: 'sent', platformId: await this.#parts.send(reply, attempt) }
    } catch (thrown) {
      return { type: 'threw', thrown }
    }
  }

  #again(): void {
    this.#asked = true
    this.#driver.again()
  }
}

/** A reply with an invalid time is due at once. */
export function queuedReplyOf({
  id,
  kind,
  channelType,
  platformId,
  threadId,
  deliverAfter,
}: ReplyRow): NewQueuedReply {
  const lane = kind === 'system' ? 'system' : JSON.stringify([channelType, platformId, threadId])
  return { id, lane, dueAtMs: parseTime(deliverAfter ?? '') ?? 0 }
}
