// Folders that come and go, such as one for each session of a host. Their parent folder is read once a
// second: that costs a millisecond per thousand folders, works on every mount, and detects moved folders as
// well as new ones.
import { type Dirent, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Clock, Timer } from '../protocol/clock.ts'

export interface FolderWatcherParts {
  readonly clock: Clock
  /** A path whose last part has one `*`. */
  readonly pattern: string
  readonly onCome: (folder: string) => void
  readonly onGo: (folder: string) => void
}

const POLL_MS = 1_000

/** Absolute; undefined: not a path with exactly one `*`, in its last part. */
export function folderPattern(cwd: string, text: string): string | undefined {
  const pattern = resolve(cwd, text)
  const isLegal = basename(text).split('*').length === 2 && !dirname(text).includes('*')
  return isLegal && !text.includes('\0') ? pattern : undefined
}

export class FolderWatcher {
  readonly #parts: FolderWatcherParts
  readonly #above: string
  readonly #matches: (name: string) => boolean
  readonly #again = new Map<string, number>()
  #known = new Set<string>()
  #timer: Timer | undefined
  #stopped = false

  constructor(parts: FolderWatcherParts) {
    this.#parts = parts
    this.#above = dirname(parts.pattern)
    const [start = '', end = ''] = basename(parts.pattern).split('*')
    this.#matches = (name) =>
      name.length >= start.length + end.length &&
      name.startsWith(start) &&
      name.endsWith(end) &&
      // As in a shell: hidden folders match only a pattern that begins with a dot.
      (start !== '' || !name.startsWith('.'))
  }

  start(): void {
    if (this.#stopped) return
    this.#look()
    this.#timer = this.#parts.clock.after(POLL_MS, () => this.start())
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** Reports the folder again after this time, if it exists then. */
  comeAgain(folder: string, afterMs: number): void {
    this.#again.set(folder, this.#parts.clock.monotonic() + afterMs)
  }

  #look(): void {
    const there = this.#folders()
    if (!there) return
    for (const [folder, atMs] of this.#again) {
      if (there.has(folder) && atMs > this.#parts.clock.monotonic()) continue
      this.#again.delete(folder)
      this.#known.delete(folder)
    }
    const before = this.#known
    this.#known = there
    for (const folder of before) if (!there.has(folder)) this.#parts.onGo(folder)
    for (const folder of there) if (!before.has(folder)) this.#parts.onCome(folder)
  }

  /** Undefined: the parent cannot be read now. A removed parent counts as empty. */
  #folders(): Set<string> | undefined {
    try {
      const entries = readdirSync(this.#above, { withFileTypes: true })
      const folders = entries.filter((entry) => this.#matches(entry.name) && isFolder(this.#above, entry))
      return new Set(folders.map(({ name }) => join(this.#above, name)))
    } catch (error) {
      const isGone = error instanceof Error && 'code' in error && error.code === 'ENOENT'
      return isGone ? new Set() : undefined
    }
  }
}

function isFolder(above: string, entry: Dirent): boolean {
  if (!entry.isSymbolicLink()) return entry.isDirectory()
  try {
    return statSync(join(above, entry.name), { throwIfNoEntry: false })?.isDirectory() ?? false
  } catch {
    return false
  }
}
