// Order. Messages with one ordering key form a lane, and a lane runs strictly first in, first out: while any
// of it runs, nothing else of it is given out, and a head that waits for its retry keeps everything behind it
// waiting too. What has begun stands before what has not, whatever turns up later. Different lanes are free
// of each other; a message without a key is a lane of its own. Lanes take turns per function.
import { Line } from './line.ts'
import type { Entry } from './message.ts'

interface Lane {
  readonly key: string | null
  /** How many of its entries are given out. */
  out: number
  /** The others, in order. */
  readonly line: Line<Entry>
  /** The function in whose queue it stands. It may stand in others too, where it is passed over. */
  queuedFor: string | undefined
}

export class Lanes {
  readonly #byKey = new Map<string, Lane>()
  readonly #laneOf = new Map<Entry, Lane>()
  /** Given out. One set for all lanes: most of them hold a single entry. */
  readonly #out = new Set<Entry>()
  readonly #ready = new Map<string, Line<Lane>>()
  readonly #waiting = new Map<string, number>()
  /** Entries of each function, those that are out included. */
  readonly #counts = new Map<string, number>()
  readonly #takenMax: number

  /** `takenMax`: the most entries that one `take` gives out: some processes serve only so many. */
  constructor(takenMax = Number.POSITIVE_INFINITY) {
    this.#takenMax = takenMax
  }

  /** Entries in all lanes, those that are out included. */
  get size(): number {
    return this.#laneOf.size
  }

  /** Entries of a function, those that are out included. */
  count(functionName: string): number {
    return this.#counts.get(functionName) ?? 0
  }

  /** How many entries of a function wait for their next attempt; goes through all entries. */
  retrying(functionName: string): number {
    let retrying = 0
    for (const { spec, message } of this.#laneOf.keys())
      if (spec.name === functionName && message.state.type === 'retrying') retrying++
    return retrying
  }

  /**
   * Of each function for which `take` would give something, what it would give first; in no particular order.
   */
  *readyHeads(): Generator<Entry> {
    for (const name of this.#ready.keys()) {
      const head = this.#firstReady(name)?.line.first
      if (head) yield head
    }
  }

  /** Functions that have entries, in no particular order. */
  get functions(): Iterable<string> {
    return this.#counts.keys()
  }

  /** Entries of a function that are not out. */
  waiting(functionName: string): number {
    return this.#waiting.get(functionName) ?? 0
  }

  /**
   * Lanes of a function from which something may be taken, at most: as many processes could be at work for
   * it.
   */
  readyLanes(functionName: string): number {
    return this.#ready.get(functionName)?.size ?? 0
  }

  /** Puts an entry in its place: behind what is out, among the rest first what has begun, then by `order`. */
  add(entry: Entry): void {
    const lane = this.#laneFor(entry.key)
    this.#laneOf.set(entry, lane)
    this.#counts.set(entry.spec.name, this.count(entry.spec.name) + 1)
    this.#lineUp(lane, entry)
  }

  /**
   * Gives out up to `wanted` entries of one function, lane by lane; several of one lane come together and in
   * order. One that must run alone comes alone, and only when `aloneToo`.
   */
  take(functionName: string, wanted: number, maxBytes: number, aloneToo: boolean): Entry[] {
    const max = Math.min(wanted, this.#takenMax)
    const taken: Entry[] = []
    let bytes = 0
    while (taken.length < max && bytes < maxBytes) {
      const lane = this.#firstReady(functionName)
      const head = lane?.line.first
      if (!lane || !head || (head.isolated && (taken.length > 0 || !aloneToo))) break
      this.#ready.get(functionName)?.shift()
      lane.queuedFor = undefined
      const fits = (next: Entry) =>
        taken.length < max &&
        (next === head || (bytes < maxBytes && !next.isolated && next.spec === head.spec && !waits(next)))
      for (let next = lane.line.first; next && fits(next); next = lane.line.first) {
        lane.line.shift()
        this.#out.add(next)
        lane.out++
        this.#count(next, -1)
        taken.push(next)
        bytes += next.contentBytes
        if (next.isolated) return taken
      }
    }
    return taken
  }

  /** Taken but not run, or run and to be run again: keeps its place. */
  putBack(entry: Entry): void {
    const lane = this.#laneOf.get(entry)
    if (!lane || !this.#out.delete(entry)) return
    lane.out--
    this.#lineUp(lane, entry)
  }

  /** Ended for good, or gone from the file. */
  remove(entry: Entry): void {
    const lane = this.#laneOf.get(entry)
    if (!lane) return
    this.#leave(entry)
    if (this.#out.delete(entry)) lane.out--
    else {
      lane.line.delete(entry)
      this.#count(entry, -1)
    }
    this.#tidy(lane)
  }

  /** A waiting head's time has come. */
  wake(entry: Entry): void {
    const lane = this.#laneOf.get(entry)
    if (lane) this.#enqueue(lane)
  }

  /** All entries of the lane that it is the head of; undefined: it is not, or some of the lane are out. */
  behind(head: Entry): Entry[] | undefined {
    const lane = this.#laneOf.get(head)
    return lane && lane.out === 0 && lane.line.first === head ? lane.line.all() : undefined
  }

  /** Takes out all of the lane that this is the head of. */
  removeLaneOf(head: Entry): void {
    const lane = this.#laneOf.get(head)
    if (!lane) return
    for (const entry of lane.line.clear()) {
      this.#leave(entry)
      this.#count(entry, -1)
    }
    this.#tidy(lane)
  }

  /** Some entry has this key. */
  has(key: string): boolean {
    return this.#byKey.has(key)
  }

  whereIs(entry: Entry | undefined): 'nowhere' | 'in line' | 'out' {
    if (!entry || !this.#laneOf.has(entry)) return 'nowhere'
    return this.#out.has(entry) ? 'out' : 'in line'
  }

  /** Takes everything out that is not out already, in order, so that it can be put in anew. */
  empty(): Entry[] {
    const entries: Entry[] = []
    for (const lane of new Set(this.#laneOf.values())) {
      entries.push(...lane.line.clear())
      this.#tidy(lane)
    }
    for (const entry of entries) this.#leave(entry)
    this.#waiting.clear()
    return entries.sort((a, b) => a.order - b.order)
  }

  #lineUp(lane: Lane, entry: Entry): void {
    lane.line.insert(entry, comesBefore)
    this.#count(entry, 1)
    this.#enqueue(lane)
  }

  #leave(entry: Entry): void {
    this.#laneOf.delete(entry)
    const left = this.count(entry.spec.name) - 1
    if (left > 0) this.#counts.set(entry.spec.name, left)
    else this.#counts.delete(entry.spec.name)
  }

  #tidy(lane: Lane): void {
    if (lane.out === 0 && !lane.line.first && lane.key !== null) this.#byKey.delete(lane.key)
    this.#enqueue(lane)
  }

  #enqueue(lane: Lane): void {
    const head = lane.line.first
    if (!head || lane.out > 0 || waits(head) || lane.queuedFor === head.spec.name) return
    let queue = this.#ready.get(head.spec.name)
    if (!queue) this.#ready.set(head.spec.name, (queue = new Line()))
    queue.push(lane)
    lane.queuedFor = head.spec.name
  }

  /**
   * The lane whose turn it is. One whose head went away, waits, or belongs to another function by now, is
   * passed over.
   */
  #firstReady(functionName: string): Lane | undefined {
    const queue = this.#ready.get(functionName)
    for (let lane = queue?.first; lane; lane = queue?.first) {
      const head = lane.line.first
      const here = lane.queuedFor === functionName
      if (here && head?.spec.name === functionName && !waits(head)) return lane
      queue?.shift()
      if (!here) continue
      lane.queuedFor = undefined
      this.#enqueue(lane)
    }
    return undefined
  }

  #laneFor(key: string | null): Lane {
    const known = key === null ? undefined : this.#byKey.get(key)
    if (known) return known
    const lane: Lane = { key, out: 0, line: new Line(), queuedFor: undefined }
    if (key !== null) this.#byKey.set(key, lane)
    return lane
  }

  #count(entry: Entry, by: number): void {
    this.#waiting.set(entry.spec.name, this.waiting(entry.spec.name) + by)
  }
}

/** A head that waits keeps its lane waiting. */
function waits({ message }: Entry): boolean {
  return message.state.type === 'retrying' || message.state.type === 'waiting'
}

function comesBefore(a: Entry, b: Entry): boolean {
  const begun = a.runs > 0
  return begun === b.runs > 0 ? a.order < b.order : begun
}
