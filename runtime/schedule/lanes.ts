// Order. Messages with one ordering key form a lane, and a lane runs strictly first in, first out: while any of it runs,
// nothing else of it is given out, and a head that waits for its retry keeps everything behind it waiting too.
// Different lanes are free of each other; a message without a key is a lane of its own. Lanes take turns per function.
import type { FunctionSpec } from '../protocol/function.ts'

/** A due message on its way through the runtime; what is on disk about it is in store/outbox. */
export interface Entry {
  readonly id: string
  /** Its place in line: the host's seq; for a message without one, behind those that have, as they were found. */
  readonly order: number
  readonly spec: FunctionSpec
  readonly key: string | null
  readonly contentBytes: number
  /** Runs so far, of any end. */
  runs: number
  /** Runs charged to the handler so far. */
  attempts: number
  crashes: number
  /** Suspected of ending its process: runs with nothing beside it. */
  alone: boolean
  /** Waits for its retry until then; 0: does not wait. */
  waitsUntilMs: number
}

interface Lane {
  readonly key: string | null
  /** In order; the first `taken` of them are out. */
  entries: Entry[]
  taken: number
  queued: boolean
}

export class Lanes {
  readonly #byKey = new Map<string, Lane>()
  readonly #laneOf = new Map<Entry, Lane>()
  readonly #ready = new Map<string, Fifo<Lane>>()
  readonly #waiting = new Map<string, number>()

  /** Entries in all lanes, those that are out included. */
  get size(): number {
    return this.#laneOf.size
  }

  /** Functions for which `take` would give something, in no particular order. */
  *readyFunctions(): Iterable<FunctionSpec> {
    for (const name of this.#ready.keys()) {
      const head = this.#firstReady(name)?.entries[0]
      if (head) yield head.spec
    }
  }

  /** Entries of a function that are not out. */
  waiting(functionName: string): number {
    return this.#waiting.get(functionName) ?? 0
  }

  /** Puts an entry in its place: behind what is out or waits for a retry, among the rest by `order`. */
  add(entry: Entry): void {
    const lane = this.#laneFor(entry.key)
    let at = lane.entries.length
    const fixed = Math.max(lane.taken, lane.entries[0] && lane.entries[0].runs > 0 ? 1 : 0)
    while (at > fixed && comesBefore(entry, lane.entries[at - 1]!)) at--
    lane.entries.splice(at, 0, entry)
    this.#laneOf.set(entry, lane)
    this.#count(entry, 1)
    this.#enqueue(lane)
  }

  /**
   * Gives out up to `max` entries of one function, lane by lane; several of one lane come together and in order.
   * One that must run alone comes alone, and only when `aloneToo`.
   */
  take(functionName: string, max: number, maxBytes: number, aloneToo: boolean): Entry[] {
    const taken: Entry[] = []
    let bytes = 0
    while (taken.length < max && bytes < maxBytes) {
      const lane = this.#firstReady(functionName)
      const head = lane?.entries[0]
      if (!lane || !head || (head.alone && (taken.length > 0 || !aloneToo))) break
      this.#dequeue(functionName, lane)
      for (const entry of lane.entries) {
        if (
          taken.length >= max ||
          (lane.taken > 0 && (bytes >= maxBytes || entry.alone || entry.spec !== head.spec))
        )
          break
        taken.push(entry)
        bytes += entry.contentBytes
        lane.taken++
        this.#count(entry, -1)
        if (entry.alone) return taken
      }
    }
    return taken
  }

  /** Taken but not run, or run without a charge: keeps its place. */
  putBack(entry: Entry): void {
    if (!this.#laneOf.has(entry)) return
    this.#count(entry, 1)
    this.#settle(entry, (lane) => moveBehindTaken(lane, entry))
  }

  /** Ended for good, or gone from the file. */
  remove(entry: Entry): void {
    const lane = this.#laneOf.get(entry)
    if (!lane) return
    const at = lane.entries.indexOf(entry)
    if (at >= lane.taken) {
      lane.entries.splice(at, 1)
      this.#count(entry, -1)
      this.#laneOf.delete(entry)
      this.#tidy(lane)
      return
    }
    this.#settle(entry, () => lane.entries.splice(at, 1))
    this.#laneOf.delete(entry)
  }

  /** A waiting head's time has come. */
  wake(entry: Entry): void {
    entry.waitsUntilMs = 0
    const lane = this.#laneOf.get(entry)
    if (lane) this.#enqueue(lane)
  }

  /** Takes everything out that is not out already, in order, so that it can be put in anew. */
  empty(): Entry[] {
    const entries: Entry[] = []
    for (const lane of new Set(this.#laneOf.values())) entries.push(...lane.entries.slice(lane.taken))
    for (const entry of entries) this.remove(entry)
    return entries.sort((a, b) => a.order - b.order)
  }

  #settle(entry: Entry, change: (lane: Lane) => void): void {
    const lane = this.#laneOf.get(entry)
    if (!lane) return
    change(lane)
    lane.taken--
    this.#tidy(lane)
  }

  #tidy(lane: Lane): void {
    if (lane.entries.length === 0 && lane.key !== null) this.#byKey.delete(lane.key)
    this.#enqueue(lane)
  }

  #enqueue(lane: Lane): void {
    const head = lane.entries[0]
    if (lane.queued || lane.taken > 0 || !head || head.waitsUntilMs > 0) return
    let queue = this.#ready.get(head.spec.name)
    if (!queue) this.#ready.set(head.spec.name, (queue = new Fifo()))
    queue.push(lane)
    lane.queued = true
  }

  /** The lane whose turn it is. One whose head went away, or belongs to another function by now, is put where it belongs. */
  #firstReady(functionName: string): Lane | undefined {
    const queue = this.#ready.get(functionName)
    for (let lane = queue?.first; lane; lane = queue?.first) {
      const head = lane.entries[0]
      if (head && lane.taken === 0 && head.waitsUntilMs === 0 && head.spec.name === functionName) return lane
      this.#dequeue(functionName, lane)
      this.#enqueue(lane)
    }
    return undefined
  }

  #dequeue(functionName: string, lane: Lane): void {
    this.#ready.get(functionName)?.shift()
    lane.queued = false
  }

  #laneFor(key: string | null): Lane {
    const known = key === null ? undefined : this.#byKey.get(key)
    if (known) return known
    const lane: Lane = { key, entries: [], taken: 0, queued: false }
    if (key !== null) this.#byKey.set(key, lane)
    return lane
  }

  #count(entry: Entry, by: number): void {
    this.#waiting.set(entry.spec.name, this.waiting(entry.spec.name) + by)
  }
}

function comesBefore(a: Entry, b: Entry): boolean {
  return a.order < b.order
}

/** Of the entries that are out, those still running come first; what was put back stands right behind them, in order. */
function moveBehindTaken(lane: Lane, entry: Entry): void {
  const at = lane.entries.indexOf(entry)
  lane.entries.splice(at, 1)
  let to = lane.taken - 1
  while (to < lane.entries.length && comesBefore(lane.entries[to]!, entry)) to++
  lane.entries.splice(to, 0, entry)
}

/** First in, first out, without moving what stays. */
class Fifo<T> {
  #items: (T | undefined)[] = []
  #head = 0

  get first(): T | undefined {
    return this.#items[this.#head]
  }

  push(item: T): void {
    this.#items.push(item)
  }

  shift(): void {
    this.#items[this.#head++] = undefined
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
  }
}
