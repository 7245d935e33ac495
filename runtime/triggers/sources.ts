// "The functions' sources may have changed", for development. Waits until writing has paused; whoever listens compares
// content, so a false alarm costs one build and nothing else.
import { type FSWatcher, watch } from 'chokidar'
import type { Clock, Timer } from '../clock.ts'

/** Longer than chokidar's own window of 50 ms in which it drops a second change, so that the last one is always read. */
const QUIET_MS = 80

export class SourcesTrigger {
  readonly #clock: Clock
  readonly #onChange: () => void
  readonly #watcher: FSWatcher
  #quiet: Timer | undefined

  constructor(clock: Clock, folder: string, onChange: () => void) {
    this.#clock = clock
    this.#onChange = onChange
    this.#watcher = watch(folder, {
      ignoreInitial: true,
      ignored: (file) => /(^|[/\\])(node_modules|\.[^/\\.][^/\\]*)([/\\]|$)/.test(file.slice(folder.length)),
    })
    this.#watcher.on('all', () => this.#changed())
    // What changed before the watcher was at its post is found by one look of its own.
    this.#watcher.on('ready', () => this.#changed())
  }

  /** Sources outside the folder that a function imports; may be called again with more. */
  add(files: Iterable<string>): void {
    this.#watcher.add([...files])
  }

  async stop(): Promise<void> {
    this.#quiet?.cancel()
    await this.#watcher.close()
  }

  #changed(): void {
    this.#quiet?.cancel()
    this.#quiet = this.#clock.after(QUIET_MS, this.#onChange)
  }
}
