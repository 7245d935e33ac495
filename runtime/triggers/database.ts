// "inbound.db may have changed": a hint, never the truth. A look follows each event at 0, 1, 4 and 16 ms. While the writer has
// a rollback journal a look would only meet its lock, or delay it; the journal's removal is the end of the commit: the lock
// goes within a moment, and what was committed is worth a quick look. Losing every event only costs the poll's pace.
// The folder is watched by Node itself, not by chokidar: that reads the folder again and looks at each file whenever a
// journal comes or goes, which is twice a commit, of ours too (docs/performance.md).
import { existsSync, type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Clock, Timer } from '../clock.ts'

export interface DatabaseTriggerParts {
  readonly clock: Clock
  readonly path: string
  /** `committed`: a commit has just come to its end. */
  readonly onHint: (committed: boolean) => void
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
  #committed = false

  constructor(parts: DatabaseTriggerParts) {
    this.#parts = parts
  }

  start(): void {
    const { path } = this.#parts
    const name = basename(path)
    const journal = `${path}-journal`
    try {
      this.#watcher = watch(dirname(path), (_type, file) => {
        if (file !== null && !file.startsWith(name)) return
        if (existsSync(journal)) this.#lookLater()
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

  #event(committed: boolean): void {
    this.#committed ||= committed
    this.#soon ??= this.#parts.clock.soon(() => {
      this.#soon = undefined
      this.#step = 0
      this.#later?.cancel()
      this.#later = undefined
      this.#parts.onHint(this.#committed)
      this.#committed = false
      this.#lookAgain()
    })
  }

  /** Somebody commits. Should the end of that get lost, or not be seen, since this writer lets its journal lie: */
  #lookLater(): void {
    if (this.#soon || this.#later) return
    this.#step = 1
    this.#lookAgain()
  }

  #lookAgain(): void {
    const pauseMs = PAUSES_MS[this.#step]
    if (pauseMs === undefined || this.#later) return
    this.#step++
    this.#later = this.#parts.clock.after(pauseMs, () => {
      this.#later = undefined
      this.#parts.onHint(false)
      this.#lookAgain()
    })
  }
}
