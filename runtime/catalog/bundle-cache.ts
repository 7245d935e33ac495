// The cache folder: bundles named by their content. A name never changes its bytes, and a reader never sees a
// partial file: files are written under a temporary name and renamed. Processes may share the folder.
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { NanoclawError } from '../protocol/errors.ts'

/**
 * Kept bundles per function: the one in use, and those that workers of the last reloads may still start from.
 */
const KEPT = 3
const PROJECT_CHARS = 4
const CONTENT_CHARS = 16
/** File name suffixes after name and project: code, map, starter, V8's cache, temporary files of these. */
const VERSION = /^[0-9a-f]+(?=\.[cm]?js(\.|$))/

export interface BundleCache {
  /** The project's folder; two projects that share a cache never remove each other's bundles. */
  readonly root: string
  readonly name: string
  readonly code: string
  readonly map: string
  /** Runs the code; without one, the code is an ES module that node runs itself. */
  readonly starter: string | undefined
}

export interface CachedBundle {
  /** The file for node to run. */
  readonly path: string
  readonly files: readonly string[]
  readonly hash: string
}

/**
 * The real path of the folder, as far as it exists: node reports real paths, and maps are relative to them.
 */
export async function realFolder(path: string): Promise<string> {
  const parent = dirname(path)
  if (parent === path) return path
  return realpath(path).catch(async () => join(await realFolder(parent), basename(path)))
}

/**
 * Writes a bundle and its source map into the cache unless they exist, and removes old ones of the same name.
 * The hash covers the map, too: a moved line changes no code, but would make every stack trace wrong.
 * @throws NanoclawError `bad_config` when the folder is not writable.
 */
export async function cacheBundle(cache: string, volume: BundleCache): Promise<CachedBundle> {
  const { root, name, code, map, starter } = volume
  const project = digest(root, PROJECT_CHARS)
  const hash = project + digest(`${code}\0${map}\0${starter ?? ''}`, CONTENT_CHARS)
  const title = `${name}-${hash}`
  const file = `${title}${starter === undefined ? '.mjs' : '.js'}`
  // The map first: a reader of the code may follow its link. The starter last.
  const texts: [string, string][] = [
    [`${file}.map`, map],
    [file, `${code}//# sourceMappingURL=${encodeURIComponent(file)}.map\n`],
  ]
  if (starter !== undefined) texts.push([`${title}.cjs`, starter])
  try {
    let wrote = false
    for (const [each, text] of texts) wrote = (await put(cache, join(cache, each), text)) || wrote
    if (wrote) await prune(cache, `${name}-${project}`, title)
  } catch (error) {
    throw new NanoclawError('bad_config', takesNoFiles(cache, error), { cause: error })
  }
  const files = texts.map(([each]) => join(cache, each))
  return { path: files.at(-1)!, files, hash }
}

/** The first hexadecimal digits of its SHA-256. */
export function digest(text: string, chars?: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, chars)
}

/**
 * Compares before writing: repairs a file that a power cut left empty, and accepts a complete read-only
 * cache.
 */
export async function put(cache: string, path: string, text: string): Promise<boolean> {
  const bytes = Buffer.from(text)
  const there = await readFile(path).catch(() => undefined)
  if (there?.equals(bytes)) return false
  await mkdir(cache, { recursive: true })
  const draft = `${path}.${randomUUID()}.tmp`
  try {
    await writeFile(draft, bytes, { flag: 'wx' })
    await rename(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
  return true
}

/**
 * Best effort: another process may be cleaning the same folder. `current`: the title that was just written.
 */
async function prune(cache: string, prefix: string, current: string): Promise<void> {
  const files = new Map<string, string[]>()
  for (const file of await readdir(cache)) {
    const [version] = file.startsWith(prefix) ? (file.slice(prefix.length).match(VERSION) ?? []) : []
    if (version === undefined || prefix + version === current) continue
    files.set(version, [...(files.get(version) ?? []), file])
  }
  const aged = await Promise.all(
    [...files.values()].map(async (own) => ({
      own,
      atMs: Math.max(...(await Promise.all(own.map((file) => writtenMs(cache, file))))),
    })),
  )
  const old = aged.sort((a, b) => b.atMs - a.atMs).slice(KEPT - 1)
  const doomed = old.flatMap(({ own }) => own.map((file) => join(cache, file)))
  await Promise.allSettled(doomed.map((path) => rm(path, { force: true })))
}

async function writtenMs(cache: string, file: string): Promise<number> {
  return (await stat(join(cache, file)).catch(() => undefined))?.mtimeMs ?? 0
}

function takesNoFiles(cache: string, error: unknown): string {
  const why = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  return (
    `the cache folder ${cache} is not writable (${why}); it holds the bundles of functions. ` +
    'Make it writable, or name another folder: `cache` in nanoclaw.config.ts, or NANOCLAW_CACHE'
  )
}
