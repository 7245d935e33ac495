// The sign of life that hosts look at: the modification time of one empty file. It is touched right after each claim and
// every few seconds by a timer of its own, so it says "this runtime's event loop turns", whatever is being worked on.
import { closeSync, constants, futimesSync, openSync } from 'node:fs'
import type { Clock, Timer } from './clock.ts'

export class Heartbeat {
  readonly #path: string
  readonly #clock: Clock
  readonly #everyMs: number
  #timer: Timer | undefined
  #running = false

  constructor(path: string, clock: Clock, everyMs: number) {
    this.#path = path
    this.#clock = clock
    this.#everyMs = everyMs
  }

  /** @throws Error when the file cannot be written, or is a symbolic link (it could point anywhere) */
  start(): void {
    this.#touch()
    this.#running = true
    this.#arm()
  }

  /** A file that cannot be touched for a while is no reason to stop working: the next beat tries again. */
  beat(): void {
    try {
      this.#touch()
    } catch {
      return
    }
  }

  stop(): void {
    this.#running = false
    this.#timer?.cancel()
  }

  #arm(): void {
    if (!this.#running) return
    this.#timer = this.#clock.after(this.#everyMs, () => {
      this.beat()
      this.#arm()
    })
  }

  #touch(): void {
    const file = openSync(
      this.#path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      0o600,
    )
    try {
      const seconds = this.#clock.now() / 1000
      futimesSync(file, seconds, seconds)
    } finally {
      closeSync(file)
    }
  }
}
