// "inbound.db may have changed": a hint, never the truth. A look follows each event at 0, 1, 4 and 16 ms, since the event
// comes while the writer still holds its lock. Losing every event only costs the poll's pace.
// The folder is watched by Node itself, not by chokidar: that reads the folder again and looks at each file whenever a
// journal comes or goes, which is twice a commit, of ours too (docs/performance.md).
import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Clock, Timer } from '../clock.ts'

export interface DatabaseTriggerParts {
  readonly clock: Clock
  readonly path: string
  readonly onHint: () => void
  /** Called once; from then on the poll alone finds changes. */
  readonly onDegraded: (reason: string) => void
}

/** Pauses between the looks after an event. */
const PAUSES_MS = [1, 3, 12]

export class DatabaseTrigger {
  readonly #parts: DatabaseTriggerParts
  #watcher: FSWatcher | undefined
  #soon: Timer | undefined
  #later: Timer | undefined
  #step = 0

  constructor(parts: DatabaseTriggerParts) {
    this.#parts = parts
  }

  start(): void {
    const { path } = this.#parts
    const name = basename(path)
    try {
      this.#watcher = watch(dirname(path), (_type, file) => {
        if (file === null || file.startsWith(name)) this.#event()
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

  #event(): void {
    this.#soon ??= this.#parts.clock.soon(() => {
      this.#soon = undefined
      this.#step = 0
      this.#later?.cancel()
      this.#later = undefined
      this.#parts.onHint()
      this.#lookAgain()
    })
  }

  #lookAgain(): void {
    const pauseMs = PAUSES_MS[this.#step]
    if (pauseMs === undefined || this.#later) return
    this.#step++
    this.#later = this.#parts.clock.after(pauseMs, () => {
      this.#later = undefined
      this.#parts.onHint()
      this.#lookAgain()
    })
  }
}
