// "inbound.db may have changed": a hint, never the truth; chokidar enters the project in this folder. What chokidar calls
// `change` drops the last of two commits that come close together, so its `raw` events are taken, and a look follows each
// at 0, 1, 4 and 16 ms: the event comes while the writer still holds its lock. Losing every event only costs the poll's pace.
import { basename, dirname } from 'node:path'
import { type FSWatcher, watch } from 'chokidar'
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
  #degraded = false

  constructor(parts: DatabaseTriggerParts) {
    this.#parts = parts
  }

  start(): void {
    const { path, onDegraded } = this.#parts
    const folder = dirname(path)
    const name = basename(path)
    const ours = (file: string) => basename(file).startsWith(name)
    this.#watcher = watch(folder, {
      depth: 0,
      ignoreInitial: true,
      ignored: (file) => file !== folder && !ours(file),
    })
    this.#watcher.on('raw', (_event, file) => {
      if (typeof file === 'string' && ours(file)) this.#event()
    })
    this.#watcher.on('all', () => this.#event())
    this.#watcher.on('error', (error) => {
      if (!this.#degraded) onDegraded(error instanceof Error ? error.message : String(error))
      this.#degraded = true
    })
  }

  async stop(): Promise<void> {
    this.#soon?.cancel()
    this.#later?.cancel()
    await this.#watcher?.close()
  }

  #event(): void {
    this.#step = 0
    this.#soon ??= this.#parts.clock.soon(() => {
      this.#soon = undefined
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
