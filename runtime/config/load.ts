// The one way to the settings, for everybody: what flags, variables and the config file say becomes one Config, or one
// error that names every fault.
import type { Config } from '../protocol/config.ts'
import { type LoadInput, type Place, type Source, settle, settlePaths, type Values } from './settle.ts'

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

function configOf(root: string, values: Values, paths: Config['paths']): Config {
  return {
    root,
    workspace: values.workspace,
    functions: values.functions,
    cache: values.cache,
    paths,
    concurrency: values.concurrency,
    timeoutMs: values.timeout,
    retry: {
      attempts: values['retry.attempts'],
      minDelayMs: values['retry.minDelay'],
      maxDelayMs: values['retry.maxDelay'],
      factor: values['retry.factor'],
    },
    crashLimit: values.crashLimit,
    pollMs: values.poll,
    watch: values.watch,
    heartbeatMs: values.heartbeat,
    abortGraceMs: values.abortGrace,
    killGraceMs: values.killGrace,
    drainMs: values.drain,
    loadTimeoutMs: values.loadTimeout,
    warmMax: values.warmMax,
    prewarm: values.prewarm,
    maxMemoryMb: values.maxMemory,
    maxReplyBytes: values.maxReplyBytes,
    maxContentBytes: values.maxContentBytes,
    maxLogBytes: values.maxLogBytes,
    maxMessagesPerWorker: values.maxMessagesPerWorker,
    retentionMs: values.retention,
    env: values.env,
    nodeArgs: values.nodeArgs,
    external: values.external,
    journal: values.journal,
    logLevel: values.logLevel,
  }
}
