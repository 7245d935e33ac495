// One folder of a sweep: opened at its first visit, then read only when its files may have changed or a reply
// is due. No handle is open between two visits.
import { type Backoff, backoffMs } from '../protocol/backoff.ts'
import type { Clock, Timer } from '../protocol/clock.ts'
import { errorText } from '../protocol/errors.ts'
import { type Adapter, type DeliverOptions, relayParts } from './adapter.ts'
import { ChangeProbe, type ProbeResult } from './change-probe.ts'
import type { DeliveryEvent } from './delivery-attempt.ts'
import type { Host } from './host.ts'
import { type OpenFolder, openFolder } from './open.ts'
import { Outage } from './outage.ts'
import { Relay } from './relay.ts'
import type { SyncReport } from './sync.ts'

export interface SessionFolderParts {
  readonly folder: string
  readonly clock: Clock
  readonly zone: string
  readonly adapter: Adapter | undefined
  readonly deliver: DeliverOptions
  readonly synced: (report: SyncReport) => void
  readonly delivered: (event: DeliveryEvent) => void
  readonly trouble: (error: string) => void
  readonly freeSends: () => number
  readonly sendBegan: () => void
  readonly sendEnded: () => void
  readonly visitSoon: () => void
}

/** Per folder: one slow platform must not use all sends of a sweep. */
const CONCURRENCY = 8
/**
 * A folder whose outbound.db cannot be read, mostly for a lock, is visited again after these pauses, and
 * later with the rounds.
 */
const AGAIN: Backoff = { minMs: 25, maxMs: 800 }
const AGAIN_MAX = 6
/** Pause between two attempts to write a delivery result. */
const NOTE_POLL_MS = 50

export class SessionFolder {
  readonly #parts: SessionFolderParts
  readonly #glance: ChangeProbe
  readonly #stopping = new AbortController()
  #open: OpenFolder | undefined
  #unreadable = 0
  #again: Timer | undefined
  #courier: Relay | undefined

  constructor(parts: SessionFolderParts) {
    this.#parts = parts
    this.#glance = new ChangeProbe(parts.folder)
  }

  /** @throws NanoclawError `inbound_unusable` */
  get host(): Host {
    const { host, file } = this.#opened()
    file.close()
    return host
  }

  /**
   * False: a file was not readable.
   * @throws NanoclawError while a file cannot be used
   */
  visit(): boolean {
    if (this.#stopping.signal.aborted) return true
    const open = this.#opened()
    const look = this.#glance.look(this.#parts.clock.now())
    const isNews = this.#glance.isNews(look)
    if (!isNews && !this.#courier?.isDue(look)) return true
    try {
      return open.file.during(() => open.outbox.during(() => this.#work(look, isNews, open)))
    } finally {
      open.file.close()
    }
  }

  /** Its relay may send again: a slot is free. */
  ask(): void {
    this.#courier?.ask()
    this.#parts.visitSoon()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#again?.cancel()
    await this.#courier?.drained()
    this.#open?.host.close()
  }

  #work(look: ProbeResult, isNews: boolean, open: OpenFolder): boolean {
    const readable = !isNews || this.#sync(open.host)
    if (this.#parts.adapter) {
      this.#courier ??= this.#makeCourier(this.#parts.adapter, open)
      this.#courier.look(look)
    }
    if (isNews && readable) this.#glance.read(look)
    return readable
  }

  #sync(host: Host): boolean {
    const report = host.sync()
    const { completed, failed, recurred, stopped } = report
    if (completed + failed + recurred + stopped.length > 0) this.#parts.synced(report)
    if (report.readable) this.#unreadable = 0
    else {
      this.#parts.trouble(report.reason ?? 'outbound.db cannot be read')
      this.#visitAgain()
    }
    return report.readable
  }

  #visitAgain(): void {
    const { clock, visitSoon } = this.#parts
    this.#again?.cancel()
    if (++this.#unreadable <= AGAIN_MAX)
      this.#again = clock.after(backoffMs(AGAIN, this.#unreadable), () => visitSoon())
  }

  /** The first call leaves the file open; the visit that follows uses and closes it. */
  #opened(): OpenFolder {
    const { folder, clock, zone } = this.#parts
    this.#open ??= openFolder(folder, { keepOpen: true, clock, zone })
    return this.#open
  }

  #makeCourier(adapter: Adapter, { host, file, outbox }: OpenFolder): Relay {
    const { clock, deliver, delivered, trouble, freeSends, sendBegan, sendEnded, visitSoon } = this.#parts
    const options = { concurrency: CONCURRENCY, ...deliver, pollMs: NOTE_POLL_MS, onEvent: delivered }
    return new Relay(relayParts({ dir: host.dir, host, file, outbox, clock }, adapter, options), {
      outage: new Outage(trouble),
      stopping: this.#stopping.signal,
      free: freeSends,
      began: sendBegan,
      ended: sendEnded,
      again: visitSoon,
      failed: (bug) => trouble(errorText(bug)),
    })
  }
}
