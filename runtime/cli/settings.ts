// Settings on the command line: flags made from the one table, and the Config that they, the environment and the config
// file come to. No flag has a default here; defaults come last, and from the table.
import { existsSync } from 'node:fs'
import { type Command, Option } from 'commander'
import type { LoadInput } from '../config/load.ts'
import { CONFIG_VARIABLE, flagOf, variableOf } from '../config/names.ts'
import type { Config } from '../config/options.ts'
import { SETTING_NAMES, SETTINGS, type SettingName } from '../config/options.ts'
import type { Setting } from '../config/setting.ts'
import { NanoclawError } from '../protocol/errors.ts'

export interface Surroundings {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** What people set often; the rest of the table stands under a heading of its own. */
const COMMON: readonly SettingName[] = ['workspace', 'functions', 'concurrency', 'timeout', 'logLevel']

export function addAllSettings(command: Command): void {
  for (const name of COMMON) addSetting(command, name, 'Options:')
  addConfigFlag(command)
  for (const name of SETTING_NAMES) if (!COMMON.includes(name)) addSetting(command, name, 'Tuning:')
}

/** For commands that only need to know where the workspace is. */
export function addWorkspaceSettings(command: Command): void {
  addSetting(command, 'workspace', 'Options:')
  addConfigFlag(command)
}

function addConfigFlag(command: Command): void {
  const help = `config file (default: nanoclaw.config.* in the working directory or above it; ${CONFIG_VARIABLE})`
  command.addOption(new Option('--config <file>', help).helpGroup('Options:'))
}

function addSetting(command: Command, name: SettingName, group: string): void {
  const { kind, fallback, help }: Setting = SETTINGS[name]
  const text = `${help} (${fallback === '' ? '' : `default: ${fallback}; `}${variableOf(name)})`
  if (kind.placeholder === null) {
    // Both must exist: a lone --no-x would give x a default, and so hide what the file says.
    command.addOption(new Option(flagOf(name), text).hideHelp())
    command.addOption(new Option(flagOf(name).replace('--', '--no-'), `turn off: ${text}`).helpGroup(group))
    return
  }
  const option = new Option(`${flagOf(name)} ${kind.placeholder}`, text).helpGroup(group)
  if (kind.separator !== undefined)
    option.argParser((value: string, earlier?: string) =>
      earlier ? `${earlier}${kind.separator}${value}` : value,
    )
  command.addOption(option)
}

/**
 * For commands that run functions. Nothing is written where there are none.
 * @throws ConfigError, NanoclawError `bad_config`
 */
export async function loadSettings(flags: Flags, surroundings: Surroundings): Promise<Config> {
  const [{ loadConfig }, { checkDriver }] = await Promise.all([
    import('../config/load.ts'),
    import('../store/sqlite/driver.ts'),
  ])
  checkDriver()
  const config = await loadConfig(inputOf(flags, surroundings))
  if (existsSync(config.functions)) return config
  throw new NanoclawError(
    'bad_config',
    `The functions folder ${config.functions} does not exist; create it, run \`nanoclaw init\`, or go to the project. Nothing was written.`,
  )
}

/**
 * For commands that look into a workspace or send to it. None is made where no project is.
 * @throws ConfigError, NanoclawError `bad_usage`
 */
export async function loadWorkspace(
  flags: Flags,
  surroundings: Surroundings,
): Promise<Pick<Config, 'workspace' | 'paths'>> {
  const [{ loadPaths }, { checkDriver }] = await Promise.all([
    import('../config/load.ts'),
    import('../store/sqlite/driver.ts'),
  ])
  checkDriver()
  const { isGuess, ...place } = await loadPaths(inputOf(flags, surroundings))
  if (!isGuess || existsSync(place.workspace)) return place
  throw new NanoclawError(
    'bad_usage',
    `There is no project in ${surroundings.cwd} or above it: no nanoclaw.config.* and no functions folder. Go to the project, or name the workspace: --workspace DIR. Nothing was written.`,
  )
}

export type Flags = Readonly<Record<string, unknown>>

function inputOf(flags: Flags, { cwd, env }: Surroundings): LoadInput {
  const configFile = typeof flags.config === 'string' ? flags.config : undefined
  return { cwd, env, flags, configFile, evaluate }
}

const evaluate: LoadInput['evaluate'] = async (path, { root, cache }) => {
  const { evaluateFile } = await import('./evaluate-file.ts')
  return evaluateFile(path, root, cache)
}
