// Which functions a project has, by file name alone; nothing is opened or run. A function is a file directly in the
// functions folder, or a subfolder with an index file, and its name is the file's or the folder's.
import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { NanoclawError } from '../protocol/errors.ts'

/** A file that should become a function. */
export interface Source {
  readonly name: string
  /** Relative to the project, with forward slashes, for messages to people. */
  readonly file: string
  readonly path: string
}

const CODE = /\.[cm]?[jt]sx?$/
const NOT_A_FUNCTION = /^[._]|\.d\.[cm]?ts$|\.(test|spec)\.[^.]+$|^node_modules$/
/** The name becomes part of file names and log lines, and is the default kind. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const NAME_RULE = 'a letter or digit, then up to 63 letters, digits, ".", "_" or "-"'

/**
 * Every function in `functionsDir`, sorted by name.
 * @throws NanoclawError `bad_config` when the folder cannot be read, `bad_function` with all the names that cannot be
 * used: two files with one name, characters that are not allowed, a link that leads nowhere.
 */
export async function discover(functionsDir: string, root: string): Promise<Source[]> {
  const faults: string[] = []
  const sources: Source[] = []
  for (const path of await candidates(functionsDir, faults, root)) {
    const source = { name: nameOf(functionsDir, path), file: fileOf(root, path), path }
    if (NAME.test(source.name)) sources.push(source)
    else
      faults.push(
        `${source.file}: "${source.name}" cannot be a function's name; expected ${NAME_RULE}. Rename it.`,
      )
  }
  sources.sort((a, b) => compare(a.name, b.name) || compare(a.file, b.file))
  faults.push(...twins(sources))
  if (faults.length > 0) throw new NanoclawError('bad_function', faults.join('\n'))
  return sources
}

async function candidates(functionsDir: string, faults: string[], root: string): Promise<string[]> {
  const paths: string[] = []
  for (const entry of await entriesOf(functionsDir)) {
    if (NOT_A_FUNCTION.test(entry.name)) continue
    const path = join(functionsDir, entry.name)
    const what = await whatIs(entry, path)
    if (what === 'folder') paths.push(...(await indexesOf(path)))
    if (what === 'file' && CODE.test(entry.name)) paths.push(path)
    if (what === 'dead link' && CODE.test(entry.name))
      faults.push(`${fileOf(root, path)} is a link that leads nowhere; expected a file. Mend or remove it.`)
  }
  return paths
}

async function entriesOf(functionsDir: string): Promise<Dirent[]> {
  try {
    return await readdir(functionsDir, { withFileTypes: true })
  } catch (error) {
    const why = codeOf(error) === 'ENOENT' ? 'does not exist' : `cannot be read (${codeOf(error)})`
    throw new NanoclawError(
      'bad_config',
      `the functions folder ${functionsDir} ${why}; create it, or run \`nanoclaw init\``,
      { cause: error },
    )
  }
}

async function whatIs(entry: Dirent, path: string): Promise<'file' | 'folder' | 'dead link' | 'other'> {
  if (!entry.isSymbolicLink()) return entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : 'other'
  const target = await stat(path).catch(() => undefined)
  if (!target) return 'dead link'
  return target.isFile() ? 'file' : target.isDirectory() ? 'folder' : 'other'
}

/** All of them: two index files in one folder are two functions with one name. */
async function indexesOf(folder: string): Promise<string[]> {
  const paths: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    if (!CODE.test(entry.name) || entry.name.replace(CODE, '') !== 'index') continue
    const path = join(folder, entry.name)
    if ((await whatIs(entry, path)) === 'file') paths.push(path)
  }
  return paths
}

function nameOf(functionsDir: string, path: string): string {
  const [first = '', index] = relative(functionsDir, path).split(sep)
  return index === undefined ? first.replace(CODE, '') : first
}

function fileOf(root: string, path: string): string {
  return relative(root, path).split(sep).join('/')
}

function twins(sorted: readonly Source[]): string[] {
  return sorted.flatMap((source, at) => {
    const next = sorted[at + 1]
    if (next?.name !== source.name) return []
    return [`${source.file} and ${next.file} are both named "${source.name}"; rename or remove one of them.`]
  })
}

/** By code unit, so that the order is the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
