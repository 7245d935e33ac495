// Delivery: takes new replies into a queue on the disk and hands each to the adapter, one at a time for each destination,
// until it is sent or given up. Everything that is decided is written before the next step, so a host that dies goes on
// where it was; what was in an adapter's hands then is sent again, under the same idempotency key.
import type { Clock } from '../clock.ts'
import { NonRetryableError } from '../protocol/errors.ts'
import type { RetryPolicy } from '../protocol/function.ts'
import { parseTime } from '../protocol/time.ts'
import {
  createDeliveryTables,
  headsOf,
  type NewParcel,
  type Parcel,
  takeIn,
  takenUpTo,
} from '../store/host-delivery.ts'
import type { HostFile } from '../store/host-file.ts'
import type { HostOutbox, ReplyRow } from '../store/host-outbox.ts'
import { Notes } from './notes.ts'
import { Outage } from './outage.ts'
import { clearFiles } from './outgoing.ts'
import { type DeliveryEvent, decideTried, type SendEnd } from './tried.ts'

/** Sends one reply and returns the platform's id for it; throws when it could not be sent. */
export type Send = (reply: ReplyRow, attempt: number) => Promise<string | null>

export interface DeliveryParts {
  readonly dir: string
  readonly file: HostFile
  readonly outbox: HostOutbox
  readonly clock: Clock
  readonly send: Send
  readonly policy: RetryPolicy
  readonly concurrency: number
  readonly pollMs: number
  readonly onEvent: (event: DeliveryEvent) => void
}

/** Replies taken into the queue in one transaction. */
const PAGE_ROWS = 500

export class Delivery {
  /** Ends when stop() has done its work; fails only with a bug of ours or of `onEvent`. */
  readonly done: Promise<void>
  readonly #parts: DeliveryParts
  readonly #stopping = new AbortController()
  readonly #busy = new Map<string, Promise<void>>()
  readonly #outage: Outage
  readonly #notes: Notes
  #prepared = false
  /** The lane that was served last, so that all get their turn. */
  #after = ''
  #nudged = false
  #wake = () => {}
  #bug: unknown
  #over = false

  constructor(parts: DeliveryParts) {
    this.#parts = parts
    this.#outage = new Outage((error) => parts.onEvent({ type: 'blocked', error }))
    this.#notes = new Notes(parts.file, parts.clock, this.#outage, parts.pollMs, this.#stopping.signal)
    this.done = this.#run()
  }

  /** False once everything of it has ended. */
  get running(): boolean {
    return !this.#over
  }

  /** Sends nothing more, and waits until what adapters have in their hands has come back or run out of time. */
  stop(): Promise<void> {
    this.#stopping.abort()
    this.#wake()
    return this.done
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        this.#outage.guard(() => this.#look())
      } catch (error) {
        this.#giveUp(error)
      }
      await this.#rest()
    }
    await Promise.all(this.#busy.values())
    this.#over = true
    if (this.#bug !== undefined) throw this.#bug
  }

  #look(): void {
    const { file, outbox, clock, concurrency } = this.#parts
    if (!this.#prepared) createDeliveryTables(file)
    this.#prepared = true
    this.#takeIn()
    const limit = concurrency - this.#busy.size
    const busy = new Set(this.#busy.keys())
    const heads = headsOf(file, { after: this.#after, busy, limit, nowMs: clock.now() })
    const replies = outbox.repliesById(heads.map(({ id }) => id))
    if (!replies.readable) return
    for (const parcel of heads) {
      this.#after = parcel.lane
      this.#busy.set(parcel.lane, this.#serve(parcel, replies.value.get(parcel.id)))
    }
  }

  /** One page; the rest of a long history follows in the next looks, so that the process stays awake meanwhile. */
  #takeIn(): void {
    const { file, outbox } = this.#parts
    const page = outbox.repliesBehind(takenUpTo(file), PAGE_ROWS)
    if (!page.readable || page.value.length === 0) return
    takeIn(file, page.value.map(parcelOf))
    if (page.value.length === PAGE_ROWS) this.#nudge()
  }

  async #serve(parcel: Parcel, reply: ReplyRow | undefined): Promise<void> {
    const { dir, clock, policy, onEvent } = this.#parts
    const attempt = parcel.attempts + 1
    try {
      const end = await this.#send(parcel.id, reply, attempt)
      const tried = decideTried(parcel.id, end, {
        attempt,
        policy,
        nowMs: clock.now(),
        random: Math.random(),
      })
      if (!(await this.#notes.write(tried))) return
      if (tried.type === 'delivered') clearFiles(dir, parcel.id)
      onEvent(tried)
    } catch (error) {
      this.#giveUp(error)
    } finally {
      this.#busy.delete(parcel.lane)
      this.#nudge()
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

  #giveUp(bug: unknown): void {
    this.#bug ??= bug
    this.#stopping.abort()
    this.#wake()
  }

  /** Until the next look is due, or something has changed. */
  #rest(): Promise<void> {
    if (this.#stopping.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = this.#parts.clock.after(this.#parts.pollMs, resolve)
      this.#wake = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  /** Look again as soon as everything that has come back by now has been counted. */
  #nudge(): void {
    if (this.#nudged) return
    this.#nudged = true
    this.#parts.clock.soon(() => {
      this.#nudged = false
      this.#wake()
    })
  }
}

/** A time that nobody can read is no reason to keep a reply: it is due at once. */
export function parcelOf({ id, kind, channelType, platformId, threadId, deliverAfter }: ReplyRow): NewParcel {
  const lane = kind === 'system' ? 'system' : JSON.stringify([channelType, platformId, threadId])
  return { id, lane, dueAtMs: parseTime(deliverAfter ?? '') ?? 0 }
}
