// "inbound.db may have changed": a hint, never the truth. A look follows each event at 0, 1, 4 and 16 ms, since the event
// comes while the writer still holds its lock. Losing every event only costs the poll's pace.
import { basename, dirname } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import { Watch } from './watch.ts'

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
  #watch: Watch | undefined
  #soon: Timer | undefined
  #later: Timer | undefined
  #step = 0
  #degraded = false

  constructor(parts: DatabaseTriggerParts) {
    this.#parts = parts
  }

  start(): void {
    const { clock, path, onDegraded } = this.#parts
    const folder = dirname(path)
    const name = basename(path)
    const ours = (file: string) => basename(file).startsWith(name)
    this.#watch = new Watch({
      clock,
      folder,
      options: { depth: 0, ignored: (file) => file !== folder && !ours(file) },
      onChange: () => this.#event(),
      onRaw: (file) => ours(file) && this.#event(),
      onError: ({ message }) => {
        if (!this.#degraded) onDegraded(message)
        this.#degraded = true
      },
    })
  }

  async stop(): Promise<void> {
    this.#soon?.cancel()
    this.#later?.cancel()
    await this.#watch?.stop()
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
