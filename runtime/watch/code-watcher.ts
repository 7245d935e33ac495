// "The functions' sources may have changed", for development. Waits until writing has paused; the listener compares content,
// so a false alarm costs one build and nothing else.
// Folders are watched, not files: a file that an editor replaces, a folder that is swapped for another one (`mv`, `ln -sfn`) and
// a file that does not exist yet all show themselves as a name in a folder. So the folders above each path count as well.
import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Clock, Timer } from '../protocol/clock.ts'

const QUIET_MS = 80
/** Where writing never pauses there is a look all the same, this long after the first change. */
const LATEST_MS = 1_000

/** Installed packages and hidden files are no functions. */
const NO_SOURCE = /^(node_modules$|\.)/
/** What may be found in place of a source beside it: another file of code or data, a folder. */
const BESIDE = /\.([cm]?[jt]sx?|json)$|^[^.]+$/

export interface Watched {
  /** Files that functions are made of. */
  readonly files: Iterable<string>
  /** Folders in which something missing would appear. */
  readonly awaited: Iterable<string>
}

type Matters = (name: string) => boolean

export class CodeWatcher {
  readonly #clock: Clock
  readonly #folder: string
  readonly #onChange: () => void
  readonly #watchers = new Map<string, { readonly identity: string; readonly watcher: FSWatcher }>()
  #matters = new Map<string, Matters[]>()
  #watched: Watched = { files: [], awaited: [] }
  #quiet: Timer | undefined
  #changedAtMs: number | undefined
  #stopped = false

  constructor(clock: Clock, folder: string, onChange: () => void) {
    this.#clock = clock
    this.#folder = folder
    this.#onChange = onChange
  }

  /** Watches the functions folder and these. What has changed before is found by one look. */
  watch(watched: Watched): void {
    this.#watched = watched
    if (this.#follow()) this.#changed()
  }

  stop(): void {
    this.#stopped = true
    this.#quiet?.cancel()
    for (const { watcher } of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  /** Returns whether some folder is watched that was not before, or is another one by now. */
  #follow(): boolean {
    if (this.#stopped) return false
    this.#matters = mattersIn(this.#folder, this.#watched)
    for (const folder of this.#watchers.keys()) if (!this.#matters.has(folder)) this.#leave(folder)
    return [...this.#matters.keys()].filter((folder) => this.#enter(folder)).length > 0
  }

  #enter(folder: string): boolean {
    const found = statSync(folder, { throwIfNoEntry: false })
    const identity = found?.isDirectory() ? `${found.dev} ${found.ino}` : undefined
    if (identity === this.#watchers.get(folder)?.identity) return false
    this.#leave(folder)
    if (identity === undefined) return false
    try {
      const watcher = watch(folder, (_, name) => this.#event(folder, name))
      watcher.once('error', () => this.#leave(folder))
      this.#watchers.set(folder, { identity, watcher })
      return true
    } catch {
      // No permission, or too many watches: a change above or below it may still be seen, and the next start sees all.
      return false
    }
  }

  #leave(folder: string): void {
    this.#watchers.get(folder)?.watcher.close()
    this.#watchers.delete(folder)
  }

  #event(folder: string, name: string | null): void {
    // Under its own name a folder tells that it was moved or removed, and then this watch tells nothing more.
    if (name === basename(folder)) {
      this.#leave(folder)
      this.#changed()
    } else if (name === null || this.#matters.get(folder)?.some((matters) => matters(name))) this.#changed()
  }

  #changed(): void {
    const nowMs = this.#clock.monotonic()
    this.#changedAtMs ??= nowMs
    this.#quiet?.cancel()
    const waitMs = Math.min(QUIET_MS, Math.max(0, this.#changedAtMs + LATEST_MS - nowMs))
    this.#quiet = this.#clock.after(waitMs, () => {
      this.#changedAtMs = undefined
      this.#follow()
      this.#onChange()
    })
  }
}

/** By folder, which names in it matter. */
function mattersIn(functions: string, { files, awaited }: Watched): Map<string, Matters[]> {
  const all = new Map<string, Matters[]>()
  const add = (folder: string, matters: Matters) => all.set(folder, [...(all.get(folder) ?? []), matters])
  const ways = new Map<string, Set<string>>()
  const addWay = (path: string) => {
    for (let at = path; dirname(at) !== at; at = dirname(at)) {
      const names = ways.get(dirname(at)) ?? new Set()
      if (names.has(basename(at))) return
      ways.set(dirname(at), names.add(basename(at)))
    }
  }
  for (const folder of [functions, ...foldersIn(functions)]) {
    add(folder, (name) => !NO_SOURCE.test(name))
    addWay(folder)
  }
  for (const folder of new Set(awaited)) {
    add(folder, () => true)
    addWay(folder)
  }
  for (const file of files) addWay(file)
  for (const folder of new Set([...files].map((file) => dirname(file))))
    add(folder, (name) => BESIDE.test(name))
  for (const [folder, names] of ways) add(folder, (name) => names.has(name))
  return all
}

/** Each may hold an index file, now or later. */
function foldersIn(functions: string): string[] {
  try {
    const entries = readdirSync(functions, { withFileTypes: true })
    return entries.flatMap((entry) =>
      !NO_SOURCE.test(entry.name) && (entry.isDirectory() || entry.isSymbolicLink())
        ? join(functions, entry.name)
        : [],
    )
  } catch {
    return []
  }
}
