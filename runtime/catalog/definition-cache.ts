// What was built the last time, so that a start need not build again: for each bundle one file beside it in the cache that
// says from which files it was made and, once a child has told, what it defines. It counts only while every one of those
// files, every folder that holds one (a new file there could be found in its place), and what decided that it was made from
// these (lookups.ts) is as it was then.
import { readFile, realpath, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { digest, put } from './bundle-cache.ts'
import type { Deciders } from './lookups.ts'

export interface CachedDefinition {
  readonly path: string
  readonly files: readonly string[]
  readonly hash: string
  readonly inputs: readonly string[]
}

interface Memory {
  /** Of everything that goes into a build beside files. */
  readonly key: string
  /** Path → how it looked. */
  readonly looks: Readonly<Record<string, string>>
  /** Path → where it leads. */
  readonly places: Readonly<Record<string, string>>
  readonly bundle: CachedDefinition
  /** What the bundle defines, by the environment that it saw. */
  readonly definitions: Readonly<Record<string, unknown>>
}

/** A file that was written so shortly before it was read may have changed again within the same tick of the clock. */
const FRESH_MS = 20
const KEY_CHARS = 16
const GONE = 'gone'

export class DefinitionCache {
  readonly #cache: string
  readonly #root: string
  readonly #file: string

  /** `name`: of the function or config; `root`: of the project. */
  constructor(cache: string, root: string, name: string) {
    this.#cache = cache
    this.#root = root
    this.#file = join(cache, `${name}-${digest(root, KEY_CHARS)}.json`)
  }

  /** The bundle that would come out of a build now, if that is known. */
  async recall(key: string): Promise<CachedDefinition | undefined> {
    const memory = await this.#read()
    if (memory?.key !== key) return undefined
    const same = await Promise.all([isStill(memory.looks, lookOf), isStill(memory.places, placeOf)])
    return same.every(Boolean) ? memory.bundle : undefined
  }

  /** `read`: every file that went into it; `sinceMs`: when the build began. */
  async keep(
    key: string,
    bundle: CachedDefinition,
    read: readonly string[],
    sinceMs: number,
    deciders: Deciders,
  ): Promise<void> {
    const settings = ['package.json', 'tsconfig.json'].map((file) => join(this.#root, file))
    const folders = read.map((path) => dirname(path))
    const paths = new Set([...bundle.files, ...settings, ...read, ...folders, ...deciders.looks])
    const looks: Record<string, string> = {}
    for (const path of paths) {
      const look = await lookOf(path)
      if (read.includes(path) && !(Number(look.split(' ', 1)) < sinceMs - FRESH_MS)) return
      looks[path] = look
    }
    const places: Record<string, string> = {}
    for (const path of deciders.places) places[path] = await placeOf(path)
    await this.#write({ key, looks, places, bundle, definitions: {} })
  }

  async definition(hash: string, env: Readonly<Record<string, string>>): Promise<unknown> {
    const memory = await this.#read()
    return memory?.bundle.hash === hash ? memory.definitions[keyOf(env)] : undefined
  }

  async keepDefinition(
    hash: string,
    env: Readonly<Record<string, string>>,
    definition: unknown,
  ): Promise<void> {
    const memory = await this.#read()
    if (memory?.bundle.hash !== hash) return
    await this.#write({ ...memory, definitions: { [keyOf(env)]: definition } })
  }

  async #read(): Promise<Memory | undefined> {
    try {
      return JSON.parse(await readFile(this.#file, 'utf8')) as Memory
    } catch {
      // None, or half of one: then a build makes another.
      return undefined
    }
  }

  /** A cache that takes no files costs a build at each start, nothing else. */
  async #write(memory: Memory): Promise<void> {
    await put(this.#cache, this.#file, JSON.stringify(memory)).catch(() => undefined)
  }
}

function keyOf(env: Readonly<Record<string, string>>): string {
  return digest(JSON.stringify(env), KEY_CHARS)
}

async function isStill(
  then: Readonly<Record<string, string>>,
  ask: (path: string) => Promise<string>,
): Promise<boolean> {
  const now = await Promise.all(Object.keys(then).map(ask))
  return Object.values(then).every((value, n) => value === now[n])
}

async function placeOf(path: string): Promise<string> {
  return realpath(path).catch(() => GONE)
}

/** With the time of the last change of any kind: `cp -p` sets the other one. */
async function lookOf(path: string): Promise<string> {
  const file = await stat(path).catch(() => undefined)
  return file ? `${file.mtimeMs} ${file.ctimeMs} ${file.size} ${file.ino}` : GONE
}
