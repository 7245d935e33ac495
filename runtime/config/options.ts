// ONE table of all settings. Everything else about them is made from it: the types UserConfig and Config, the flags of `start` and
// `dev`, the variables, what load.ts accepts, the resolved defaults, docs/config.md. A default stands here as a user would write it, and is
// read by the same kind as theirs; so a default that is not legal cannot be.
import type { WorkspacePlace } from '../protocol/files.ts'
import type { Retry } from '../protocol/handler.ts'
import {
  bytes,
  duration,
  durationOr,
  type Kind,
  list,
  mebibytes,
  number,
  oneOf,
  path,
  truth,
  whole,
  wholeOrCores,
} from './kinds.ts'
import { type Setting, setting } from './setting.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
const GB = 1024 ** 3
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/

export const SETTINGS = {
  workspace: setting(path, '.nanoclaw', 'folder of inbound.db and outbound.db', 'hidden, beside the code'),
  functions: setting(path, 'functions', 'folder of the functions', 'the name that people look for'),
  cache: setting(
    path,
    '.nanoclaw/build',
    'folder for built functions',
    'belongs to the project, which many workspaces can share; where that cannot be written, `.cache` in the workspace',
  ),
  concurrency: setting(
    wholeOrCores(1000),
    16,
    'messages handled at the same time, over all functions',
    "most handlers wait for others, so it does not follow the cores; as many as are kept warm. 'cores' for work that computes",
  ),
  timeout: setting(
    duration(1, DAY_MS),
    '30s',
    'time for one attempt, unless the function says its own',
    'longer than most calls to other services, shorter than the patience of a person who waits',
  ),
  'retry.attempts': setting(
    whole(1, 100),
    5,
    'attempts in all before a message has failed',
    'with the default delays they span 15 s and more: a restart of a service, not its outage',
  ),
  'retry.minDelay': setting(duration(0, DAY_MS), '1s', 'wait before attempt two', 'hiccups are over by then'),
  'retry.maxDelay': setting(
    duration(0, 30 * DAY_MS),
    '5m',
    'longest wait between two attempts',
    'when the other side is back, messages are too, within minutes',
  ),
  'retry.factor': setting(number(1, 10), 2, 'each wait is this many times the last', 'gentle, then rare'),
  crashLimit: setting(
    whole(1, 1000),
    5,
    'deaths of its process after which a message is given up',
    'a bad deploy may cost a healthy message a few; five, with growing pauses between, are its own doing',
  ),
  poll: setting(
    duration(10, 60_000),
    '250ms',
    'how often inbound.db is looked at without a reason',
    'watching is only a hint and is lost on some mounts; a look costs microseconds',
  ),
  watch: setting(
    truth,
    true,
    'watch the workspace, to notice a message before the next poll',
    'a few milliseconds instead of up to one poll; where it does not work, the poll does',
  ),
  heartbeat: setting(
    duration(100, 60_000),
    '2s',
    'how often the heartbeat file is touched while something runs',
    'hosts call a runtime busy while its heartbeat is younger than 6 s',
  ),
  abortGrace: setting(
    duration(0, HOUR_MS),
    '2s',
    'time to end by itself for a handler whose signal has aborted',
    'enough to close a connection; the time was up already',
  ),
  killGrace: setting(
    duration(0, HOUR_MS),
    '2s',
    'time between SIGTERM and SIGKILL for a process',
    'enough to flush what a library holds',
  ),
  drain: setting(
    duration(0, HOUR_MS),
    '7s',
    'how long a stop waits for running handlers',
    'containers get 8 to 10 s after SIGTERM: the runtime ends by itself before it is killed',
  ),
  loadTimeout: setting(
    duration(100, HOUR_MS),
    '30s',
    'time for a process to load its function',
    'large dependencies on a cold disk; longer is a module that hangs',
  ),
  warmMax: setting(
    whole(0, 10_000),
    16,
    'idle processes kept warm, over all functions',
    'an idle process costs some 40 MB; a start costs some 50 ms',
  ),
  prewarm: setting(
    truth,
    true,
    'keep one process started that belongs to no function yet',
    'whichever function needs a process next has it at once; costs some 10 MB',
  ),
  maxMemory: setting(
    mebibytes(32, 1024 * 1024),
    512,
    'heap of one process; a bare number counts MiB',
    'a leak ends in one process that is replaced, not in a machine that swaps',
  ),
  maxReplyBytes: setting(
    bytes(1, GB / 2),
    '1mb',
    'largest content of one reply',
    'more than any chat platform takes; larger things are files',
  ),
  maxContentBytes: setting(
    bytes(1, GB / 2),
    '64mb',
    'largest content of a message that is handed to a handler',
    'a webhook with attachments fits; one row cannot fill the memory',
  ),
  maxLogBytes: setting(
    bytes(0, GB),
    '64kb',
    'characters that one run may log with ctx.log; the rest is dropped',
    'a thousand lines tell the story; a loop that prints cannot fill the disk',
  ),
  maxMessagesPerWorker: setting(
    whole(1, 1_000_000_000),
    100_000,
    'messages after which a process is replaced',
    'slow leaks stay small, and the cost of a start is spread thin',
  ),
  env: setting(
    list('names of environment variables', ',', VARIABLE),
    '',
    'variables that functions see beside PATH, HOME, TZ and other basic ones',
    'a function gets the secrets that somebody meant for it',
  ),
  nodeArgs: setting(
    list('arguments', ' ', /./),
    '',
    'arguments for the node of each process',
    'none are needed',
  ),
  external: setting(
    list('package names', ',', /^[@\w*][\w./@*-]*$/),
    '',
    'packages loaded from node_modules rather than built in',
    'native packages need it; for all others one file starts faster',
  ),
  journal: setting(
    oneOf('delete', 'wal'),
    'delete',
    'journal of outbound.db; wal is faster, for one machine without container mounts',
    'WAL needs shared memory that mounts between machines do not carry',
  ),
  retention: setting(
    durationOr('forever', 0, 36_500 * DAY_MS),
    '30d',
    "how long outbound.db keeps what the host has recorded: acks, runs, delivered replies; or 'forever'",
    'long enough to look into what happened last month; what the host has not recorded stays, whatever its age',
  ),
  logLevel: setting(
    oneOf('debug', 'info', 'warn', 'error', 'silent'),
    'info',
    'least important log line that is written',
    'one line for what a person may have to act on, or wants to count',
  ),
} satisfies Record<string, Setting> & Record<`retry.${keyof Retry}`, Setting>

type Table = typeof SETTINGS

/** A field of `retry` has its path. */
export type SettingName = keyof Table

/** In the table's order. */
export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[]

type WrittenAs<K> = K extends Kind<unknown, infer Written> ? Written : never
type ValueOf<Name extends SettingName> = NonNullable<ReturnType<Table[Name]['kind']['read']>>
type RetryField<Name> = Name extends `retry.${infer Field}` ? Field : never
type NoRetry<Name> = Name extends `retry.${string}` ? never : Name

/** What nanoclaw.config.ts may say: docs/config.md. Every field may be left out; paths are relative to the folder of that file. */
export interface UserConfig extends WrittenFields {
  /** When a failed message runs again, unless the function says so itself. */
  readonly retry?: {
    readonly [Name in keyof Table as RetryField<Name>]?: WrittenAs<Table[Name]['kind']>
  }
}
type WrittenFields = {
  readonly [Name in keyof Table as NoRetry<Name>]?: WrittenAs<Table[Name]['kind']>
}

/** The value of each setting, by its name: lengths in milliseconds, sizes in bytes, memory in MiB, paths absolute. */
export type Values = { readonly [Name in SettingName]: ValueOf<Name> }

/** In Config a length or a memory has its unit at the end of its name. */
const UNIT_ENDS = { ms: 'Ms', MiB: 'Mb' } as const
type UnitEnd<Name extends SettingName> = Table[Name]['kind']['unit'] extends infer Unit extends
  keyof typeof UNIT_ENDS
  ? (typeof UNIT_ENDS)[Unit]
  : ''

/** The settings of a runtime, resolved: every value present. */
export interface Config extends ResolvedFields, WorkspacePlace {
  /** The project: where nanoclaw.config.ts and functions/ are. Absolute, like every path here. */
  readonly root: string
  readonly retry: { readonly [Name in keyof Table as `${RetryField<Name>}${UnitEnd<Name>}`]: ValueOf<Name> }
}
type ResolvedFields = { readonly [Name in keyof Table as `${NoRetry<Name>}${UnitEnd<Name>}`]: ValueOf<Name> }

export function configOf(root: string, values: Values, paths: Config['paths']): Config {
  const fields: Record<string, unknown> = { root, paths }
  const retry: Record<string, unknown> = {}
  for (const name of SETTING_NAMES) {
    const { unit } = SETTINGS[name].kind
    const end = unit === 'ms' || unit === 'MiB' ? UNIT_ENDS[unit] : ''
    const inner = /^retry\.(.*)$/.exec(name)?.[1]
    if (inner === undefined) fields[`${name}${end}`] = values[name]
    else retry[`${inner}${end}`] = values[name]
  }
  // Sound: the names are made as the type makes them, and the values are those of the table's own kinds.
  return { ...fields, retry } as Config
}
