// Lanes that have left memory, since their first message waits for its next attempt: they take no room from
// what can run. Of such a lane there stay the ids of the messages that have runs on record, which come back
// when the first of them is due, and one number: from which seq on later messages of its key may stand in the
// file and not in memory. No such message is taken in before those that have come back are through; then a
// walk from that number on takes in what is there (refill.ts). So however many messages stand behind one that
// waits, they take a single number.
import { type Clock, steady } from '../protocol/clock.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { Begun, WaitingLane } from '../queue/queue.ts'
import { TimeQueue } from '../queue/timers.ts'
import { hasPassed } from './cursor.ts'

export interface SetAsideLane {
  readonly key: string | null
  /** Of its first message, or of the one for which there was no room. */
  functionName: string
  /** A walk had no room for all of its tail. */
  lackedRoom: boolean
  /** What has runs on record. */
  readonly begun: readonly Begun[]
  /** Later messages of its key from this seq on may be in the file and not in memory. undefined: none is. */
  tailFrom: number | undefined
  /** `back`: what has begun is in memory again. `refilling`: a walk takes in its tail. */
  state: 'waiting' | 'due' | 'back' | 'refilling'
}

export class SetAside {
  readonly #byKey = new Map<string, SetAsideLane>()
  readonly #byId = new Map<string, SetAsideLane>()
  readonly #times: TimeQueue<SetAsideLane>
  readonly #due = new Set<SetAsideLane>()
  /** Lanes with a tail whose first messages are in memory again. */
  readonly #back = new Set<SetAsideLane>()
  readonly #tails = new Set<SetAsideLane>()
  readonly #unlisted = new Set<Begun>()
  /** Messages that are not in memory, have no run on record and are isolated when they are found again. */
  readonly suspects = new Set<string>()
  /** How far the walk is that refills lanes. */
  walkedTo: Cursor | undefined

  constructor(clock: Clock, onDue: () => void) {
    this.#times = new TimeQueue({
      clock: steady(clock),
      max: Number.POSITIVE_INFINITY,
      onDue: (lanes) => {
        for (const lane of lanes) if (lane.state === 'waiting') this.#isDue(lane)
        onDue()
      },
    })
  }

  /** Messages whose ids are kept. */
  get size(): number {
    return this.#byId.size
  }

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  /** Messages of this key are not to be taken in. */
  of(key: string): SetAsideLane | undefined {
    return this.#byKey.get(key)
  }

  get due(): ReadonlySet<SetAsideLane> {
    return this.#due
  }

  get back(): ReadonlySet<SetAsideLane> {
    return this.#back
  }

  /** Lanes that have more in the file than in memory. */
  get tails(): ReadonlySet<SetAsideLane> {
    return this.#tails
  }

  /** From here on the file may hold what is not in memory. */
  get tailFrom(): number | undefined {
    let lowest: number | undefined
    for (const { tailFrom } of this.#tails)
      if (tailFrom !== undefined && tailFrom < (lowest ?? Number.POSITIVE_INFINITY)) lowest = tailFrom
    return this.#tails.size > 0 ? (lowest ?? Number.POSITIVE_INFINITY) : undefined
  }

  add({ key, functionName, begun, tailFrom, suspects, dueAtMs }: WaitingLane): void {
    const lane: SetAsideLane = {
      key,
      functionName,
      lackedRoom: false,
      begun,
      tailFrom: undefined,
      state: 'waiting',
    }
    const before = key === null ? undefined : this.#byKey.get(key)
    if (before?.tailFrom !== undefined) this.#hasTail(lane, before.tailFrom)
    if (before) this.#forget(before)
    if (key !== null) this.#byKey.set(key, lane)
    for (const each of begun) {
      this.#byId.set(each.id, lane)
      if (!each.waits) this.#unlisted.add(each)
    }
    if (tailFrom !== undefined) this.#hasTail(lane, tailFrom)
    for (const id of suspects) this.suspects.add(id)
    this.#times.push(dueAtMs, lane)
  }

  /**
   * A message of its key was found and not taken in. One behind the walk that refills the lane makes another
   * walk necessary.
   */
  passOver(
    lane: SetAsideLane,
    { seq, rowid }: { readonly seq: number | null; readonly rowid: number },
  ): void {
    if (lane.state === 'refilling' && this.walkedTo && hasPassed(this.walkedTo, { seq, rowid }))
      lane.state = 'back'
    this.#hasTail(lane, seq ?? Number.POSITIVE_INFINITY)
  }

  /** Messages up to a seq that are not finished, and of which the store does not know that they wait. */
  unlistedUpTo(seq: number): Begun[] {
    return [...this.#unlisted].filter((each) => each.seq <= seq)
  }

  /**
   * What has begun of it is in memory again, or over. Messages of its key may be taken in again where it has
   * no tail.
   */
  isBack(lane: SetAsideLane): void {
    this.#due.delete(lane)
    for (const each of lane.begun) {
      this.#byId.delete(each.id)
      this.#unlisted.delete(each)
    }
    lane.state = 'back'
    if (lane.tailFrom === undefined) this.#forget(lane)
    else this.#back.add(lane)
  }

  refills(lane: SetAsideLane): void {
    lane.state = 'refilling'
  }

  /** The walk found no room for this message of it: another one begins there. */
  stopsRefilling(lane: SetAsideLane, functionName: string, seq: number): void {
    lane.state = 'back'
    lane.functionName = functionName
    lane.lackedRoom = true
    lane.tailFrom = seq
  }

  /** All of its tail is in memory. */
  isRefilled(lane: SetAsideLane): void {
    this.#forget(lane)
  }

  /** All of it is due. */
  hurry(): void {
    for (const lane of this.#times.clear()) if (lane.state === 'waiting') this.#isDue(lane)
  }

  stop(): void {
    this.#times.clear()
  }

  clear(): void {
    this.#times.clear()
    this.walkedTo = undefined
    for (const all of [this.#byKey, this.#byId, this.#due, this.#back, this.#tails, this.#unlisted])
      all.clear()
  }

  #hasTail(lane: SetAsideLane, seq: number): void {
    lane.tailFrom = Math.min(lane.tailFrom ?? Number.POSITIVE_INFINITY, seq)
    this.#tails.add(lane)
  }

  #isDue(lane: SetAsideLane): void {
    lane.state = 'due'
    this.#due.add(lane)
  }

  #forget(lane: SetAsideLane): void {
    if (lane.key !== null && this.#byKey.get(lane.key) === lane) this.#byKey.delete(lane.key)
    this.#back.delete(lane)
    this.#tails.delete(lane)
  }
}
