// Which functions a project has, by file name alone; nothing is opened or run. A function is a file directly
// in the functions folder, or a subfolder with an index file, and its name is the file's or the folder's.
import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { NanoclawError } from '../protocol/errors.ts'

/** A source file or folder of a function. */
export interface FunctionSource {
  readonly name: string
  /** Relative to the project, with forward slashes; for error texts. */
  readonly file: string
  readonly path: string
}

/** A file whose name is not usable, and why. */
export interface NameConflict {
  readonly source: FunctionSource
  readonly text: string
}

export interface Found {
  /** Sorted by name. */
  readonly sources: readonly FunctionSource[]
  /** One per name: it is illegal, two files have it, or its file is a broken link. */
  readonly refusals: readonly NameConflict[]
}

const CODE = /\.[cm]?[jt]sx?$/
const NOT_A_FUNCTION = /^[._]|\.d\.[cm]?ts$|\.(test|spec)\.[^.]+$|^node_modules$/
/** The name becomes part of file names and log lines, and is the default kind. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const NAME_RULE = 'a letter or digit, then up to 63 letters, digits, ".", "_" or "-"'

/**
 * Every function in `functionsDir`.
 * @throws NanoclawError `bad_config` when the folder cannot be read
 */
export async function discover(functionsDir: string, root: string): Promise<Found> {
  const candidates = await candidatesIn(functionsDir)
  const all = candidates.map(({ path, isDead }) => {
    const source = { name: nameOf(functionsDir, path), file: fileOf(root, path), path }
    return { source, faults: faultsOf(source, isDead) }
  })
  all.sort((a, b) => compare(a.source.name, b.source.name) || compare(a.source.file, b.source.file))
  const sources: FunctionSource[] = []
  const refusals: NameConflict[] = []
  for (const [first, ...twins] of byName(all)) {
    const faults = [first, ...twins].flatMap((each) => each.faults)
    if (twins.length > 0) faults.push(twinText([first, ...twins].map(({ source }) => source)))
    if (faults.length === 0) sources.push(first.source)
    else refusals.push({ source: first.source, text: faults.join('\n') })
  }
  return { sources, refusals }
}

interface Candidate {
  readonly path: string
  /** A broken link. */
  readonly isDead: boolean
}

async function candidatesIn(functionsDir: string): Promise<Candidate[]> {
  const found: Candidate[] = []
  for (const entry of await entriesOf(functionsDir)) {
    if (NOT_A_FUNCTION.test(entry.name)) continue
    const path = join(functionsDir, entry.name)
    const what = await whatIs(entry, path)
    if (what === 'folder')
      for (const index of await indexesOf(path)) found.push({ path: index, isDead: false })
    else if (what !== 'other' && CODE.test(entry.name)) found.push({ path, isDead: what === 'dead link' })
  }
  return found
}

function faultsOf({ name, file }: FunctionSource, isDead: boolean): string[] {
  const faults: string[] = []
  if (!NAME.test(name))
    faults.push(`${file}: "${name}" cannot be a function's name; expected ${NAME_RULE}. Rename it.`)
  if (isDead) faults.push(`${file} is a broken link; expected a file. Repair or remove it.`)
  return faults
}

/** Adjacent entries with one name. */
function byName<T extends { readonly source: FunctionSource }>(sorted: readonly T[]): [T, ...T[]][] {
  const groups: [T, ...T[]][] = []
  for (const each of sorted) {
    const last = groups.at(-1)
    if (last?.[0].source.name === each.source.name) last.push(each)
    else groups.push([each])
  }
  return groups
}

function twinText(twins: readonly FunctionSource[]): string {
  const files = twins.map(({ file }) => file)
  const [last] = files.slice(-1)
  const all = files.length === 2 ? 'both' : 'all'
  return `${files.slice(0, -1).join(', ')} and ${last} are ${all} named "${twins[0]?.name}"; leave one of them and rename or remove ${all === 'both' ? 'the other' : 'the others'}.`
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

/** Returns all of them: two index files in one folder are two functions with one name. */
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

/** By code unit, so that the order is the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
