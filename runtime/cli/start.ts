// `nanoclaw start`: the runtime alone. Log lines as JSON on stderr; nothing on stdout.
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { type Backoff, backoffMs } from '../protocol/backoff.ts'
import { realClock } from '../protocol/clock.ts'
import { NanoclawError } from '../protocol/errors.ts'
import type { Events } from '../protocol/events.ts'
import type { WorkspacePlace } from '../protocol/files.ts'
import type { Runtime } from '../runtime.ts'
import { FolderWatcher, folderPattern } from '../watch/folder-watcher.ts'
import { addExamples, type Cli, type Define } from './command.ts'
import { addAllSettings, type Flags, loadSettings } from './settings.ts'

export const defineStart: Define = (command, cli) => {
  addExamples(command, [
    ['nanoclaw start', 'serve .nanoclaw/ with the functions in functions/'],
    ['nanoclaw start --workspace /workspace', 'serve another folder'],
    ['nanoclaw start --workspace a --workspace b', 'serve several folders with one process'],
    ["nanoclaw start --workspaces 'sessions/*'", 'serve every matching folder, also later ones'],
    ['nanoclaw start --concurrency 8 --timeout 2m', 'set concurrency and timeout'],
  ])
  addAllSettings(command)
  addSeveral(command)
  command.addHelpText('after', EXIT_CODES)
  command.action((flags: Record<string, unknown>) => start(flags, cli))
}

async function start(flags: Flags, cli: Cli): Promise<void> {
  const asked = askedFor(flags, cli)
  const config = await loadSettings({ ...flags, workspace: asked.folders[0] }, cli)
  const [
    { createEvents, createRuntime },
    { createLog },
    { retryingStderr },
    { endSoon, serveUntilStopped },
    { placeOf },
  ] = await Promise.all([
    import('../runtime.ts'),
    import('../observe/log.ts'),
    import('./stderr.ts'),
    import('./serve.ts'),
    import('../config/load.ts'),
  ])
  const several = asked.folders.length > 1 || asked.pattern !== undefined
  const events = createEvents()
  createLog(events, { level: config.logLevel, to: retryingStderr(), several })
  if (!several) return serveUntilStopped({ runtime: createRuntime(config, events), events }).finally(endSoon)
  const place = (folder: string) => placeOf(folder, cli.env)
  const workspaces = asked.folders.map(place)
  const runtime = createRuntime(config, events, { workspaces, mayBeEmpty: asked.pattern !== undefined })
  const follower = asked.pattern === undefined ? undefined : follow(asked.pattern, runtime, events, place)
  const started = () => follower?.start()
  const stop = () => {
    follower?.stop()
    endSoon()
  }
  await serveUntilStopped({ runtime, events, started }).finally(stop)
}

interface Asked {
  /** Empty: the workspace of the settings. */
  readonly folders: readonly string[]
  readonly pattern: string | undefined
}

/** @throws NanoclawError `bad_usage` */
function askedFor({ workspace, workspaces }: Flags, { cwd }: Cli): Asked {
  const given = Array.isArray(workspace) ? workspace.map(String) : []
  const pattern = workspaces === undefined ? undefined : folderPattern(cwd, String(workspaces))
  if (workspaces !== undefined && pattern === undefined)
    throw new NanoclawError(
      'bad_usage',
      `--workspaces: found ${JSON.stringify(workspaces)}; expected a path with one * in its last part, in quotes: 'sessions/*'`,
    )
  if (given.length < 2 && pattern === undefined) return { folders: given, pattern }
  if (given.includes(''))
    throw new NanoclawError('bad_usage', '--workspace: found ""; expected the path of a folder')
  return { folders: [...new Set(given.map((folder) => resolve(cwd, folder)))], pattern }
}

/**
 * A folder that could not be served is tried again after these pauses: what held it may go, what is wrong be
 * mended.
 */
const AGAIN: Backoff = { minMs: 1_000, maxMs: 60_000 }
/** After serving a folder this long, the first delay applies again. */
const SERVED_MS = 120_000

/** Serves every folder that matches the pattern while it exists. */
function follow(
  pattern: string,
  runtime: Runtime,
  events: Events,
  place: (folder: string) => WorkspacePlace,
): FolderWatcher {
  const failures = new Map<string, { readonly atMs: number; readonly inARow: number }>()
  const watcher = new FolderWatcher({
    clock: realClock,
    pattern,
    onCome: (folder) => void runtime.addWorkspace(place(folder)),
    onGo: (folder) => {
      failures.delete(folder)
      void runtime.removeWorkspace(folder)
    },
  })
  // The runtime may detect a removal between two polls of the parent folder, and the folder may be back by
  // the next poll.
  events.on('workspace-removed', ({ workspace }) => watcher.comeAgain(workspace, 0))
  events.on('workspace-failed', ({ workspace, code }) => {
    // Another runtime has fenced this one: taking the folder back would repeat for ever.
    if (code === 'fenced') return
    const atMs = realClock.monotonic()
    const last = failures.get(workspace)
    const isNew = last === undefined || atMs - last.atMs > SERVED_MS
    const inARow = isNew ? 1 : last.inARow + 1
    failures.set(workspace, { atMs, inARow })
    watcher.comeAgain(workspace, backoffMs(AGAIN, inARow))
  })
  return watcher
}

function addSeveral(command: Command): void {
  const one = command.options.find(({ long }) => long === '--workspace')
  one?.argParser((value: string, earlier: readonly string[] = []) => [...earlier, value])
  const help = 'serve every folder that matches, such as sessions/*, while it exists'
  command.addOption(new Option('--workspaces <pattern>', help).helpGroup('Options:'))
}

const EXIT_CODES = `
Exit codes: 0 stopped and drained, 1 a bug, 2 wrong usage, 74 stopped, but outbound.db took no
writes, 75 another runtime serves this workspace,
78 wrong configuration. SIGTERM or SIGINT stops it gently, a second one at once.
`
