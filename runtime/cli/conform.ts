// `nanoclaw conform`: the rules of docs/protocol.md, checked from outside. With a folder it examines the two
// files; with a command it starts that as a runtime and acts as its host.
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { CHECKS, type Finding } from '../conformance/checks.ts'
import { realClock } from '../protocol/clock.ts'
import { formatDuration, parseDuration } from '../protocol/duration.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { filesIn } from '../protocol/files.ts'
import { checkDriver } from '../store/sqlite/driver.ts'
import { addExamples, type Cli, type Define } from './command.ts'
import { CommandFailed } from './exit.ts'
import { type Group, reportLines } from './findings.ts'
import { addWorkspaceSettings, loadWorkspace } from './settings.ts'

const WAIT = '10s'

interface Flags {
  readonly command?: string
  readonly kind: string
  readonly wait: string
  readonly json?: true
  readonly [setting: string]: unknown
}

export const defineConform: Define = (command, cli) => {
  addExamples(command, [
    ['nanoclaw conform', 'the files of this project'],
    ['nanoclaw conform path/to/session', 'the files in a folder'],
    ["nanoclaw conform --command 'npx nanoclaw start'", 'a runtime, on folders of its own'],
    ["nanoclaw conform --command './my-runtime {dir}'", 'any runtime that answers every message'],
  ])
  command
    .argument('[folder]', 'with inbound.db and outbound.db (default: the workspace of this project)')
    .option(
      '--command <line>',
      'start this as a runtime and act as its host; {dir} is replaced by the folder, which SESSION_INBOUND_DB_PATH and the like name, too',
    )
    .option('--kind <kind>', 'kind of the messages that are sent', 'chat')
    .option('--wait <duration>', 'time limit of a reply', WAIT)
    .option('--json', 'print one JSON object')
  addWorkspaceSettings(command)
  command.action(async (folder: string | undefined, flags: Flags) => {
    if (folder !== undefined && flags.command !== undefined)
      throw new NanoclawError('bad_usage', 'Both a folder and --command were given; expected one of them')
    checkDriver()
    const groups = flags.command === undefined ? await look(folder, flags, cli) : await play(flags, cli)
    const failed = groups.flatMap(({ findings }) => findings).filter(({ verdict }) => verdict === 'fail')
    if (failed.length > 0) throw new CommandFailed('docs/protocol.md has each rule and its reason.')
  })
}

async function look(folder: string | undefined, flags: Flags, cli: Cli): Promise<Group[]> {
  const { examineInbound, examineOutbound } = await import('../conformance/folder.ts')
  const paths =
    folder === undefined ? (await loadWorkspace(flags, cli)).paths : pathsIn(resolve(cli.cwd, folder))
  const groups = [
    { title: paths.inbound, findings: examineInbound(paths) },
    { title: paths.outbound, findings: examineOutbound(paths, realClock.now()) },
  ]
  if (flags.json) cli.print.json({ checks: groups.flatMap(({ findings }) => findings).map(jsonOf) })
  else cli.print.data(...reportLines(groups, cli.print.paint))
  return groups
}

async function play(flags: Flags, cli: Cli): Promise<Group[]> {
  const [{ checkRuntime }, { wordsOf }] = await Promise.all([
    import('../conformance/check-runtime.ts'),
    import('../conformance/command.ts'),
  ])
  const line = flags.command ?? ''
  const { env, print } = cli
  const words = wordsOf(line)
  const waitMs = parseDuration(flags.wait)
  if (waitMs === undefined)
    throw new NanoclawError(
      'bad_usage',
      `--wait: found ${JSON.stringify(flags.wait)}; expected a duration such as '10s'`,
    )
  const report = await stoppable((signal) =>
    checkRuntime({ words, env, kind: flags.kind, waitMs, clock: realClock, signal }),
  )
  const groups = [
    { title: line, findings: report.behaviour },
    { title: 'What it left in outbound.db', findings: report.files },
  ]
  const { kept, tookMs } = report
  if (flags.json)
    print.json({
      command: line,
      tookMs,
      kept,
      checks: groups.flatMap(({ findings }) => findings).map(jsonOf),
    })
  else print.data(...reportLines(groups, print.paint, `, ${formatDuration(tookMs)}`))
  if (kept !== null) print.talk(`Its folders are kept in ${kept}`)
  return groups
}

/** A signal ends the check and every process that it started. */
async function stoppable<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stopping = new AbortController()
  let number = 0
  const stop = (_: string, its: number) => {
    number = its
    stopping.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
  try {
    return await work(stopping.signal)
  } catch (error) {
    throw stopping.signal.aborted
      ? new CommandFailed('Stopped; its processes and folders were removed.', 128 + number)
      : error
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop)
  }
}

function pathsIn(folder: string): ReturnType<typeof filesIn> {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new NanoclawError(
      'bad_usage',
      `${folder} is not a directory; expected one with inbound.db and outbound.db`,
    )
  return filesIn(folder)
}

function jsonOf({ check, verdict, measure, found }: Finding): object {
  const { claim, section, remedy } = CHECKS[check]
  return { check, verdict, claim, section, ...(measure && { measure }), ...(found && { found, remedy }) }
}
