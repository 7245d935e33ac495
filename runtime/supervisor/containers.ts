// What starts one runtime, as a command line: a local command, or a container of Docker, Podman or Apple's `container`. Pure:
// from data to words. Values of the environment go through the environment of the engine's client, which hands them on by
// name, so no secret stands in a list of processes.
import { createHash } from 'node:crypto'
import { basename, join } from 'node:path'
import { NanoclawError } from '../protocol/errors.ts'

export interface Mount {
  readonly source: string
  readonly target: string
  readonly readonly?: boolean
}

/** What one start is made from. */
export interface StartSpec {
  /** The session folder, absolute. */
  readonly folder: string
  /** The same for each start of a folder, and for no other folder: an engine refuses a second container of that name. */
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly mounts: readonly Mount[]
  /** `name:address` pairs that a container is to know beside its DNS. */
  readonly hosts: readonly string[]
}

/** What is started, as words: no shell reads them. */
export interface Launch {
  readonly argv: readonly string[]
  /** Added to the host's own environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Ends for certain what signals to the started process do not reach: a container whose client has died. */
  readonly kill?: readonly string[]
}

export interface LocalCommand {
  /** Started as it is, with NANOCLAW_WORKSPACE set to the session folder. */
  readonly argv: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

export interface ContainerCommand {
  readonly engine: Engine
  readonly image: string
  readonly env?: Readonly<Record<string, string>>
  /** Beside the session folder, which is mounted at `/workspace`, and its inbox, which is read-only there. */
  readonly mounts?: readonly Mount[]
  /** Further options of the engine, before the image: `['--memory', '512m']`. */
  readonly args?: readonly string[]
  /** Behind the image. */
  readonly command?: readonly string[]
}

export type Engine = 'docker' | 'podman' | 'apple'

/** A function where data does not say enough. */
export type Command = LocalCommand | ContainerCommand | ((run: StartSpec) => Launch)

const WORKSPACE = '/workspace'
/** Only the host writes there. A handler that could replace a folder by a link would decide where. */
export const READONLY = 'inbox'

export function launchOf(command: Command, run: StartSpec): Launch {
  if (typeof command === 'function') return command(run)
  return 'engine' in command ? containerRun(command, run) : localRun(command, run)
}

function localRun({ argv, env, ...rest }: LocalCommand, run: StartSpec): Launch {
  return { ...rest, argv, env: { ...env, ...run.env, NANOCLAW_WORKSPACE: run.folder } }
}

/** @throws NanoclawError `bad_usage` when a path cannot be said in an option */
function containerRun(
  { engine, image, args = [], command = [], ...given }: ContainerCommand,
  run: StartSpec,
): Launch {
  const { program, remove, knowsHosts } = ENGINES[engine]
  const env = { ...given.env, ...run.env }
  const more = [...(given.mounts ?? []), ...run.mounts]
  const inbox = { source: join(run.folder, READONLY), target: `${WORKSPACE}/${READONLY}`, readonly: true }
  // An engine refuses two mounts of one target; the given one is meant.
  const own = more.some(({ target }) => target === inbox.target) ? [] : [inbox]
  const mounts = [{ source: run.folder, target: WORKSPACE }, ...own, ...more]
  return {
    argv: [
      ...[program, 'run', '--rm', '--name', run.name],
      ...Object.keys(env).flatMap((name) => ['--env', name]),
      ...mounts.flatMap((mount) => ['--mount', mountOption(mount)]),
      ...(knowsHosts ? run.hosts.flatMap((host) => ['--add-host', host]) : []),
      ...args,
      image,
      ...command,
    ],
    env,
    kill: [program, ...remove, run.name],
  }
}

/** `remove` ends a container whatever it does, and frees its name. */
const ENGINES: Readonly<
  Record<
    Engine,
    { readonly program: string; readonly remove: readonly string[]; readonly knowsHosts: boolean }
  >
> = {
  docker: { program: 'docker', remove: ['rm', '--force'], knowsHosts: true },
  podman: { program: 'podman', remove: ['rm', '--force'], knowsHosts: true },
  apple: { program: 'container', remove: ['delete', '--force'], knowsHosts: false },
}

function mountOption({ source, target, readonly = false }: Mount): string {
  for (const path of [source, target])
    if (/[,"]/.test(path))
      throw new NanoclawError(
        'bad_usage',
        `${JSON.stringify(path)} cannot be mounted: engines split the option at commas and quotes. Use another path.`,
      )
  return `type=bind,source=${source},target=${target}${readonly ? ',readonly' : ''}`
}

/** A container's name: of characters that every engine takes, and never that of another folder. */
export function runName(folder: string): string {
  const spoken = basename(folder)
    .replace(/[^A-Za-z0-9_.-]/g, '-')
    .slice(0, 40)
  return `nanoclaw-${spoken}-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`
}
