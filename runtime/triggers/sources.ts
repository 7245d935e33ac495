// "The functions' sources may have changed", for development. Waits until writing has paused; whoever listens compares
// content, so a false alarm costs one build and nothing else.
import type { Clock, Timer } from '../clock.ts'
import { Watch } from './watch.ts'

/** Longer than the watcher's own 50 ms in which it drops a second change, so that the last one is always read. */
const QUIET_MS = 80

/** Installed packages and hidden files are nobody's source. */
const NO_SOURCE = /(^|[/\\])(node_modules|\.[^/\\.][^/\\]*)([/\\]|$)/

export class SourcesTrigger {
  readonly #clock: Clock
  readonly #onChange: () => void
  readonly #watch: Watch
  #quiet: Timer | undefined

  constructor(clock: Clock, folder: string, onChange: () => void) {
    this.#clock = clock
    this.#onChange = onChange
    this.#watch = new Watch({
      clock,
      folder,
      options: { ignored: (file) => NO_SOURCE.test(file.slice(folder.length)) },
      onChange: () => this.#changed(),
      // What changed before the watcher was at its post is found by one look of its own.
      onReady: () => this.#changed(),
    })
  }

  /** Sources outside the folder that a function imports; may be called again with more. */
  add(files: Iterable<string>): void {
    this.#watch.add(files)
  }

  async stop(): Promise<void> {
    await this.#watch.stop()
    this.#quiet?.cancel()
  }

  #changed(): void {
    this.#quiet?.cancel()
    this.#quiet = this.#clock.after(QUIET_MS, this.#onChange)
  }
}
