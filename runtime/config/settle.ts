// Which value each setting has, and who said so. Strength: flag, variable, file, default. Defaults are filled in last, so
// a flag that nobody gave can never hide what the file says. Everything given is checked, also where something stronger
// hides it; every fault is collected before one error is thrown.
import { basename, join, resolve } from 'node:path'
import { formatDuration } from '../protocol/duration.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { filesIn, lockPath, type Paths, type WorkspacePlace } from '../protocol/files.ts'
import { usableCache } from './cache.ts'
import { findProject, readConfigFile, shown } from './file.ts'
import { path as pathKind } from './kinds.ts'
import { flagKeyOf, flagOf, PATH_VARIABLES, variableOf } from './names.ts'
import { SETTING_NAMES, SETTINGS, type SettingName, type Values } from './options.ts'
import type { Setting } from './setting.ts'

export interface LoadInput {
  /** Absolute. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Parsed flags by their camelCase name; only those that were given. Those that the table does not know are ignored. */
  readonly flags: Readonly<Record<string, unknown>>
  /** What `--config` says. */
  readonly configFile?: string | undefined
  /** Runs a config file in a process of its own and returns its default export. */
  readonly evaluate: (
    path: string,
    place: { readonly root: string; readonly cache: string },
  ) => Promise<unknown>
}

export type Source = 'flag' | 'variable' | 'file' | 'default'

export interface Fault {
  readonly source: Source
  readonly text: string
}

/** `bad_config`, with its faults one by one for those who treat a mistyped flag otherwise than a wrong file. */
export class ConfigError extends NanoclawError {
  readonly faults: readonly Fault[]
  constructor(faults: readonly Fault[]) {
    const head = faults.length === 1 ? 'A setting is wrong' : `${faults.length} settings are wrong`
    super('bad_config', [`${head}:`, ...faults.map(({ text }) => `  ${text}`)].join('\n'))
    this.faults = faults
  }
}

export interface Given {
  readonly name: SettingName
  readonly value: unknown
  readonly source: Source
  readonly origin: string | null
  /** The folder that a relative path is relative to. */
  readonly base: string
}

export interface Settled {
  readonly root: string
  /** Whether there is a project at `root`. */
  readonly isFound: boolean
  readonly chosen: readonly Given[]
  readonly values: Values
  readonly paths: Paths
  readonly pathOrigins: readonly {
    readonly name: keyof typeof PATH_VARIABLES
    readonly origin: string | null
  }[]
}

/** @throws ConfigError that names every fault */
export async function settle(input: LoadInput): Promise<Settled> {
  const faults: Fault[] = []
  const { root, isFound, given } = await gather(input, faults)
  const legal = given.flatMap((each) => check(each, faults))
  const strongest = SETTING_NAMES.map(
    (name) => legal.find((each) => each.name === name) ?? fallback(name, root),
  )
  const workspace = String(strongest.find(({ name }) => name === 'workspace')?.value)
  const chosen = strongest.map((each) =>
    each.name === 'cache' && each.source === 'default'
      ? { ...each, value: usableCache(String(each.value), workspace) }
      : each,
  )
  // Sound: check() and fallback() let only values through that the setting's own kind has made.
  const values = Object.fromEntries(chosen.map(({ name, value }) => [name, value])) as unknown as Values
  const { paths, pathOrigins } = pathsOf(input, values.workspace)
  contradictions(chosen, values, paths, faults)
  if (faults.length > 0) throw new ConfigError(faults)
  return { root, isFound, chosen, values, paths, pathOrigins }
}

export interface Place extends WorkspacePlace {
  /** There is no project, and nothing says where the workspace is: it would be in the working folder. */
  readonly isGuess: boolean
}

/**
 * Only where the workspace is. When a flag or a variable says so, the config file is not even read: looking at a
 * workspace works while its config is broken, and costs no process.
 * @throws ConfigError
 */
export async function settlePaths(input: LoadInput): Promise<Place> {
  const [told] = [...fromFlags(input), ...fromVariables(input)].filter(({ name }) => name === 'workspace')
  if (!told || input.configFile !== undefined) {
    const { values, paths, pathOrigins, chosen, isFound } = await settle(input)
    const origins = [...chosen.filter(({ name }) => name === 'workspace'), ...pathOrigins]
    const isGuess = !isFound && origins.every(({ origin }) => origin === null)
    return { workspace: values.workspace, paths, isGuess }
  }
  const faults: Fault[] = []
  const [legal] = check(told, faults)
  if (!legal) throw new ConfigError(faults)
  const workspace = String(legal.value)
  return { workspace, paths: pathsOf(input, workspace).paths, isGuess: false }
}

/** Strongest first. */
async function gather(
  input: LoadInput,
  faults: Fault[],
): Promise<{ root: string; isFound: boolean; given: Given[] }> {
  const { root, file, isFound, faults: ofFile } = findProject(input)
  const given = [...fromFlags(input), ...fromVariables(input)]
  faults.push(...ofFile)
  if (file === null) return { root, isFound, given }

  const place = { root, cache: cacheFor(input, root) }
  const fields = await readConfigFile(file, (path) => input.evaluate(path, place))
  for (const text of fields.faults) faults.push({ source: 'file', text })
  for (const [name, value] of fields.values)
    given.push({ name, value, source: 'file', origin: `${basename(file)}: ${name}`, base: root })
  return { root, isFound, given }
}

/** To run the config file somebody must know the cache before the file can say it; flags and variables can. */
function cacheFor({ cwd, env, flags }: LoadInput, root: string): string {
  const place = (name: 'cache' | 'workspace') => {
    const given = pathKind.read(flags[name]) ?? pathKind.read(env[variableOf(name)])
    return {
      isSaid: given !== undefined,
      path: given ? resolve(cwd, given) : resolve(root, SETTINGS[name].fallback),
    }
  }
  const cache = place('cache')
  return cache.isSaid ? cache.path : usableCache(cache.path, place('workspace').path)
}

function fromFlags({ cwd, flags }: LoadInput): Given[] {
  return SETTING_NAMES.flatMap((name) => {
    const value = flags[flagKeyOf(name)]
    return value === undefined ? [] : [{ name, value, source: 'flag', origin: flagOf(name), base: cwd }]
  })
}

/** A variable that is set to nothing counts as not set: that is how compose files leave one out. */
function fromVariables({ cwd, env }: LoadInput): Given[] {
  return SETTING_NAMES.flatMap((name) => {
    const value = env[variableOf(name)]
    return value ? [{ name, value, source: 'variable', origin: variableOf(name), base: cwd }] : []
  })
}

function check(given: Given, faults: Fault[]): Given[] {
  const { kind }: Setting = SETTINGS[given.name]
  const value = kind.read(given.value)
  if (value === undefined) {
    faults.push({
      source: given.source,
      text: `${given.origin}: found ${shown(given.value)}; expected ${kind.legal}`,
    })
    return []
  }
  return [{ ...given, value: kind === pathKind ? resolve(given.base, String(value)) : value }]
}

function fallback(name: SettingName, base: string): Given {
  const value = SETTINGS[name].fallback
  const [given] = check({ name, value, source: 'default', origin: null, base }, [])
  if (!given) throw new Error(`The default of ${name} is not legal: ${shown(value)}`)
  return given
}

function pathsOf({ cwd, env }: LoadInput, workspace: string): Pick<Settled, 'paths' | 'pathOrigins'> {
  const override = (name: keyof typeof PATH_VARIABLES, otherwise: string) => {
    const path = env[PATH_VARIABLES[name]]
    return path
      ? { name, path: resolve(cwd, path), origin: PATH_VARIABLES[name] }
      : { name, path: otherwise, origin: null }
  }
  const usual = filesIn(workspace)
  const inbound = override('inbound', usual.inbound)
  const outbound = override('outbound', usual.outbound)
  const heartbeat = override('heartbeat', usual.heartbeat)
  const [from, to, beat] = [inbound.path, outbound.path, heartbeat.path]
  const paths = pathsIn(workspace, { inbound: from, outbound: to, heartbeat: beat })
  return { paths, pathOrigins: [inbound, outbound, heartbeat] }
}

function pathsIn(workspace: string, files: ReturnType<typeof filesIn>): Paths {
  return {
    ...files,
    inbox: join(workspace, 'inbox'),
    outbox: join(workspace, 'outbox'),
    lock: lockPath(files.outbound),
  }
}

/**
 * One of several workspaces. Its files stand in it: a variable that says where one file is cannot be meant for all of them.
 * @throws ConfigError when such a variable is set
 */
export function placeOf(workspace: string, env: LoadInput['env']): WorkspacePlace {
  const set = Object.values(PATH_VARIABLES).filter((name) => env[name])
  const text = `${set.join(', ')}: expected unset beside several workspaces, since each has files of its own`
  if (set.length > 0) throw new ConfigError([{ source: 'variable', text }])
  return { workspace, paths: pathsIn(workspace, filesIn(workspace)) }
}

/** What each value allows by itself but not beside another. */
function contradictions(chosen: readonly Given[], values: Values, paths: Paths, faults: Fault[]): void {
  const [minDelayMs, maxDelayMs] = [values['retry.minDelay'], values['retry.maxDelay']]
  if (minDelayMs > maxDelayMs) {
    const sides = chosen.filter(({ name }) => name === 'retry.minDelay' || name === 'retry.maxDelay')
    const [least, most] = sides.map(({ origin }) => origin ?? 'the default')
    const text = `retry.minDelay is ${formatDuration(minDelayMs)} (${least}), longer than retry.maxDelay, ${formatDuration(maxDelayMs)} (${most})`
    faults.push({
      source: sides.every(({ source }) => source === 'flag' || source === 'default') ? 'flag' : 'file',
      text,
    })
  }
  if (new Set([paths.inbound, paths.outbound, paths.heartbeat]).size < 3)
    faults.push({
      source: 'variable',
      text: `${Object.values(PATH_VARIABLES).join(', ')}: expected three different files`,
    })
}
