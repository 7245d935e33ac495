// "The functions' sources may have changed", for development; chokidar enters the project here. Its events
// are hints: it drops the last of two changes within 50 ms, and detects nothing in a folder that has replaced
// another. A poll decides: it compares file times, waits until writing has paused, and sets chokidar up again
// where a folder was replaced. The listener compares content, so a false alarm costs one build and nothing
// else.
import { type Dirent, readdirSync, type Stats, statSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import type { FSWatcher } from 'chokidar'
import type { Clock, Timer } from '../protocol/clock.ts'

/** Longest delay before a change without an event is detected. */
const POLL_MS = 500
/** Delay from an event to the poll, so that a burst of events costs one poll. */
const HINT_MS = 10
/**
 * Writing has paused when two polls at this distance find no change. Longer than the time resolution of file
 * systems.
 */
const QUIET_MS = 70
/** If writing never pauses, the listener is called this long after the first change. */
const LATEST_MS = 1_000

/** Installed packages, hidden files, and temporary files of editors and SQLite. */
const NO_SOURCE = /^node_modules$|^\.|~$|\.db-(journal|wal|shm)$/

const IDENTITY = ['dev', 'ino'] as const
/** Includes ctime: `cp -p` sets mtime, and `chmod` changes ctime alone. */
const STATE = [...IDENTITY, 'size', 'mtimeMs', 'ctimeMs'] as const

export interface Watched {
  /** Source files of functions. */
  readonly files: readonly string[]
  /** Folders in which a missing import would appear. */
  readonly awaited: readonly string[]
}

export class CodeWatcher {
  readonly #clock: Clock
  readonly #functions: string
  readonly #onChange: () => void
  #chokidar: Promise<FSWatcher | undefined> = Promise.resolve(undefined)
  #hinted: readonly string[] = []
  /** An added file may be a function, or take precedence over the file beside it. */
  #folders: readonly string[] = []
  #others: readonly string[] = []
  #places = ''
  #state = ''
  #changedAtMs: number | undefined
  #next: Timer | undefined
  #isSoon = false
  #stopped = false

  constructor(clock: Clock, functions: string, onChange: () => void) {
    this.#clock = clock
    this.#functions = functions
    this.#onChange = onChange
  }

  /** Watches the functions folder and these. A path that was not watched before counts as a change. */
  watch({ files, awaited }: Watched): void {
    // Each folder may contain an index file, now or later; the target of a link may change.
    const inside = entriesOf(this.#functions).filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    const functions = [this.#functions, ...inside.map(({ name }) => join(this.#functions, name))]
    // Installed packages have many files, which change seldom: the poll is enough.
    const own = files.filter((file) => !file.includes(`${sep}node_modules${sep}`))
    this.#hinted = [...new Set([...functions, ...own])]
    this.#folders = [...new Set([...functions, ...own.map((file) => dirname(file))])]
    this.#others = [...new Set([...files, ...awaited])]
    this.#hint()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#next?.cancel()
    await (await this.#chokidar)?.close()
  }

  #hint(): void {
    if (!this.#isSoon && !this.#stopped) this.#pollIn(HINT_MS)
  }

  #pollIn(delayMs: number): void {
    this.#isSoon = delayMs < POLL_MS
    this.#next?.cancel()
    this.#next = this.#clock.after(delayMs, () => this.#poll())
  }

  #poll(): void {
    const nowMs = this.#clock.monotonic()
    const isQuiet = !this.#look()
    if (!isQuiet) this.#changedAtMs ??= nowMs
    if (this.#changedAtMs === undefined) this.#pollIn(POLL_MS)
    else if (!isQuiet && nowMs - this.#changedAtMs < LATEST_MS) this.#pollIn(QUIET_MS)
    else {
      this.#changedAtMs = undefined
      this.#pollIn(POLL_MS)
      this.#onChange()
    }
  }

  /** Returns whether anything has changed since the last call. */
  #look(): boolean {
    const places = [...this.#hinted, ...this.#folders.map((folder) => statOf(folder, IDENTITY))].join('\n')
    if (places !== this.#places) this.#setUpChokidar()
    this.#places = places
    const names = this.#folders.map((folder) => entriesOf(folder).map(({ name }) => name))
    const state = [places, ...names, ...this.#others.map((path) => statOf(path, STATE))].join('\n')
    const before = this.#state
    this.#state = state
    return state !== before
  }

  /** Closes the old watcher first: chokidar would keep its watch of the old folder at the same path. */
  #setUpChokidar(): void {
    const renewed = this.#chokidar.then(async (old) => {
      await old?.close()
      // Imported lazily: only development needs it.
      const { watch } = await import('chokidar')
      if (this.#stopped) return undefined
      const watcher = watch([...this.#hinted], { ignoreInitial: true, depth: 0 })
      return watcher.on('all', () => this.#hint()).on('error', () => undefined)
    })
    // Without events, for lack of file watches or memory, the poll finds every change.
    this.#chokidar = renewed.catch(() => undefined)
  }
}

function statOf(path: string, fields: readonly (keyof Stats)[]): string {
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    return `${path} ${stats && fields.map((field) => stats[field])}`
  } catch {
    return path
  }
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).filter(({ name }) => !NO_SOURCE.test(name))
  } catch {
    return []
  }
}
