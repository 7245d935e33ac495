// Inputs of a build besides its source files: the paths at which imports are resolved (a link may change its
// target, a missing file may appear), and the package.json and tsconfig.json files that control the
// resolution. Reads files, writes none.
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve, sep } from 'node:path'

export interface Import {
  /** The file that contains it, by its real path. */
  readonly importer: string
  readonly specifier: string
}

export interface Deciders {
  /** Files and folders, existing or missing, with their current fingerprint. */
  readonly looks: ReadonlySet<string>
  /** Links and missing paths, with their real path. */
  readonly places: ReadonlySet<string>
}

/** `read`: every file whose code is in it, by its real path. */
export function decidersOf(read: readonly string[], imports: readonly Import[]): Deciders {
  const looks = new Set<string>()
  const places = new Set<string>()
  const tsconfigs = new Tsconfigs()
  for (const path of read) {
    for (const file of untilThere(foldersAbove(path).map((folder) => join(folder, 'package.json'))))
      looks.add(file)
    for (const { file } of tsconfigs.of(path)) looks.add(file)
  }
  for (const { importer, specifier } of imports)
    for (const path of untilThere(lookupsOf({ importer, specifier }, tsconfigs))) {
      if (!existsSync(path) && (isShelf(dirname(path)) || !isFolder(dirname(path))))
        places.add(firstMissing(path))
      if (isFolder(path)) looks.add(join(path, 'package.json'))
      // Folders that may contain a link to a file or a file with another extension. A folder of packages
      // changes with each package.
      for (const folder of [path, dirname(path)].filter(isFolder)) {
        if (realpathSync(folder) !== folder) places.add(folder)
        if (!isShelf(folder)) looks.add(folder)
      }
    }
  return { looks, places }
}

/** The tsconfig files that apply to these, except those of packages. */
export function tsconfigsOf(files: readonly string[]): string[] {
  const tsconfigs = new Tsconfigs()
  const found = files.flatMap((path) => tsconfigs.of(path)).filter(({ there }) => there)
  return [...new Set(found.map(({ file }) => file))].filter((file) => !isInstalled(file))
}

/**
 * The candidate paths of an import, in the order in which they are tried. A path also stands for itself with
 * an extension (`.ts`, `/index.js`). Empty where the file system does not decide: `node:fs`, a URL, `#name`.
 */
export function lookupsOf({ importer, specifier }: Import, tsconfigs = new Tsconfigs()): string[] {
  if (/^\.{1,2}(\/|$)/.test(specifier) || isAbsolute(specifier))
    return [resolve(dirname(importer), specifier)]
  const name = packageOf(specifier)
  const aliases = tsconfigs.aliasesOf(importer, specifier)
  if (name === undefined) return aliases
  const installed = foldersAbove(importer).map((folder) => join(folder, 'node_modules', name))
  return [...aliases, ...installed]
}

/** The folder at this path, or its nearest existing parent, where a missing path would appear first. */
export function standing(path: string): string {
  return isFolder(path) || dirname(path) === path ? path : standing(dirname(path))
}

/** The folder of a file's package: the nearest one with a package.json. */
export function packageFolderOf(path: string): string {
  const isPackage = (folder: string) => isFile(join(folder, 'package.json'))
  return foldersAbove(path).find(isPackage) ?? dirname(path)
}

/** This path, or its topmost missing parent. */
function firstMissing(path: string): string {
  const folder = dirname(path)
  return existsSync(folder) ? path : firstMissing(folder)
}

/** The tsconfig.json that applies to a file, and those that it extends, each read once. */
class Tsconfigs {
  readonly #chains = new Map<string, readonly Tsconfig[]>()

  of(path: string): readonly Tsconfig[] {
    if (isInstalled(path)) return []
    const folder = dirname(path)
    const known = this.#chains.get(folder)
    if (known) return known
    const found = foldersAbove(path).flatMap((above) =>
      ['tsconfig.json', 'jsconfig.json'].map((name) => join(above, name)),
    )
    const chain = untilThere(found).flatMap((file) => chainOf(file, []))
    this.#chains.set(folder, chain)
    return chain
  }

  aliasesOf(importer: string, specifier: string): string[] {
    return this.of(importer).flatMap(({ base, baseUrl, paths }) => [
      ...paths.flatMap(([pattern, targets]) => {
        const star = starOf(pattern, specifier)
        return star === undefined ? [] : targets.map((target) => resolve(base, target.replace('*', star)))
      }),
      ...(baseUrl && packageOf(specifier) !== undefined ? [resolve(base, specifier)] : []),
    ])
  }
}

interface Tsconfig {
  readonly file: string
  readonly there: boolean
  /** `paths` are relative to this folder. */
  readonly base: string
  /** True: it is a `baseUrl`, so packages are resolved here, too. */
  readonly baseUrl: boolean
  readonly paths: readonly (readonly [pattern: string, targets: readonly string[]])[]
}

/** The fields of tsconfig files that matter here; the bundler reports anything else. */
interface Settings {
  readonly extends?: string | readonly string[]
  readonly compilerOptions?: { readonly baseUrl?: string; readonly paths?: Record<string, readonly string[]> }
}

function chainOf(file: string, from: readonly string[]): Tsconfig[] {
  const there = isFile(file)
  if (!there || from.includes(file)) return [{ file, there, base: dirname(file), baseUrl: false, paths: [] }]
  const { extends: parents = [], compilerOptions = {} } = settingsIn(file)
  const { baseUrl, paths = {} } = compilerOptions
  const base = resolve(dirname(file), baseUrl ?? '.')
  const own = { file, there, base, baseUrl: baseUrl !== undefined, paths: Object.entries(paths) }
  const isTsconfig = (path: string) => isFile(path) && !path.endsWith(`${sep}package.json`)
  const above = [parents].flat().flatMap((parent) => untilThere(parentsOf(file, parent), isTsconfig))
  return [own, ...above.flatMap((each) => chainOf(each, [...from, file]))]
}

function parentsOf(importer: string, specifier: string): string[] {
  const folders =
    /^\.{1,2}(\/|$)/.test(specifier) || isAbsolute(specifier)
      ? [resolve(dirname(importer), specifier)]
      : foldersAbove(importer).map((folder) => join(folder, 'node_modules', specifier))
  return folders.flatMap((path) => [
    path,
    `${path}.json`,
    join(path, 'package.json'),
    join(path, 'tsconfig.json'),
  ])
}

/** Accepts comments and trailing commas, as tsconfig files may have them. */
function settingsIn(file: string): Settings {
  const text = readFileSync(file, 'utf8')
    .replace(/("(?:\\.|[^"\\])*")|\/\/.*|\/\*[\s\S]*?\*\//g, '$1')
    .replace(/("(?:\\.|[^"\\])*")|,(?=\s*[}\]])/g, '$1')
  try {
    const { tsconfig, ...settings } = JSON.parse(text.replace(/^\uFEFF/, ''))
    // The package.json of an extended package may name the file.
    return typeof tsconfig === 'string' ? { extends: resolve(dirname(file), tsconfig) } : settings
  } catch {
    return {}
  }
}

/** The text matched by `*` in the pattern; undefined: no match. */
function starOf(pattern: string, specifier: string): string | undefined {
  const [before = '', after] = pattern.split('*')
  if (after === undefined) return pattern === specifier ? '' : undefined
  const fits =
    specifier.length >= before.length + after.length &&
    specifier.startsWith(before) &&
    specifier.endsWith(after)
  return fits ? specifier.slice(before.length, specifier.length - after.length) : undefined
}

/** The candidates up to and including the first existing one. */
function untilThere(paths: readonly string[], there = existsSync as (path: string) => boolean): string[] {
  const at = paths.findIndex((path) => there(path))
  return paths.slice(0, at < 0 ? paths.length : at + 1)
}

/** The folder of a file and its parents, nearest first. */
function foldersAbove(path: string): string[] {
  const folder = dirname(path)
  return folder === path ? [] : [folder, ...foldersAbove(folder)]
}

/** `@scope/name` of `@scope/name/deep.js`. */
function packageOf(specifier: string): string | undefined {
  return specifier.match(/^(@[^/:]+\/)?[^@#/.:][^/:]*(?=\/|$)/)?.[0]
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function isInstalled(path: string): boolean {
  return path.includes(`${sep}node_modules${sep}`)
}

/** A folder of packages: node_modules, or a scope in it. */
function isShelf(folder: string): boolean {
  return /[/\\]node_modules([/\\]@[^/\\]+)?$/.test(folder)
}
