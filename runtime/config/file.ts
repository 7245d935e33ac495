// The config file: which one it is, and its fields by the names of the table. What it says is not judged here, only
// whether it says it in a form that can be read; every fault is collected, none is thrown.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { basename, extname, join, resolve } from 'node:path'
import { errorText } from '../protocol/errors.ts'
import { nearest } from '../protocol/nearest.ts'
import { CONFIG_VARIABLE } from './names.ts'
import { SETTING_NAMES, SETTINGS, type SettingName } from './options.ts'

export interface FoundFile {
  /** Null: there is none that can be read. */
  readonly path: string | null
  readonly faults: readonly { readonly source: 'flag' | 'variable' | 'file'; readonly text: string }[]
}

export interface Fields {
  readonly values: ReadonlyMap<SettingName, unknown>
  readonly faults: readonly string[]
}

const ENDINGS = ['ts', 'mts', 'js', 'mjs', 'json']
const CONFIG_NAMES = ENDINGS.map((ending) => `nanoclaw.config.${ending}`)

export function findConfigFile(input: {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly configFile?: string | undefined
}): FoundFile {
  const { cwd, env, configFile } = input
  if (configFile !== undefined) return askedFor(configFile, cwd, 'flag', '--config')
  const fromEnv = env[CONFIG_VARIABLE]
  if (fromEnv) return askedFor(fromEnv, cwd, 'variable', CONFIG_VARIABLE)
  const found = CONFIG_NAMES.filter((name) => existsSync(join(cwd, name)))
  const [first] = found
  if (first === undefined) return { path: null, faults: [] }
  const text = `${found.join(' and ')} both exist in ${cwd}; expected one config file`
  return { path: join(cwd, first), faults: found.length > 1 ? [{ source: 'file', text }] : [] }
}

function askedFor(asked: string, cwd: string, source: 'flag' | 'variable', origin: string): FoundFile {
  const path = resolve(cwd, asked)
  if (statSync(path, { throwIfNoEntry: false })?.isFile() && ENDINGS.includes(extname(path).slice(1)))
    return { path, faults: [] }
  const legal = `an existing file that ends in ${ENDINGS.map((ending) => `.${ending}`).join(', ')}`
  return { path: null, faults: [{ source, text: `${origin}: found ${shown(asked)}; expected ${legal}` }] }
}

/** @param evaluate runs a script in a process of its own and returns its default export */
export async function readConfigFile(
  path: string,
  evaluate: (path: string) => Promise<unknown>,
): Promise<Fields> {
  try {
    const content = path.endsWith('.json') ? JSON.parse(readFileSync(path, 'utf8')) : await evaluate(path)
    return fieldsOf(content, basename(path))
  } catch (error) {
    return { values: new Map(), faults: [`${path} cannot be read: ${errorText(error)}`] }
  }
}

function fieldsOf(content: unknown, label: string): Fields {
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

/** A found value in a fault: as JSON where that can say it, and never long. */
export function shown(value: unknown): string {
  const text = typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value))
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}
