// One host for many session folders: visits them in rounds, copies acks, inserts next occurrences and
// delivers replies. An unchanged folder costs a few microseconds per round and no handle; a failing one does
// not stop the others.
import { realpathSync } from 'node:fs'
import { type Clock, realClock } from '../protocol/clock.ts'
import { errorText, NanoclawError } from '../protocol/errors.ts'
import { ReportOnce } from '../protocol/report-once.ts'
import type { Adapter, DeliverOptions } from './adapter.ts'
import type { DeliveryEvent } from './delivery-attempt.ts'
import type { Host } from './host.ts'
import { hostZone } from './open.ts'
import { Rounds } from './rounds.ts'
import { SessionFolder } from './session-folder.ts'
import type { SyncReport } from './sync.ts'

export interface SweepOptions {
  /** Delivers the replies of all folders; without an adapter no reply is delivered. */
  readonly adapter?: Adapter
  /** As for one host; `concurrency` is for each folder, default 8. */
  readonly deliver?: Omit<DeliverOptions, 'onEvent' | 'pollMs'>
  /** Sends at the same time, over all folders. Default 1,024: each is an open request. */
  readonly sendsMax?: number
  /** Pause between two rounds, milliseconds. Default 1,000. */
  readonly pauseMs?: number
  readonly timeZone?: string
  readonly clock?: Clock
  readonly onEvent?: (event: SweepEvent) => void
}

export type SweepEvent =
  /** Emitted when acks were copied or occurrences inserted. */
  | ({ readonly type: 'synced'; readonly folder: string } & SyncReport)
  | (DeliveryEvent & { readonly folder: string })
  /** A folder cannot be read or written; emitted once per outage. */
  | { readonly type: 'trouble'; readonly folder: string; readonly error: string }

/**
 * How long a round may block the event loop at a time: below what people notice, above the cost of one visit.
 */
const SLICE_MS = 5

/** @throws NanoclawError `bad_usage`, naming the option */
export function sweep(options: SweepOptions = {}): Sweep {
  return new Sweep(options)
}

export class Sweep {
  readonly #options: SweepOptions
  readonly #rounds: Rounds
  readonly #folders = new Map<string, SessionFolder>()
  /** By folder. */
  readonly #troubles = new ReportOnce()
  readonly #sendsMax: number
  readonly #zone: string
  #sends = 0
  /** Folders with due replies when all send slots were in use. */
  readonly #starved = new Set<string>()

  constructor(options: SweepOptions) {
    this.#options = options
    this.#sendsMax = atLeastOne('sendsMax', options.sendsMax ?? 1_024)
    this.#zone = hostZone(options.timeZone)
    this.#rounds = new Rounds({
      clock: options.clock ?? realClock,
      pauseMs: atLeastOne('pauseMs', options.pauseMs ?? 1_000),
      sliceMs: SLICE_MS,
      visit: (folder) => this.#visit(folder),
      failed: (folder, error) => this.#trouble(folder, errorText(error)),
    })
  }

  /**
   * Sweeps this folder from now on; the first visit creates what is missing. Adding it twice changes nothing.
   */
  add(folder: string): void {
    const path = real(folder)
    if (this.#folders.has(path)) return
    this.#folders.set(path, this.#swept(path))
    this.#rounds.add(path)
  }

  /** Resolves when the running sends of this folder have ended. */
  async remove(folder: string): Promise<void> {
    const path = real(folder)
    const swept = this.#folders.get(path)
    this.#rounds.remove(path)
    this.#folders.delete(path)
    this.#troubles.over(path)
    this.#starved.delete(path)
    await swept?.stop()
  }

  /**
   * The host of a folder, for enqueue and the rest; the sweep itself calls its deliver().
   * @throws NanoclawError `bad_usage` when the folder is not swept, `inbound_unusable`
   */
  host(folder: string): Host {
    const swept = this.#folders.get(real(folder))
    if (swept) return swept.host
    throw new NanoclawError('bad_usage', `sweep: ${folder} is not swept; add() it first`)
  }

  /** Visits this folder as soon as possible. */
  nudge(folder: string): void {
    this.#rounds.soon(real(folder))
  }

  /** Resolves when every folder has been visited once more, from now on. */
  round(): Promise<void> {
    return this.#rounds.round()
  }

  /** Starts no further sends, waits for the running ones, and closes the hosts. May be called twice. */
  async stop(): Promise<void> {
    this.#rounds.stop()
    await Promise.all([...this.#folders.values()].map((swept) => swept.stop()))
  }

  #swept(folder: string): SessionFolder {
    const { adapter, deliver = {}, clock = realClock, onEvent = () => {} } = this.#options
    return new SessionFolder({
      folder,
      clock,
      zone: this.#zone,
      adapter,
      deliver,
      synced: (report) => onEvent({ type: 'synced', folder, ...report }),
      delivered: (event) => onEvent({ ...event, folder }),
      trouble: (error) => this.#trouble(folder, error),
      freeSends: () => this.#freeSends(folder),
      sendBegan: () => {
        this.#sends++
      },
      sendEnded: () => this.#sendEnded(),
      visitSoon: () => this.#rounds.soon(folder),
    })
  }

  #visit(folder: string): void {
    if (this.#folders.get(folder)?.visit()) this.#troubles.over(folder)
    // The folder that was called may have had nothing to send.
    if (this.#sends < this.#sendsMax) this.#callStarved()
  }

  #trouble(folder: string, error: string): void {
    if (this.#troubles.isNews('trouble', folder)) this.#options.onEvent?.({ type: 'trouble', folder, error })
  }

  #freeSends(folder: string): number {
    const free = this.#sendsMax - this.#sends
    if (free <= 0) this.#starved.add(folder)
    return free
  }

  #sendEnded(): void {
    this.#sends--
    this.#callStarved()
  }

  #callStarved(): void {
    for (const folder of this.#starved) {
      this.#starved.delete(folder)
      this.#folders.get(folder)?.ask()
      return
    }
  }
}

function real(folder: string): string {
  try {
    return realpathSync(folder)
  } catch {
    return folder
  }
}

function atLeastOne(option: string, value: number): number {
  if (Number.isFinite(value) && value >= 1) return value
  throw new NanoclawError('bad_usage', `sweep: ${option} is ${value}; expected a number, 1 or more`)
}
