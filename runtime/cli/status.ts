// `nanoclaw status`: queue counts, recent failures and runtime state. Read-only; see store/sqlite/inspect.ts.
import { realClock } from '../protocol/clock.ts'
import { formatDuration } from '../protocol/duration.ts'
import { parseTime } from '../protocol/time.ts'
import type { Backlog } from '../store/sqlite/backlog.ts'
import type { FileState } from '../store/sqlite/file-probe.ts'
import type { Status } from '../store/sqlite/inspect.ts'
import { addExamples, type Define } from './command.ts'
import { nameAndMessage } from './describe.ts'
import { type Paint, plain, plainLines, table } from './print.ts'
import { addWorkspaceSettings, loadWorkspace } from './settings.ts'
import { mendText } from './unroutable.ts'

export const defineStatus: Define = (command, cli) => {
  addExamples(command, [
    ['nanoclaw status', 'the workspace of this project'],
    ['nanoclaw status --json | jq .backlog', 'for programs: one object'],
  ])
  addWorkspaceSettings(command)
  command.option('--json', 'print one JSON object')
  command.action(async (flags: Record<string, unknown>) => {
    const { workspace, paths } = await loadWorkspace(flags, cli)
    const { readStatus } = await import('../store/sqlite/inspect.ts')
    const nowMs = realClock.now()
    const status = readStatus(paths, { nowMs })
    if (flags.json) cli.print.json({ workspace, ...status, unroutable: unroutable(status) })
    else cli.print.data(...statusLines(workspace, status, nowMs, cli.print.paint))
  })
}

/** Kinds that no function takes; null without a running runtime, which alone knows. */
function unroutable({ runtime }: Status): Readonly<Record<string, number>> | null {
  return runtime.running ? (runtime.note?.unroutable ?? null) : null
}

function statusLines(workspace: string, status: Status, nowMs: number, paint: Paint): string[] {
  return [
    ...table(
      [
        [paint('dim', 'workspace'), plain(workspace)],
        [paint('dim', 'runtime'), runtimeText(status, nowMs, paint)],
        [paint('dim', 'functions'), functionsText(status, paint)],
        [paint('dim', 'inbound.db'), fileText(status.inbound, paint)],
        [paint('dim', 'outbound.db'), fileText(status.outbound, paint)],
      ].filter(([, text]) => text !== '') as string[][],
    ),
    ...section('', countRows(status, nowMs, paint)),
    ...section(
      'More messages of these than fit in memory wait in inbound.db; other functions are not affected',
      crowdedRows(status),
    ),
    ...section('No function takes these; they wait for one', heldRows(status)),
    ...section('Due messages by kind, while no runtime serves them', idleKinds(status)),
    ...section('Broken functions', brokenRows(status)),
    ...section('Last failures', failureRows(status, nowMs, paint)),
    ...(status.inbound.readable
      ? []
      : ['', paint('dim', 'The host creates inbound.db; `nanoclaw dev` and `nanoclaw send` do so, too.')]),
    ...(status.failures.length > 0
      ? ['', paint('dim', 'nanoclaw show ID prints one message with its runs and replies')]
      : []),
  ]
}

function section(title: string, rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : ['', ...(title ? [`${title}:`] : []), ...table(rows, title ? '  ' : '')]
}

function runtimeText({ runtime, epoch }: Status, nowMs: number, paint: Paint): string {
  const { running, note, heartbeatAtMs } = runtime
  if (!running) {
    const before = epoch ? `; started ${epoch} ${epoch === 1 ? 'time' : 'times'} before` : ''
    return `${paint('yellow', 'not running')}${before}`
  }
  if (!note) return paint('green', 'running')
  const color = note.state === 'running' ? 'green' : 'yellow'
  const waits = note.waitingFor === undefined ? '' : ` (${plain(note.waitingFor)})`
  const beat =
    heartbeatAtMs === null ? '' : `, alive ${formatDuration(Math.max(0, nowMs - heartbeatAtMs))} ago`
  return `${paint(color, note.state)}${waits}: process ${note.pid} on ${plain(note.host)}, for ${agoText(note.startedAt, nowMs)}${beat}`
}

function functionsText({ runtime }: Status, paint: Paint): string {
  if (!runtime.running || !runtime.note) return ''
  const names = runtime.note.functions.map(({ name, broken }) => {
    return broken === undefined ? plain(name) : paint('red', `${plain(name)} (broken)`)
  })
  return names.length > 0 ? names.join(', ') : paint('yellow', 'none')
}

function brokenRows({ runtime }: Status): string[][] {
  const functions = runtime.running ? (runtime.note?.functions ?? []) : []
  return functions.flatMap(({ broken, stillServed }) =>
    broken === undefined
      ? []
      : [...plainLines(broken, 12), ...(stillServed ? [STILL_SERVED] : [])].map((line) => [line]),
  )
}

function fileText({ readable, reason }: FileState, paint: Paint): string {
  return readable ? 'readable' : paint('yellow', `not readable: ${plain(reason ?? '', 400)}`)
}

function countRows({ backlog, ended, runtime }: Status, nowMs: number, paint: Paint): string[][] {
  const rows = backlog ? backlogRows(backlog, runtime.running, nowMs) : []
  if (ended) rows.push(['completed', String(ended.completed), ''], ['failed', String(ended.failed), ''])
  const width = Math.max(0, ...rows.map(([, count = '']) => count.length))
  return rows.map(([name = '', count = '', more = '']) => {
    const bad = name === 'failed' && count !== '0'
    return [bad ? paint('red', name) : name, count.padStart(width), paint('dim', more)]
  })
}

function backlogRows(backlog: Backlog, running: boolean, nowMs: number): string[][] {
  const { oldestDueAtMs, nextDueAtMs, nextRetryAtMs, nextWakeAtMs, paused } = backlog
  const until = (atMs: number | null) =>
    atMs === null ? '' : `next ${atMs > nowMs ? `in ${formatDuration(atMs - nowMs)}` : 'now'}`
  const waits =
    oldestDueAtMs === null ? '' : `oldest for ${formatDuration(Math.max(0, nowMs - oldestDueAtMs))}`
  return [
    ['due', String(backlog.due), waits],
    ['later', String(backlog.later), until(nextDueAtMs)],
    ['processing', String(backlog.processing), running || backlog.processing === 0 ? '' : LEFT],
    ['retrying', String(backlog.retrying), until(nextRetryAtMs)],
    ...(backlog.waiting > 0 ? [['waiting', String(backlog.waiting), wakeText(nextWakeAtMs, nowMs)]] : []),
    ...(paused > 0 ? [['paused', String(paused), 'by the host']] : []),
  ]
}

/** A handler may be woken before by an answer. */
function wakeText(atMs: number | null, nowMs: number): string {
  return atMs === null ? '' : `for an answer or a time; next in ${formatDuration(Math.max(atMs - nowMs, 0))}`
}

const LEFT = 'claimed by a runtime that has ended; the next start runs them again'

function kindRows(kinds: Readonly<Record<string, number>> | null): string[][] {
  return Object.entries(kinds ?? {}).map(([kind, count]) => [plain(kind), String(count)])
}

const STILL_SERVED = 'Its last good version stays in use.'

function heldRows(status: Status): string[][] {
  const functions = status.runtime.note?.functions ?? []
  const counts = Object.entries(unroutable(status) ?? {})
  return counts.map(([kind, count]) => [plain(kind), String(count), mendText(kind, functions) ?? ''])
}

function crowdedRows({ runtime }: Status): string[][] {
  const crowded = runtime.running ? (runtime.note?.crowded ?? []) : []
  return crowded.map(({ name, ready, retrying }) => [
    plain(name),
    `${ready} in memory`,
    retrying > 0 ? `${retrying} of them wait for their next attempt` : '',
  ])
}

function idleKinds({ runtime, backlog }: Status): string[][] {
  return runtime.running ? [] : kindRows(backlog?.dueByKind ?? null)
}

function failureRows({ failures }: Status, nowMs: number, paint: Paint): string[][] {
  return failures.map(({ id, failedAt, functionName, reason, error }) => {
    const when = `${agoText(failedAt, nowMs)} ago`
    const words = [...(reason ? [plain(reason)] : []), ...(error ? [nameAndMessage(error)] : [])]
    return [
      paint('dim', when),
      plain(id),
      functionName ? plain(functionName) : '',
      paint('red', words.join(': ')),
    ]
  })
}

function agoText(time: string, nowMs: number): string {
  const atMs = parseTime(time)
  return atMs === undefined ? plain(time) : formatDuration(Math.max(0, nowMs - atMs))
}
