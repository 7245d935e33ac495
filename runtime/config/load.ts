// The one way to the settings, for everybody: what flags, variables and the config file say becomes one Config, or one
// error that names every fault.
import { type Config, configOf } from './options.ts'
import { type LoadInput, type Place, type Source, settle, settlePaths } from './settle.ts'

export { ConfigError, type LoadInput, placeOf } from './settle.ts'

export interface SettingReport {
  readonly name: string
  /** Lengths in milliseconds, sizes in bytes, memory in MiB, paths absolute. */
  readonly value: unknown
  readonly source: Source
  /** The flag, the variable or the file's field that says it; null for a default. */
  readonly origin: string | null
}

/** @throws ConfigError (`bad_config`) that names every fault */
export async function loadConfig(input: LoadInput): Promise<Config> {
  const { root, values, paths } = await settle(input)
  return configOf(root, values, paths)
}

/** Only where the workspace is; a config file that nobody needs for that is not read. @throws ConfigError */
export function loadPaths(input: LoadInput): Promise<Place> {
  return settlePaths(input)
}

/** Each setting with where its value comes from. @throws ConfigError as loadConfig does */
export async function describeConfig(input: LoadInput): Promise<readonly SettingReport[]> {
  const { chosen, paths, pathOrigins } = await settle(input)
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
