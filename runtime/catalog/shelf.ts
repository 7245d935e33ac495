// The cache folder: bundles named by their content. A name never changes its bytes, and a reader never sees half a file:
// everything is written beside its place and renamed into it. Shared by every process that is given the same folder.
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NanoclawError } from '../protocol/errors.ts'

/** Bundles of one function that stay: the one in use, and those that workers of the last reloads may still start from. */
const KEPT = 3
const PROJECT_CHARS = 4
const CONTENT_CHARS = 16

export interface Volume {
  /** The project's folder; two projects that share a cache never remove each other's bundles. */
  readonly root: string
  readonly name: string
  readonly code: string
  readonly map: string
}

/**
 * Puts a bundle and its source map on the shelf, unless they are there already, and drops old ones of the same name.
 * The hash covers the map too: a moved line changes no code, but would make every stack trace lie.
 * @throws NanoclawError `bad_config` when the folder takes no files.
 */
export async function shelve(cache: string, volume: Volume): Promise<{ path: string; hash: string }> {
  const project = digest(volume.root, PROJECT_CHARS)
  const hash = project + digest(`${volume.code}\0${volume.map}`, CONTENT_CHARS)
  const file = `${volume.name}-${hash}.mjs`
  const path = join(cache, file)
  try {
    // The map first: whoever finds the code may follow its link.
    const wroteMap = await put(cache, `${path}.map`, volume.map)
    const wroteCode = await put(
      cache,
      path,
      `${volume.code}//# sourceMappingURL=${encodeURIComponent(file)}.map\n`,
    )
    if (wroteMap || wroteCode) await prune(cache, `${volume.name}-${project}`, file)
  } catch (error) {
    throw new NanoclawError('bad_config', takesNoFiles(cache, error), { cause: error })
  }
  return { path, hash }
}

/** The first hexadecimal digits of its SHA-256. */
export function digest(text: string, chars?: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, chars)
}

/** Compares before it writes: a file that a power cut left empty heals, and a read-only cache that is complete will do. */
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

/** Best effort: another process may be tidying the same folder. */
async function prune(cache: string, prefix: string, current: string): Promise<void> {
  const files = (await readdir(cache)).filter((file) => isVersion(file, prefix) && file !== current)
  const aged = await Promise.all(
    files.map(async (file) => ({
      file,
      atMs: (await stat(join(cache, file)).catch(() => undefined))?.mtimeMs ?? 0,
    })),
  )
  const old = aged.sort((a, b) => b.atMs - a.atMs).slice(KEPT - 1)
  const doomed = old.flatMap(({ file }) => [join(cache, file), join(cache, `${file}.map`)])
  await Promise.allSettled(doomed.map((path) => rm(path, { force: true })))
}

function isVersion(file: string, prefix: string): boolean {
  return file.startsWith(prefix) && /^[0-9a-f]+\.mjs$/.test(file.slice(prefix.length))
}

function takesNoFiles(cache: string, error: unknown): string {
  const why = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  return (
    `the cache folder ${cache} takes no files (${why}); bundles of functions are kept there. ` +
    'Make it writable, or name another folder: `cache` in nanoclaw.config.ts, or NANOCLAW_CACHE'
  )
}
