// Schedules the turns of several dispatchers. The dispatchers of one process share the event loop and the
// pool; those that request a turn at the same time get one each, in the order in which they last got a
// worker: the one that has waited longest is first. So a long backlog in one folder does not delay other
// folders, however often its results request the next turn.
import type { Clock, Timer } from './protocol/clock.ts'

/** One dispatcher's entry. */
export interface TurnOrder {
  /** Requests a turn: calls `turn` when its time comes; one at a time. */
  soon(turn: () => void): Timer
  /** Call when it got a worker: it moves behind all others. */
  served(): void
}

interface Place {
  servedAt: number
  turn: (() => void) | undefined
}

export class Turns {
  readonly #clock: Clock
  readonly #asked = new Set<Place>()
  /** The requests at the start of this round; the next one is at the end. */
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

  /** One turn per iteration of the event loop, so that a long round does not delay I/O. */
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
