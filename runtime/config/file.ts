// The project and its config file: their paths, and the file's fields by the names of the table. Values are
// not checked here, only the form of the file; faults are collected and not thrown.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, extname, join, relative, resolve, sep } from 'node:path'
import { errorText } from '../protocol/errors.ts'
import { nearest } from '../protocol/nearest.ts'
import { CONFIG_VARIABLE } from './names.ts'
import { SETTING_NAMES, SETTINGS, type SettingName } from './options.ts'

export interface Project {
  /** The project's folder; the working folder where no project is found. */
  readonly root: string
  readonly isFound: boolean
  /** The config file; null: none was found. */
  readonly file: string | null
  readonly faults: readonly { readonly source: 'flag' | 'variable' | 'file'; readonly text: string }[]
}

export interface ConfigFields {
  readonly values: ReadonlyMap<SettingName, unknown>
  readonly faults: readonly string[]
}

const ENDINGS = ['ts', 'mts', 'cts', 'js', 'mjs', 'cjs', 'json']
const CONFIG_NAMES = ENDINGS.map((ending) => `nanoclaw.config.${ending}`)
const LIKE_CONFIG = /^nanoclaw\.config(\.[^.~]*)?$/i
/** Names that mark a file as not in use. */
const NOT_IN_USE = /\.(bak|old|orig|off|disabled|example|sample|template|dist|tmp)$/i
const LEGAL_ENDING = `one that ends in ${ENDINGS.map((ending) => `.${ending}`).join(', ')}`

/** The folder of the requested config file; otherwise the working folder, or the nearest project above it. */
export function findProject(input: {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly configFile?: string | undefined
}): Project {
  const { cwd, env, configFile } = input
  if (configFile !== undefined) return askedFor(configFile, cwd, 'flag', '--config')
  const fromEnv = env[CONFIG_VARIABLE]
  if (fromEnv) return askedFor(fromEnv, cwd, 'variable', CONFIG_VARIABLE)
  const root = foldersUp(cwd).find((folder) => isProject(folder, cwd))
  return { root: root ?? cwd, isFound: root !== undefined, ...configIn(root ?? cwd) }
}

/**
 * A config file, or a functions folder. `functions` is a common name, so above the working folder it counts
 * only together with a workspace, a package.json, or the working folder inside it.
 */
function isProject(folder: string, cwd: string): boolean {
  if (configLike(folder).length > 0) return true
  if (!isFolder(join(folder, 'functions'))) return false
  if (folder === cwd || relative(folder, cwd).split(sep)[0] === 'functions') return true
  return ['package.json', '.nanoclaw'].some((name) => existsSync(join(folder, name)))
}

function configIn(folder: string): Pick<Project, 'file' | 'faults'> {
  const all = configLike(folder)
  const found = CONFIG_NAMES.filter((name) => all.includes(name))
  const faults = all
    .filter((name) => !found.includes(name))
    .map((name) => `${name} in ${folder} is not read; expected ${LEGAL_ENDING}. Rename or remove it.`)
  if (found.length > 1)
    faults.push(`${found.join(' and ')} both exist in ${folder}; expected one config file`)
  const [first] = found
  return {
    file: first === undefined ? null : join(folder, first),
    faults: faults.map((text) => ({ source: 'file', text })),
  }
}

function configLike(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    const names = entries.flatMap((entry) => (entry.isDirectory() ? [] : entry.name))
    return names.filter((name) => LIKE_CONFIG.test(name) && !NOT_IN_USE.test(name)).sort()
  } catch {
    // A parent folder without read permission.
    return []
  }
}

/** The folder itself first. */
function foldersUp(folder: string): string[] {
  return dirname(folder) === folder ? [folder] : [folder, ...foldersUp(dirname(folder))]
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

function askedFor(asked: string, cwd: string, source: 'flag' | 'variable', origin: string): Project {
  const path = resolve(cwd, asked)
  const found = { root: dirname(path), isFound: true }
  if (statSync(path, { throwIfNoEntry: false })?.isFile() && ENDINGS.includes(extname(path).slice(1)))
    return { ...found, file: path, faults: [] }
  const text = `${origin}: found ${shown(asked)}; expected an existing file, ${LEGAL_ENDING}`
  return { ...found, root: cwd, file: null, faults: [{ source, text }] }
}

/** @param evaluate runs a script in a process of its own and returns its default export */
export async function readConfigFile(
  path: string,
  evaluate: (path: string) => Promise<unknown>,
): Promise<ConfigFields> {
  try {
    const content = path.endsWith('.json') ? JSON.parse(readFileSync(path, 'utf8')) : await evaluate(path)
    return fieldsOf(content, basename(path))
  } catch (error) {
    return { values: new Map(), faults: [`${path} cannot be read: ${errorText(error)}`] }
  }
}

function fieldsOf(content: unknown, label: string): ConfigFields {
  if (!isObject(content)) {
    const remedy = 'expected an object; write: export default defineConfig({ … })'
    return {
      values: new Map(),
      faults: [`${label}: found ${shown(content)} as its default export; ${remedy}`],
    }
  }
  const values = new Map<SettingName, unknown>()
  const faults: string[] = []
  for (const [name, value] of flatten(content, label, faults)) {
    if (value === undefined) continue
    if (isSetting(name)) values.set(name, value)
    else faults.push(unknownField(name, label))
  }
  return { values, faults }
}

function* flatten(
  content: Record<string, unknown>,
  label: string,
  faults: string[],
): Generator<[string, unknown]> {
  for (const [name, value] of Object.entries(content)) {
    if (name !== 'retry') yield [name, value]
    else if (isObject(value))
      for (const [inner, each] of Object.entries(value)) yield [`retry.${inner}`, each]
    else if (value !== undefined)
      faults.push(
        `${label}: retry: found ${shown(value)}; expected an object with any of ${RETRY_FIELDS.join(', ')}`,
      )
  }
}

const RETRY_FIELDS = SETTING_NAMES.flatMap((name) => (name.startsWith('retry.') ? [name.slice(6)] : []))

function unknownField(name: string, label: string): string {
  const meant = nearest(name, SETTING_NAMES)
  return `${label}: unknown field ${name}; ${meant ? `did you mean ${meant}?` : `legal fields: ${SETTING_NAMES.join(', ')}`}`
}

function isSetting(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A value for a fault text: as JSON where possible, and short. */
export function shown(value: unknown): string {
  const text = typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value))
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}
