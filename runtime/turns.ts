// Whose turn it is. The dispatchers of one process share the event loop and the pool; those that want a turn at the same time
// get one each, in the order in which they last got a worker: the one that has waited longest is first. So a long backlog in
// one folder keeps no other folder waiting, however often its own results ask for the next turn.
import type { Clock, Timer } from './protocol/clock.ts'

/** One dispatcher's place among the others. */
export interface TurnOrder {
  /** Calls `turn` as soon as it is this one's; one at a time. */
  soon(turn: () => void): Timer
  /** It has got a worker, and stands behind all others now. */
  served(): void
}

interface Place {
  servedAt: number
  turn: (() => void) | undefined
}

export class Turns {
  readonly #clock: Clock
  readonly #asked = new Set<Place>()
  /** Those that had asked when this round began; the next one stands at the end. */
  #round: Place[] = []
  #timer: Timer | undefined
  #served = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  join(): TurnOrder {
    const place: Place = { servedAt: 0, turn: undefined }
    return {
      soon: (turn) => {
        place.turn = turn
        this.#asked.add(place)
        this.#timer ??= this.#clock.soon(() => this.#next())
        return {
          cancel: () => {
            place.turn = undefined
          },
        }
      },
      served: () => {
        place.servedAt = ++this.#served
      },
    }
  }

  /** One turn for each call of the event loop, so that a round of many does not hold up what comes in. */
  #next(): void {
    if (this.#round.length === 0) {
      this.#round = [...this.#asked].sort((a, b) => b.servedAt - a.servedAt)
      this.#asked.clear()
    }
    const place = this.#round.pop()
    const isMore = this.#round.length + this.#asked.size > 0
    this.#timer = isMore ? this.#clock.soon(() => this.#next()) : undefined
    const turn = place?.turn
    if (place) place.turn = undefined
    turn?.()
  }
}
