// The way back of lanes that were set aside (set-aside.ts). What has begun of one comes back by its ids when
// it is due. Once that is through, a walk from the first message that was passed over takes in what stands
// behind it. One walk serves all lanes that are so far.
import type { Clock } from '../protocol/clock.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { Queue } from '../queue/queue.ts'
import type { Admission, Origin } from './admission.ts'
import { furthest, isBefore } from './cursor.ts'
import type { PageReader } from './pages.ts'
import type { SetAside, SetAsideLane } from './set-aside.ts'

export interface RefillParts {
  readonly clock: Clock
  readonly queue: Queue
  readonly setAside: SetAside
  readonly admission: Admission
  readonly pages: PageReader
  readonly pageRows: number
  readonly skimRows: number
  readonly readyMax: number
  readonly shareMax: number
  /** Before every row. */
  readonly start: Cursor
  readonly originOf: (from: Cursor) => Origin
  /** Messages of its key are taken in again. */
  readonly onOpen: (lane: SetAsideLane) => void
}

const LOOKS_PER_MS = 1_000

export class Refill {
  readonly #parts: RefillParts
  /** The lanes that the walk refills. */
  #lanes: readonly SetAsideLane[] | undefined
  #beganMs = 0
  #restsUntilMs = Number.NEGATIVE_INFINITY

  constructor(parts: RefillParts) {
    this.#parts = parts
  }

  /** A page of what is due: as much again as the lanes have room for, whatever they are full of. */
  comeBack(): boolean {
    const { queue, setAside, pageRows, readyMax } = this.#parts
    if (setAside.due.size === 0 || queue.lanes.size >= 2 * readyMax) return false
    const lanes: SetAsideLane[] = []
    let messages = 0
    for (const lane of setAside.due) {
      if (messages >= pageRows) break
      lanes.push(lane)
      messages += lane.begun.length
    }
    this.#bring(lanes)
    return setAside.due.size > 0
  }

  /**
   * All of them at once: what their keys are may have changed. Returns from where on the file is to be
   * scanned anew.
   */
  comeBackAll(): number | undefined {
    const { setAside } = this.#parts
    const { tailFrom } = setAside
    setAside.hurry()
    this.#bring([...setAside.due])
    this.clear()
    setAside.clear()
    return tailFrom
  }

  /** There is something for a walk to do. */
  get isWanted(): boolean {
    const { setAside, clock } = this.#parts
    if (this.#lanes) return true
    const nowMs = clock.monotonic()
    if (setAside.back.size === 0 || nowMs < this.#restsUntilMs) return false
    for (const lane of setAside.back) if (this.#isReady(lane)) return true
    // It went through each of them.
    this.#restsUntilMs = nowMs + setAside.back.size / LOOKS_PER_MS
    return false
  }

  /** A page of the walk over what was scanned. */
  read(scanned: Cursor): void {
    const { pages, setAside, skimRows, originOf } = this.#parts
    this.#lanes ??= this.#begin()
    const from = setAside.walkedTo!
    if (isBefore(from, scanned)) {
      const origin = { ...originOf(from), recorded: true, refills: true }
      const { cursor, end } = pages.admit(from, origin, skimRows, scanned)
      setAside.walkedTo = end ? furthest(cursor, scanned) : cursor
      if (isBefore(setAside.walkedTo, scanned)) return
    }
    for (const lane of this.#lanes)
      if (lane.state === 'refilling' && setAside.of(lane.key!) === lane) {
        setAside.isRefilled(lane)
        this.#parts.onOpen(lane)
      }
    this.clear()
    const nowMs = this.#parts.clock.monotonic()
    this.#restsUntilMs = nowMs + (nowMs - this.#beganMs)
  }

  clear(): void {
    this.#lanes = undefined
    this.#parts.setAside.walkedTo = undefined
  }

  #begin(): readonly SetAsideLane[] {
    const { setAside, clock, start } = this.#parts
    const lanes = [...setAside.back].filter((lane) => this.#isReady(lane))
    const seq = Math.min(...lanes.map(({ tailFrom = Number.POSITIVE_INFINITY }) => tailFrom))
    for (const lane of lanes) setAside.refills(lane)
    setAside.walkedTo = { ...start, seq }
    this.#beganMs = clock.monotonic()
    return lanes
  }

  /** Nothing of it is in memory, and there is room for more; after a lack of room, for much more. */
  #isReady({ key, functionName, lackedRoom }: SetAsideLane): boolean {
    const {
      queue: { lanes },
      admission,
      readyMax,
      shareMax,
    } = this.#parts
    if (lanes.has(key!) || admission.isFull(functionName)) return false
    const hasMuch = lanes.size < readyMax / 2 || lanes.count(functionName) < shareMax / 2
    return !lackedRoom || hasMuch || lanes.readyHeads().next().done === true
  }

  #bring(lanes: readonly SetAsideLane[]): void {
    this.#parts.admission.comeBack(lanes.flatMap(({ begun }) => begun))
    for (const lane of lanes) {
      this.#parts.setAside.isBack(lane)
      if (lane.tailFrom === undefined && lane.key !== null) this.#parts.onOpen(lane)
    }
  }
}
