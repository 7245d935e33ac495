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

export const define: Define = (command, cli) => {
  addExamples(command, [
    ['nanoclaw start', 'serve .nanoclaw/ with the functions in functions/'],
    ['nanoclaw start --workspace /workspace', 'serve another folder'],
    ['nanoclaw start --workspace a --workspace b', 'serve several folders with one process'],
    ["nanoclaw start --workspaces 'sessions/*'", 'serve every folder there, also those that come later'],
    ['nanoclaw start --concurrency 8 --timeout 2m', 'more at the same time, longer each'],
  ])
  addAllSettings(command)
  addSeveral(command)
  command.addHelpText('after', EXIT_CODES)
  command.action((flags: Record<string, unknown>) => start(flags, cli))
}

async function start(flags: Flags, cli: Cli): Promise<void> {
  const asked = askedFor(flags, cli)
  const config = await loadSettings({ ...flags, workspace: asked.folders[0] }, cli)
  const [{ createEvents, createRuntime }, { createLog }, { patientStderr }, { endSoon, serve }, { placeOf }] =
    await Promise.all([
      import('../runtime.ts'),
      import('../observe/log.ts'),
      import('./stderr.ts'),
      import('./serve.ts'),
      import('../config/load.ts'),
    ])
  const several = asked.folders.length > 1 || asked.pattern !== undefined
  const events = createEvents()
  createLog(events, { level: config.logLevel, to: patientStderr(), several })
  if (!several) return serve({ runtime: createRuntime(config, events), events }).finally(endSoon)
  const place = (folder: string) => placeOf(folder, cli.env)
  const workspaces = asked.folders.map(place)
  const runtime = createRuntime(config, events, { workspaces, mayBeEmpty: asked.pattern !== undefined })
  const follower = asked.pattern === undefined ? undefined : follow(asked.pattern, runtime, events, place)
  const started = () => follower?.start()
  const stop = () => {
    follower?.stop()
    endSoon()
  }
  await serve({ runtime, events, started }).finally(stop)
}

interface Asked {
  /** None: the one that the settings say. */
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

/** A folder that could not be served is tried again after these pauses: what held it may go, what is wrong be mended. */
const AGAIN: Backoff = { minMs: 1_000, maxMs: 60_000 }
/** One that was served for so long in between begins with the first pause again. */
const SERVED_MS = 120_000

/** The runtime serves what matches the pattern, as long as it is there. */
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
  // The runtime may have seen it go between two looks at the folder above, and it may be back by the next.
  events.on('workspace-removed', ({ workspace }) => watcher.comeAgain(workspace, 0))
  events.on('workspace-failed', ({ workspace, code }) => {
    // Another runtime has taken it from this one: to take it back would never end.
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
  const help = 'serve every folder that matches, such as sessions/*, while it is there'
  command.addOption(new Option('--workspaces <pattern>', help).helpGroup('Options:'))
}

const EXIT_CODES = `
Exit codes: 0 stopped and drained, 1 a bug, 2 wrong usage, 74 stopped, but outbound.db took no
writes, 75 another runtime serves this workspace,
78 wrong configuration. SIGTERM or SIGINT stops it gently, a second one at once.
`
