// The sign of work that hosts look at: the modification time of one empty file. It is touched at the start, right after each
// claim, and every few seconds as long as anything runs, whatever a handler does. Never while nothing runs: hosts show
// "typing…" while it is young, and end a container whose heartbeat is old (docs/decisions/0016-no-heartbeat-while-idle.md).
import type { Clock, Timer } from '../protocol/clock.ts'
import { touchHeartbeat } from '../protocol/files.ts'

export class Heartbeat {
  readonly #path: string
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #busy: () => boolean
  #timer: Timer | undefined
  #running = false

  /** @param busy whether anything runs */
  constructor(path: string, clock: Clock, everyMs: number, busy: () => boolean) {
    this.#path = path
    this.#clock = clock
    this.#everyMs = everyMs
    this.#busy = busy
  }

  /** @throws Error when the file cannot be written, or is a symbolic link (it could point anywhere) */
  start(): void {
    this.#touch()
    this.#running = true
  }

  /** Something begins to run. A file that cannot be touched for a while is no reason to stop: the next beat tries again. */
  beat(): void {
    try {
      this.#touch()
    } catch {
      // The next one.
    }
    this.#arm()
  }

  stop(): void {
    this.#running = false
    this.#timer?.cancel()
  }

  #arm(): void {
    if (!this.#running) return
    this.#timer ??= this.#clock.after(this.#everyMs, () => {
      this.#timer = undefined
      if (this.#busy()) this.beat()
    })
  }

  #touch(): void {
    touchHeartbeat(this.#path, this.#clock.now())
  }
}
