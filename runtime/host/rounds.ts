// Visits many folders in one process: each once per round, in slices, so that the event loop runs in between.
// A requested visit comes before the rest of the round. An error of a visit affects that folder alone.
import type { Clock, Timer } from '../protocol/clock.ts'

export interface RoundsParts {
  readonly clock: Clock
  /** Pause between two rounds. */
  readonly pauseMs: number
  /** Time limit of one slice; a single visit may take longer. */
  readonly sliceMs: number
  readonly visit: (folder: string) => void
  readonly failed: (folder: string, error: unknown) => void
}

export class Rounds {
  readonly #parts: RoundsParts
  readonly #folders = new Set<string>()
  readonly #urgent = new Set<string>()
  #round: IterableIterator<string> | undefined
  #timer: Timer | undefined
  /** A slice is scheduled. */
  #slicing = false
  #waiting: (() => void)[] = []
  #stopped = false

  constructor(parts: RoundsParts) {
    this.#parts = parts
    this.#rest()
  }

  get folders(): ReadonlySet<string> {
    return this.#folders
  }

  add(folder: string): void {
    this.#folders.add(folder)
    this.soon(folder)
  }

  remove(folder: string): void {
    this.#folders.delete(folder)
    this.#urgent.delete(folder)
  }

  /** Visits this folder as soon as there is time. */
  soon(folder: string): void {
    if (!this.#folders.has(folder)) return
    this.#urgent.add(folder)
    this.#slice()
  }

  /** Begins a round now unless one is running; resolves at the end of a round that began after this call. */
  round(): Promise<void> {
    if (this.#stopped) return Promise.resolve()
    return new Promise((resolve) => {
      const begin = () => {
        this.#waiting.push(resolve)
        this.#begin()
      }
      if (this.#round) this.#waiting.push(begin)
      else begin()
    })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#folders.clear()
    this.#urgent.clear()
    this.#finish()
  }

  #rest(): void {
    if (this.#stopped) return
    this.#timer?.cancel()
    this.#timer = this.#parts.clock.after(this.#parts.pauseMs, () => this.#begin())
  }

  #begin(): void {
    if (this.#stopped) return this.#finish()
    this.#timer?.cancel()
    this.#round ??= this.#folders.values()
    this.#slice()
  }

  #slice(): void {
    if (this.#slicing || this.#stopped) return
    this.#slicing = true
    this.#parts.clock.soon(() => {
      this.#slicing = false
      this.#work()
    })
  }

  #work(): void {
    const { clock, sliceMs } = this.#parts
    const endMs = clock.monotonic() + sliceMs
    do {
      const folder = this.#next()
      if (folder === undefined) return
      this.#visit(folder)
    } while (clock.monotonic() < endMs)
    this.#slice()
  }

  #next(): string | undefined {
    for (const folder of this.#urgent) {
      this.#urgent.delete(folder)
      return folder
    }
    if (!this.#round) return undefined
    const next = this.#round.next()
    if (!next.done) return next.value
    this.#finish()
    this.#rest()
    return undefined
  }

  #finish(): void {
    this.#round = undefined
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  #visit(folder: string): void {
    try {
      this.#parts.visit(folder)
    } catch (error) {
      this.#parts.failed(folder, error)
    }
  }
}
