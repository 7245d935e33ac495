// "inbound.db may have changed": a hint, never the truth. A look follows each event at 0, 1, 4 and 16 ms; while the writer has
// a rollback journal at 8 and 16 ms, since a look would only meet its lock, or delay it, and the journal's removal is an event
// of its own. Losing every event only costs the poll's pace.
// Node's own watch of the folder is used: one that looks at each file again whenever a journal comes or goes does so twice a commit
// (docs/performance.md).
import { existsSync, type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type Clock, sleepSync, type Timer } from '../protocol/clock.ts'

export interface InboundWatcherParts {
  readonly clock: Clock
  readonly path: string
  readonly onHint: () => void
  /** Called once; from then on the poll alone finds changes. */
  readonly onDegraded: (reason: string) => void
}

/** Pauses between the looks after an event. */
const PAUSES_MS = [1, 3, 12]
/**
 * The same while somebody commits, which takes less than 8 ms on most disks. The end of it may get lost, or not be seen, since
 * this writer lets its journal lie.
 */
const COMMIT_PAUSES_MS = [8, 8]
/**
 * The lock goes a moment after the journal. Asleep, we leave the processor to whoever commits, and the first look finds the
 * file free: awake, we made the commit longer by a quarter of its time, and our own look later (docs/performance.md).
 */
const UNLOCK_MS = 0.2
/** So that a host that commits all the time does not keep us asleep. */
const SLEEP_EVERY_MS = 5

export class InboundWatcher {
  readonly #parts: InboundWatcherParts
  #watcher: FSWatcher | undefined
  #soon: Timer | undefined
  #later: Timer | undefined
  #committing = false
  #sleptAtMs = 0

  constructor(parts: InboundWatcherParts) {
    this.#parts = parts
  }

  start(): void {
    const { path } = this.#parts
    const name = basename(path)
    const journal = `${path}-journal`
    try {
      this.#watcher = watch(dirname(path), (type, file) => {
        if (file !== null && !file.startsWith(name)) return
        // Pages are written; the end of it is that the journal goes.
        if (this.#committing && type === 'change') return
        if (existsSync(journal)) this.#begun()
        else this.#event(file === basename(journal))
      })
      this.#watcher.once('error', (error) => this.#goBlind(error))
    } catch (error) {
      this.#goBlind(error)
    }
  }

  stop(): void {
    this.#soon?.cancel()
    this.#later?.cancel()
    this.#watcher?.close()
  }

  #goBlind(error: unknown): void {
    this.#watcher?.close()
    this.#parts.onDegraded(error instanceof Error ? error.message : String(error))
  }

  /** What was to be looked at before this commit is looked at behind it. */
  #begun(): void {
    if (this.#soon || this.#committing) return
    this.#committing = true
    this.#lookAfter(COMMIT_PAUSES_MS)
  }

  #event(over: boolean): void {
    this.#committing = false
    if (over) this.#letFinish()
    this.#soon ??= this.#parts.clock.soon(() => {
      this.#soon = undefined
      this.#parts.onHint()
      this.#lookAfter(PAUSES_MS)
    })
  }

  #letFinish(): void {
    const nowMs = this.#parts.clock.monotonic()
    if (nowMs - this.#sleptAtMs < SLEEP_EVERY_MS) return
    this.#sleptAtMs = nowMs
    sleepSync(UNLOCK_MS)
  }

  #lookAfter([pauseMs, ...later]: readonly number[]): void {
    this.#later?.cancel()
    this.#later = undefined
    if (pauseMs === undefined) this.#committing = false
    else
      this.#later = this.#parts.clock.after(pauseMs, () => {
        this.#parts.onHint()
        this.#lookAfter(later)
      })
  }
}
