// The slots for instances that may run at a time; first come, first served.

export interface PlacesParts {
  readonly max: number
  /** A slot is free for this folder. */
  readonly call: (folder: string) => void
  /** Whether the folder's instance is stopping. */
  readonly isEnding: (folder: string) => boolean
  /** Ends the folder's instance if it is idle; false when it is not. */
  readonly spare: (folder: string) => boolean
}

export class Places {
  readonly #parts: PlacesParts
  /** In the order in which they got their slot. */
  readonly #placed = new Set<string>()
  readonly #waiting = new Set<string>()

  constructor(parts: PlacesParts) {
    this.#parts = parts
  }

  /** False: no slot is free. The folder is called when one is. */
  take(folder: string): boolean {
    const free = this.#parts.max - this.#placed.size
    const first = [...this.#first(free)]
    if (first.includes(folder) || (first.length < free && !this.#waiting.has(folder))) {
      this.#waiting.delete(folder)
      this.#placed.add(folder)
      return true
    }
    this.#waiting.add(folder)
    // One request stands for all: thousands may wait, and each is visited in every round.
    if (this.#first(1).next().value === folder) this.#makeRoom()
    return false
  }

  /** The folder needs no slot (any more). */
  leave(folder: string): void {
    const freed = this.#placed.delete(folder)
    if (!this.#waiting.delete(folder) && !freed) return
    for (const first of this.#first(this.#parts.max - this.#placed.size)) this.#parts.call(first)
  }

  *#first(count: number): Generator<string> {
    let left = count
    for (const folder of this.#waiting) {
      if (left-- <= 0) return
      yield folder
    }
  }

  /** Ends one idle instance per waiting folder. */
  #makeRoom(): void {
    const { isEnding, spare } = this.#parts
    let ending = 0
    for (const folder of this.#placed) if (isEnding(folder)) ending++
    for (const folder of this.#placed) {
      if (ending >= this.#waiting.size) return
      if (!isEnding(folder) && spare(folder)) ending++
    }
  }
}
