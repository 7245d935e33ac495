// Things that wait for their time: a heap by due time and one timer for the earliest. It remembers at most
// `max` things: when there are more it forgets the farthest half and keeps a horizon, the earliest time of
// anything forgotten; the source of the messages finds those again when the horizon comes. So memory is
// bounded by a number, not by the calendar.
import { type Clock, LONGEST_WAIT_MS, type Timer } from '../protocol/clock.ts'

interface Item<T> {
  readonly dueAtMs: number
  readonly value: T
}

export interface TimeQueueOptions<T> {
  readonly clock: Clock
  readonly max: number
  readonly onDue: (values: T[]) => void
  readonly onForget?: (values: T[]) => void
  readonly onHorizon?: () => void
}

export class TimeQueue<T> {
  readonly #options: TimeQueueOptions<T>
  #heap: Item<T>[] = []
  #horizonMs = Number.POSITIVE_INFINITY
  #timer: Timer | undefined
  #timerAtMs = Number.POSITIVE_INFINITY

  constructor(options: TimeQueueOptions<T>) {
    this.#options = options
  }

  get size(): number {
    return this.#heap.length
  }

  /** When something is due, or must be looked for again; Infinity when nothing waits. */
  get nextAtMs(): number {
    return Math.min(this.#heap[0]?.dueAtMs ?? Number.POSITIVE_INFINITY, this.#horizonMs)
  }

  /** False: not remembered, since it lies beyond the horizon, or does now that the farther half had to go. */
  push(dueAtMs: number, value: T): boolean {
    if (dueAtMs >= this.#horizonMs) return false
    this.#heap.push({ dueAtMs, value })
    this.#siftUp(this.#heap.length - 1)
    if (this.#heap.length > this.#options.max) this.#forgetFarHalf()
    this.#arm()
    return dueAtMs < this.#horizonMs
  }

  /** Empties the queue; `onForget` is not called. */
  clear(): T[] {
    const values = this.#heap.map((item) => item.value)
    this.#heap = []
    this.#horizonMs = Number.POSITIVE_INFINITY
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerAtMs = Number.POSITIVE_INFINITY
    return values
  }

  /** Takes out what matches; when each was due stands beside it. */
  takeOut(matches: (value: T, dueAtMs: number) => boolean): Item<T>[] {
    const out = this.#heap.filter(({ value, dueAtMs }) => matches(value, dueAtMs))
    if (out.length === 0) return out
    const gone = new Set(out)
    // What is in order is a heap.
    this.#heap = this.#heap.filter((item) => !gone.has(item)).sort((a, b) => a.dueAtMs - b.dueAtMs)
    return out
  }

  #arm(): void {
    const atMs = this.nextAtMs
    if (atMs === Number.POSITIVE_INFINITY || (this.#timer && this.#timerAtMs <= atMs)) return
    this.#timer?.cancel()
    this.#timerAtMs = atMs
    // The wall clock may jump, and a machine may sleep: a check each minute is right again after both.
    const waitMs = Math.min(atMs - this.#options.clock.now(), LONGEST_WAIT_MS)
    this.#timer = this.#options.clock.after(waitMs, () => this.#fire())
  }

  #fire(): void {
    this.#timer = undefined
    this.#timerAtMs = Number.POSITIVE_INFINITY
    const nowMs = this.#options.clock.now()
    const due: T[] = []
    for (let first = this.#heap[0]; first && first.dueAtMs <= nowMs; first = this.#heap[0])
      due.push(this.#pop().value)
    const horizonReached = this.#horizonMs <= nowMs
    if (horizonReached) this.#horizonMs = Number.POSITIVE_INFINITY
    this.#arm()
    if (due.length > 0) this.#options.onDue(due)
    if (horizonReached) this.#options.onHorizon?.()
  }

  #forgetFarHalf(): void {
    this.#heap.sort((a, b) => a.dueAtMs - b.dueAtMs)
    let keep = Math.ceil(this.#options.max / 2)
    const firstGone = this.#heap[keep]
    if (!firstGone) return
    // What is due at the same instant stays or goes together: the horizon is that instant.
    while (keep > 0 && this.#heap[keep - 1]?.dueAtMs === firstGone.dueAtMs) keep--
    this.#horizonMs = firstGone.dueAtMs
    const gone = this.#heap.splice(keep)
    this.#options.onForget?.(gone.map((item) => item.value))
  }

  #pop(): Item<T> {
    const first = this.#heap[0]!
    const last = this.#heap.pop()!
    if (this.#heap.length > 0) {
      this.#heap[0] = last
      this.#siftDown()
    }
    return first
  }

  #siftUp(from: number): void {
    const heap = this.#heap
    const item = heap[from]!
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.dueAtMs <= item.dueAtMs) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = item
  }

  #siftDown(): void {
    const heap = this.#heap
    const item = heap[0]!
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.dueAtMs < heap[child]!.dueAtMs) child++
      if (heap[child]!.dueAtMs >= item.dueAtMs) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = item
  }
}
