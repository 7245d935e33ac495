// Hints that inbound.db may have changed. Polls follow each event after 0, 1, 4 and 16 ms; while a rollback
// journal exists, after 8 and 16 ms, since an earlier poll would meet the writer's lock or delay it, and the
// journal's removal is an event of its own. A lost event only delays detection until the next regular poll.
// Uses Node's own watch of the folder: a watcher that stats each file whenever a journal appears or
// disappears does so twice per commit (docs/performance.md).
import { existsSync, type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type Clock, sleepSync, type Timer } from '../protocol/clock.ts'

export interface InboundWatcherParts {
  readonly clock: Clock
  readonly path: string
  readonly onHint: () => void
  /** Called once when file events fail; from then on the poll alone finds changes. */
  readonly onDegraded: (reason: string) => void
}

/** Delays of the polls after an event. */
const PAUSES_MS = [1, 3, 12]
/**
 * The same during a commit, which takes less than 8 ms on most disks. The event of its end may be lost, or
 * absent for a writer that keeps its journal file.
 */
const COMMIT_PAUSES_MS = [8, 8]
/**
 * The writer releases its lock a moment after it removes the journal. Sleeping leaves the processor to the
 * writer, so that the first poll finds the file free; without it commits took a quarter longer, and the poll
 * came later (docs/performance.md).
 */
const UNLOCK_MS = 0.2
/** Limits the sleep under a host that commits all the time. */
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
        // Pages are being written; the commit ends with the removal of the journal.
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

  /** Polls that were scheduled before this commit run after it. */
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
