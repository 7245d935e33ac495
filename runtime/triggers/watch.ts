// A folder under watch; chokidar enters the project here. What it calls `change` drops the last of two commits that come
// close together, so those who must not miss one take `onRaw`. Nothing that it says is the truth: it may go blind at any
// time, and says `ready` even when it is.
import { type ChokidarOptions, type FSWatcher, watch } from 'chokidar'
import type { Clock } from '../clock.ts'

export interface WatchParts {
  readonly clock: Clock
  readonly folder: string
  readonly options: ChokidarOptions
  /** A file or folder came, changed or went: not more often than about every 50 ms for each. */
  readonly onChange: () => void
  /** Every event of the system, with the file's name where it gives one. */
  readonly onRaw?: (file: string) => void
  readonly onReady?: () => void
  readonly onError?: (error: Error) => void
}

/** A watcher that does not come up in this time is closed as it is. */
const READY_MAX_MS = 1_000

export class Watch {
  readonly #clock: Clock
  readonly #watcher: FSWatcher
  readonly #ready: Promise<void>

  constructor({ clock, folder, options, onChange, onRaw, onReady, onError }: WatchParts) {
    this.#clock = clock
    this.#watcher = watch(folder, { ignoreInitial: true, ...options })
    this.#ready = new Promise((resolve) => this.#watcher.once('ready', resolve))
    this.#watcher.on('all', onChange)
    this.#watcher.on('ready', () => onReady?.())
    this.#watcher.on('error', (error) => onError?.(error instanceof Error ? error : new Error(String(error))))
    if (onRaw) this.#watcher.on('raw', (_event, file) => typeof file === 'string' && onRaw(file))
  }

  add(files: Iterable<string>): void {
    this.#watcher.add([...files])
  }

  /** A watcher that is closed while it is still being set up leaves handles open, and they would keep the process. */
  async stop(): Promise<void> {
    let timer = { cancel() {} }
    const late = new Promise<void>((resolve) => (timer = this.#clock.after(READY_MAX_MS, resolve)))
    await Promise.race([this.#ready, late])
    timer.cancel()
    await this.#watcher.close()
  }
}
