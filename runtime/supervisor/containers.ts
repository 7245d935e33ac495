// What starts one runtime, as a command line: a local command, or a container of Docker, Podman or Apple's
// `container`. Pure: data in, arguments out. Environment values go through the environment of the engine's
// client, which passes them on by name, so no secret appears in a process list.
import { createHash } from 'node:crypto'
import { basename, join } from 'node:path'
import { NanoclawError } from '../protocol/errors.ts'

export interface Mount {
  readonly source: string
  readonly target: string
  readonly readonly?: boolean
}

/** The input of one start. */
export interface StartSpec {
  /** The session folder, absolute. */
  readonly folder: string
  /**
   * The same for each start of a folder and unique among folders: an engine rejects a second container of
   * that name.
   */
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly mounts: readonly Mount[]
  /** `name:address` pairs added to a container's host table. */
  readonly hosts: readonly string[]
}

/** The command as an argument list; no shell is involved. */
export interface Launch {
  readonly argv: readonly string[]
  /** Added to the host's own environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Ends a container that signals to the started process do not reach, since its client has died. */
  readonly kill?: readonly string[]
}

export interface LocalCommand {
  /** Started unchanged, with NANOCLAW_WORKSPACE set to the session folder. */
  readonly argv: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

export interface ContainerCommand {
  readonly engine: Engine
  readonly image: string
  readonly env?: Readonly<Record<string, string>>
  /** In addition to the session folder, mounted at `/workspace`, and its inbox, mounted read-only. */
  readonly mounts?: readonly Mount[]
  /** Further options of the engine, before the image: `['--memory', '512m']`. */
  readonly args?: readonly string[]
  /** Arguments after the image. */
  readonly command?: readonly string[]
}

export type Engine = 'docker' | 'podman' | 'apple'

/** A function for commands that the two data forms cannot express. */
export type Command = LocalCommand | ContainerCommand | ((run: StartSpec) => Launch)

const WORKSPACE = '/workspace'
/**
 * Only the host writes there. With write access, a handler could replace a directory by a link and redirect
 * the host's writes.
 */
export const READONLY = 'inbox'

export function launchOf(command: Command, run: StartSpec): Launch {
  if (typeof command === 'function') return command(run)
  return 'engine' in command ? containerRun(command, run) : localRun(command, run)
}

function localRun({ argv, env, ...rest }: LocalCommand, run: StartSpec): Launch {
  return { ...rest, argv, env: { ...env, ...run.env, NANOCLAW_WORKSPACE: run.folder } }
}

/** @throws NanoclawError `bad_usage` when a path cannot be part of an option */
function containerRun(
  { engine, image, args = [], command = [], ...given }: ContainerCommand,
  run: StartSpec,
): Launch {
  const { program, remove, knowsHosts } = ENGINES[engine]
  const env = { ...given.env, ...run.env }
  const more = [...(given.mounts ?? []), ...run.mounts]
  const inbox = { source: join(run.folder, READONLY), target: `${WORKSPACE}/${READONLY}`, readonly: true }
  // An engine rejects two mounts of one target; the given one wins.
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

/** `remove` ends a container in any state and frees its name. */
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

/** A container's name: of characters that every engine accepts, unique per folder. */
export function runName(folder: string): string {
  const spoken = basename(folder)
    .replace(/[^A-Za-z0-9_.-]/g, '-')
    .slice(0, 40)
  return `nanoclaw-${spoken}-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`
}
