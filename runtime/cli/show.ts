// `nanoclaw show ID`: one message, as both files have it.

import { endOf } from '../protocol/ack.ts'
import { realClock } from '../protocol/clock.ts'
import { formatDuration } from '../protocol/duration.ts'
import { isoTime } from '../protocol/time.ts'
import type { RuntimeSeen } from '../store/sqlite/inspect.ts'
import type {
  Ack,
  MessageReport,
  Row,
  Run,
  StepOnRecord,
  StoredReply,
} from '../store/sqlite/inspect-message.ts'
import { addExamples, type Define } from './command.ts'
import { nameAndMessage, usefulLines } from './describe.ts'
import { CommandFailed } from './exit.ts'
import { type Paint, plain, table } from './print.ts'
import { addWorkspaceSettings, loadWorkspace } from './settings.ts'
import { whyItWaits } from './unroutable.ts'

export const defineShow: Define = (command, cli) => {
  addExamples(command, [
    ['nanoclaw show msg-0193a1b2', 'its row, its runs, its replies'],
    ['nanoclaw show msg-0193a1b2 --json | jq .replies', 'as one JSON object'],
  ])
  command.argument('<id>', 'the id of the message')
  addWorkspaceSettings(command)
  command.option('--json', 'print one JSON object')
  command.action(async (id: string, flags: Record<string, unknown>) => {
    const { paths } = await loadWorkspace(flags, cli)
    const [{ readMessage }, { readRuntime }] = await Promise.all([
      import('../store/sqlite/inspect-message.ts'),
      import('../store/sqlite/inspect.ts'),
    ])
    const report = readMessage(paths, id)
    if (!isKnown(report)) throw new CommandFailed(unknownText(report))
    const runtime = readRuntime(paths)
    if (flags.json) cli.print.json({ ...report, runtime: { running: runtime.running } })
    else cli.print.data(...messageLines(report, runtime, realClock.now(), cli.print.paint))
  })
}

/** A message that its host has pruned still has its ack. */
function isKnown({ message, ack, runs }: MessageReport): boolean {
  return message !== null || ack !== null || runs.length > 0
}

function unknownText({ id, inbound }: MessageReport): string {
  if (!inbound.readable) return `Cannot read message ${id}: ${inbound.reason}`
  return `No message ${id} in ${inbound.path}. nanoclaw status lists recent failures`
}

export function messageLines(
  report: MessageReport,
  runtime: RuntimeSeen,
  nowMs: number,
  paint: Paint,
): string[] {
  const { message, runs, steps, replies } = report
  const why = whyItWaits(report, runtime, nowMs)
  return [
    ...table([
      [paint('dim', 'message'), paint('bold', plain(report.id))],
      [paint('dim', 'state'), stateText(report, nowMs, paint)],
      ...(why === undefined ? [] : [[paint('dim', 'waits'), paint('yellow', why)]]),
      ...(message ? messageRows(message, paint) : [[paint('dim', 'row'), rowMissing(report)]]),
    ]),
    ...(runs.length > 0 ? ['', 'Runs:', ...runLines(runs, runtime.running, paint)] : []),
    ...(steps.length > 0 ? ['', 'Steps:', ...stepLines(steps, nowMs, paint)] : []),
    ...(replies.length > 0 ? ['', 'Replies:', ...replyLines(replies, paint)] : []),
    ...(report.outbound.readable
      ? []
      : ['', paint('yellow', `Runs and replies are not readable: ${report.outbound.reason}`)]),
  ]
}

function rowMissing({ inbound }: MessageReport): string {
  return inbound.readable ? 'no longer in inbound.db' : `inbound.db is not readable: ${inbound.reason}`
}

function stateText({ ack, message, runs, steps }: MessageReport, nowMs: number, paint: Paint): string {
  const last = runs.at(-1)
  if (ack) return ackText(ack, last, paint)
  const waits = last?.outcome === 'suspended' ? steps.filter(({ state }) => state === 'open') : []
  if (waits.length > 0)
    return paint('yellow', `waits for ${waits.map(({ name }) => plain(name, 80)).join(', ')}`)
  if (last && last.nextAtMs !== null)
    return paint('yellow', `waits for its next attempt, ${inText(last.nextAtMs, nowMs)}`)
  return message ? plain(String(message.status ?? 'pending')) : 'unknown'
}

function ackText({ status, changedAt }: Ack, last: Run | undefined, paint: Paint): string {
  const reason = status === 'failed' && last?.reason ? ` (${plain(last.reason)})` : ''
  const color = { completed: 'green', failed: 'red', none: 'yellow' } as const
  const end = endOf(status) ?? 'none'
  return `${paint(color[end], plain(status))}${reason} at ${plain(changedAt)}`
}

function inText(atMs: number, nowMs: number): string {
  return atMs > nowMs ? `in ${formatDuration(atMs - nowMs)}` : 'due now'
}

/** The columns that have a value, by their names in the file. */
function messageRows(row: Row, paint: Paint): string[][] {
  const told = Object.entries(row).filter(
    ([name, value]) => name !== 'id' && name !== 'status' && value !== null,
  )
  return told.map(([name, value]) => [paint('dim', name), plain(String(value), 2_000)])
}

const OUTCOME_COLORS: Readonly<Record<string, 'green' | 'yellow'>> = {
  replied: 'green',
  answered: 'green',
  suspended: 'yellow',
  'late-answer': 'yellow',
}

function runLines(runs: readonly Run[], running: boolean, paint: Paint): string[] {
  const rows = runs.map(
    ({ run, attempt, functionName, startedAtMs, durationMs, outcome, reason, nextAtMs, worker }) => [
      `#${run}`,
      `attempt ${attempt}`,
      plain(functionName),
      isoTime(startedAtMs),
      durationMs === null ? '' : formatDuration(durationMs),
      outcome === null
        ? paint('yellow', running ? 'running' : 'interrupted: its runtime has ended')
        : paint(OUTCOME_COLORS[outcome] ?? 'red', plain(outcome)),
      plain(reason ?? ''),
      nextAtMs === null ? '' : `next at ${isoTime(nextAtMs)}`,
      worker === null || (outcome === null && !running) ? '' : paint('dim', `process ${worker}`),
    ],
  )
  return table(rows, '  ').flatMap((line, at) => {
    const error = runs[at]?.error
    if (!error) return [line]
    return [
      line,
      `      ${paint('red', nameAndMessage(error))}`,
      ...usefulLines(error).map((each) => paint('dim', `      ${each}`)),
    ]
  })
}

/** A result is cut to one line; `--json` has all of it. */
function stepLines(steps: readonly StepOnRecord[], nowMs: number, paint: Paint): string[] {
  const rows = steps.map((step) => [
    plain(step.name, 80),
    step.kind,
    paint(STEP_COLORS[step.state], step.state),
    step.durationMs === null ? waitText(step, nowMs) : formatDuration(step.durationMs),
    `in run #${step.run}`,
    paint('dim', plain(step.value ?? '', 120)),
  ])
  return table(rows, '  ')
}

const STEP_COLORS = {
  done: 'green',
  failed: 'red',
  open: 'yellow',
  timeout: 'yellow',
  closed: 'dim',
} as const

function waitText({ state, wakeAtMs, questionId, byMessage }: StepOnRecord, nowMs: number): string {
  if (byMessage !== null) return `by ${plain(byMessage)}`
  const question = questionId === null ? '' : ` (${plain(questionId)})`
  return state === 'open' && wakeAtMs !== null
    ? `until ${isoTime(wakeAtMs)}, ${inText(wakeAtMs, nowMs)}${question}`
    : ''
}

function replyLines(replies: readonly StoredReply[], paint: Paint): string[] {
  return replies.flatMap(({ id, seq, kind, channelType, platformId, threadId, deliverAfter, content }) => {
    const address = [channelType, platformId, threadId].flatMap((part) => (part === null ? [] : plain(part)))
    const about = [`seq ${seq}`, kind, ...(address.length > 0 ? [`to ${address.join(' / ')}`] : [])]
    if (deliverAfter !== null) about.push(`not before ${plain(deliverAfter)}`)
    return [`  ${plain(id)}  ${paint('dim', about.join(', '))}`, `    ${plain(content, 2_000)}`]
  })
}
