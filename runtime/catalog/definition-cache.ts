// Earlier builds, so that a start need not build again: one file beside each bundle in the cache, with its
// source files and, once a child has reported it, its definition. It is valid only while all those files,
// their folders (a new file could take precedence), and the paths that decided the build (lookups.ts) are
// unchanged.
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
  /** Hash of all build inputs that are not files. */
  readonly key: string
  /** Path → its fingerprint. */
  readonly looks: Readonly<Record<string, string>>
  /** Path → its real path. */
  readonly places: Readonly<Record<string, string>>
  readonly bundle: CachedDefinition
  /** The reported definition, by the hash of the child's environment. */
  readonly definitions: Readonly<Record<string, unknown>>
}

/** A file written this shortly before it was read may change again within the same clock tick. */
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

  /** The bundle that a build would produce now, if known. */
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
      // Missing or partial: a build writes a new one.
      return undefined
    }
  }

  /** Without a writable cache each start builds again; nothing else is lost. */
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

/** Includes ctime: `cp -p` sets mtime. */
async function lookOf(path: string): Promise<string> {
  const file = await stat(path).catch(() => undefined)
  return file ? `${file.mtimeMs} ${file.ctimeMs} ${file.size} ${file.ino}` : GONE
}
