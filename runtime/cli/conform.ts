// `nanoclaw conform`: the rules of docs/protocol.md, checked from outside. With a folder it looks at the two files in it;
// with a command it starts that as a runtime and plays its host.
import { statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { realClock } from '../clock.ts'
import { CHECKS, type Finding } from '../conform/checks.ts'
import { formatDuration, parseDuration } from '../protocol/duration.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { addExamples, type Cli, type Define } from './command.ts'
import { Refused } from './exit.ts'
import { type Paint, plain, plainLines, table } from './print.ts'
import { addWorkspaceSettings, loadWorkspace } from './settings.ts'

const WAIT = '10s'
const WIDTH = 78

interface Flags {
  readonly command?: string
  readonly kind: string
  readonly wait: string
  readonly json?: true
  readonly [setting: string]: unknown
}

interface Group {
  readonly title: string
  readonly findings: readonly Finding[]
}

export const define: Define = (command, cli) => {
  addExamples(command, [
    ['nanoclaw conform', 'the files of this project'],
    ['nanoclaw conform path/to/session', 'the files in a folder'],
    ["nanoclaw conform --command 'npx nanoclaw start'", 'a runtime, on folders of its own'],
    ["nanoclaw conform --command './my-runtime {dir}'", 'any runtime: it answers every message'],
  ])
  command
    .argument('[folder]', 'with inbound.db and outbound.db (default: the workspace of this project)')
    .option(
      '--command <line>',
      'start this as a runtime and play its host; {dir} stands for the folder, which SESSION_INBOUND_DB_PATH and its kin say, too',
    )
    .option('--kind <kind>', 'of the messages that are sent', 'chat')
    .option('--wait <duration>', 'how long an answer may take', WAIT)
    .option('--json', 'print one JSON object')
  addWorkspaceSettings(command)
  command.action(async (folder: string | undefined, flags: Flags) => {
    if (folder !== undefined && flags.command !== undefined)
      throw new NanoclawError('bad_usage', 'Both a folder and --command were given; expected one of them')
    const groups = flags.command === undefined ? await look(folder, flags, cli) : await play(flags, cli)
    const failed = groups.flatMap(({ findings }) => findings).filter(({ verdict }) => verdict === 'fail')
    if (failed.length > 0) throw new Refused('docs/protocol.md says what each rule asks for, and why.')
  })
}

async function look(folder: string | undefined, flags: Flags, cli: Cli): Promise<Group[]> {
  const { examineInbound, examineOutbound } = await import('../conform/folder.ts')
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
  const [{ playHost }, { wordsOf }] = await Promise.all([
    import('../conform/play.ts'),
    import('../conform/command.ts'),
  ])
  const line = flags.command ?? ''
  const words = wordsOf(line)
  const waitMs = parseDuration(flags.wait)
  if (waitMs === undefined)
    throw new NanoclawError(
      'bad_usage',
      `--wait: found ${JSON.stringify(flags.wait)}; expected a length of time such as '10s'`,
    )
  const stopping = new AbortController()
  const stop = () => stopping.abort()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
  const { env, print } = cli
  const report = await playHost({
    words,
    env,
    kind: flags.kind,
    waitMs,
    clock: realClock,
    signal: stopping.signal,
  })
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

function pathsIn(folder: string): { inbound: string; outbound: string; heartbeat: string } {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new NanoclawError(
      'bad_usage',
      `${folder} is no folder; expected one with inbound.db and outbound.db`,
    )
  return {
    inbound: join(folder, 'inbound.db'),
    outbound: join(folder, 'outbound.db'),
    heartbeat: join(folder, '.heartbeat'),
  }
}

function reportLines(groups: readonly Group[], paint: Paint, more = ''): string[] {
  const all = groups.flatMap(({ findings }) => findings)
  const count = (verdict: Finding['verdict']) => all.filter((each) => each.verdict === verdict).length
  const [passed, failed, skipped] = [count('pass'), count('fail'), count('skip')]
  const ending = [
    paint(failed > 0 ? 'red' : 'dim', `${failed} failed`),
    paint(failed > 0 ? 'dim' : 'green', `${passed} passed`),
    paint('dim', `${skipped} skipped${more}`),
  ]
  return [...groups.flatMap((group) => [...groupLines(group, paint), '']), ending.join(', ')]
}

function groupLines({ title, findings }: Group, paint: Paint): string[] {
  const width = Math.max(...findings.map(({ check }) => check.length))
  const claimWidth = Math.max(...findings.map(({ check }) => CHECKS[check].claim.length))
  return [
    paint('bold', plain(title)),
    ...findings.flatMap((finding) => {
      const { check, verdict, measure } = finding
      const cells = [
        mark(verdict, paint),
        check.padEnd(width),
        CHECKS[check].claim.padEnd(claimWidth),
        paint('dim', measure),
      ]
      return [...table([cells], '  '), ...(verdict === 'fail' ? brokenLines(finding, paint) : [])]
    }),
  ]
}

function mark(verdict: Finding['verdict'], paint: Paint): string {
  switch (verdict) {
    case 'pass':
      return paint('green', 'pass')
    case 'fail':
      return paint('red', 'FAIL')
    case 'skip':
      return paint('yellow', 'skip')
    default:
      return verdict satisfies never
  }
}

/** What was seen, what to do, and where it is written. */
function brokenLines({ check, found }: Finding, paint: Paint): string[] {
  const { remedy, section } = CHECKS[check]
  const seen = plainLines(found, 4, 400).flatMap((line) => folded(line))
  return [
    ...seen.map((line, at) => `        ${at === 0 ? 'seen  ' : '      '}${line}`),
    ...folded(remedy).map((line, at) => `        ${at === 0 ? 'rule  ' : '      '}${line}`),
    `        ${paint('dim', `      docs/protocol.md, ${section}: ${check}`)}`,
  ]
}

/** Lines that fit beside their name. */
function folded(text: string): string[] {
  const widthMax = WIDTH - 14
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line !== '' && line.length + 1 + word.length > widthMax) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines
}

function jsonOf({ check, verdict, measure, found }: Finding): object {
  const { claim, section, remedy } = CHECKS[check]
  return { check, verdict, claim, section, ...(measure && { measure }), ...(found && { found, remedy }) }
}
