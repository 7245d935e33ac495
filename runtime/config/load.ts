// Loads the settings: flags, variables and the config file become one Config, or one error that names every
// fault.
import { type Config, configOf } from './options.ts'
import {
  type LoadInput,
  type ResolvedWorkspace,
  resolveConfig,
  resolvePaths,
  type SettingSource,
} from './resolve.ts'

export { ConfigError, type LoadInput, placeOf } from './resolve.ts'

export interface SettingReport {
  readonly name: string
  /** Durations in milliseconds, sizes in bytes, memory in MiB, paths absolute. */
  readonly value: unknown
  readonly source: SettingSource
  /** The flag, variable or file field that set the value; null for a default. */
  readonly origin: string | null
}

/** @throws ConfigError (`bad_config`) that names every fault */
export async function loadConfig(input: LoadInput): Promise<Config> {
  const { root, values, paths } = await resolveConfig(input)
  return configOf(root, values, paths)
}

/**
 * Loads the path of the workspace alone; reads the config file only when it is needed for that. @throws
 * ConfigError
 */
export function loadPaths(input: LoadInput): Promise<ResolvedWorkspace> {
  return resolvePaths(input)
}

/** Each setting with the origin of its value. @throws ConfigError as loadConfig does */
export async function describeConfig(input: LoadInput): Promise<readonly SettingReport[]> {
  const { chosen, paths, pathOrigins } = await resolveConfig(input)
  const settings = chosen.map(({ name, value, source, origin }) => ({ name, value, source, origin }))
  const overridable = pathOrigins.map(({ name, origin }) => {
    return {
      name: `paths.${name}`,
      value: paths[name],
      source: origin ? 'variable' : 'default',
      origin,
    } as const
  })
  return [...settings, ...overridable]
}
