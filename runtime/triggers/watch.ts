// A folder of sources under watch; chokidar enters the project here. What it calls `change` drops the last of two changes
// that come close together, and it says `ready` even when it is blind: whoever listens looks for itself.
import type { ChokidarOptions, FSWatcher } from 'chokidar'
import type { Clock } from '../clock.ts'

export interface WatchParts {
  readonly clock: Clock
  readonly folder: string
  readonly options: ChokidarOptions
  /** A file or folder came, changed or went: not more often than about every 50 ms for each. */
  readonly onChange: () => void
  readonly onReady: () => void
}

/** A watcher that does not come up in this time is closed as it is. */
const READY_MAX_MS = 1_000

export class Watch {
  readonly #clock: Clock
  readonly #watcher: Promise<FSWatcher>
  readonly #ready: Promise<void>

  constructor({ clock, folder, options, onChange, onReady }: WatchParts) {
    this.#clock = clock
    // Loaded here, since only who develops needs it.
    this.#watcher = import('chokidar').then(({ watch }) => {
      const watcher = watch(folder, { ignoreInitial: true, ...options })
      watcher.on('all', onChange)
      watcher.on('ready', onReady)
      // Blind or not, `reload` by hand and the next start still see everything.
      watcher.on('error', () => undefined)
      return watcher
    })
    this.#ready = this.#watcher.then((watcher) => new Promise((resolve) => watcher.once('ready', resolve)))
  }

  add(files: Iterable<string>): void {
    const paths = [...files]
    void this.#watcher.then((watcher) => watcher.add(paths))
  }

  /** A watcher that is closed while it is still being set up leaves handles open, and they would keep the process. */
  async stop(): Promise<void> {
    let timer = { cancel() {} }
    const late = new Promise<void>((resolve) => (timer = this.#clock.after(READY_MAX_MS, resolve)))
    await Promise.race([this.#ready, late])
    timer.cancel()
    await (await this.#watcher).close()
  }
}
