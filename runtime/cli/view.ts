// The live view of `dev`: the runtime's events as lines for people. One line per ended run, its replies below
// it; text from functions is escaped before it reaches the terminal.
import { realClock } from '../protocol/clock.ts'
import { formatDuration } from '../protocol/duration.ts'
import { errorText } from '../protocol/errors.ts'
import type { EndedRun, Events, RuntimeEvents } from '../protocol/events.ts'
import type { FunctionSpec, Routable } from '../protocol/function.ts'
import { isMoved } from '../store/sqlite/classify.ts'
import type { ShowAction } from './deliver.ts'
import { outcomeText, ruleText, usefulLines } from './describe.ts'
import { sendExample } from './example.ts'
import { type Paint, type Print, plain, plainLines, type Style, table } from './print.ts'
import { replyText } from './reply-text.ts'
import { onUnroutable } from './unroutable.ts'

export function showEvents(
  events: Events,
  functions: () => readonly FunctionSpec[],
  messageOf: (id: string) => Routable | undefined,
  print: Print,
): void {
  const { paint } = print
  const say = (style: Style, word: string, text: string) => print.data(eventLine(paint, style, word, text))

  events.on('runs-ended', (all) => print.data(...all.flatMap((each) => runEndLines(each, paint))))
  events.on('started', ({ quarantined }) => {
    for (const id of quarantined)
      say('red', 'failed', `${plain(id)}  crash_limit: each of its runs took the runtime with it`)
  })
  events.on('rejected', ({ id, reason, detail }) =>
    say('red', 'failed', `${plain(id)}  ${plain(reason)}: ${plain(detail)}`),
  )
  events.on('context', ({ id }) =>
    say('dim', 'context', `${plain(id)}  trigger is 0: completed without a run`),
  )
  onUnroutable(events, { functions, messageOf }, (id, why) => say('yellow', 'parked', `${plain(id)}  ${why}`))
  events.on('output', ({ line, stream, ...from }) => {
    print.data(foreignLine(paint, from, line, stream === 'stderr' ? 'yellow' : 'dim'))
  })
  events.on('log', ({ level, text, fields, ...from }) => {
    const more = fields === undefined ? '' : ` ${JSON.stringify(fields)}`
    print.data(foreignLine(paint, from, `${level}: ${text}${more}`, level === 'error' ? 'red' : 'dim'))
  })
  events.on('waiting', ({ path, reason }) =>
    say('yellow', 'waits', `for ${plain(path)}: ${plain(reason, 400)}`),
  )
  events.on('readable', ({ path }) => say('green', 'reads', plain(path)))
  events.on('inbound-wal', ({ path }) =>
    say('yellow', 'wal', `${plain(path)} is in WAL mode; its host should set journal_mode=delete`),
  )
  events.on('read-unstable', ({ path, times }) =>
    say(
      'yellow',
      'reads',
      `${plain(path)} failed for moments, ${times} times; this mount may not support locks`,
    ),
  )
  events.on('functions-changed', ({ changed }) => {
    for (const name of changed) {
      const spec = functions().find((each) => each.name === name)
      say('cyan', 'reload', `${paint('bold', plain(name))}  ${spec ? ruleText(spec.rule) : 'is gone'}`)
    }
  })
  events.on('unwritten', ({ claims, results }) =>
    say(
      'red',
      'disk',
      `outbound.db took no writes; ${results} results are lost, ${claims} messages run again`,
    ),
  )
  events.on('function-capped', ({ functionName, concurrency, setting }) =>
    say(
      'yellow',
      'capped',
      `${plain(functionName)} asks for concurrency ${concurrency}; the setting allows ${setting}`,
    ),
  )
  events.on('function-broken', ({ functionName, message, retryMs, stillServed }) => {
    const next = retryMs === null ? 'fix it and save' : `again in ${formatDuration(retryMs)}`
    const now = stillServed ? '; its last good version stays in use' : ''
    say('red', 'broken', `${plain(functionName)}; ${next}${now}`)
    print.data(...plainLines(message, 12).map((line) => below(line)))
  })
  events.on('worker-ended', ({ functionName, why, unexpected }) => {
    if (!unexpected) return
    const [what = '', ...more] = plainLines(why, 12)
    say('red', 'ended', `${plain(functionName)}  a process; no message is charged: ${what}`)
    print.data(...more.map((line) => below(paint('dim', line))))
  })
  events.on('commit-failed', ({ message, results }) =>
    say('red', 'disk', `outbound.db takes no writes (${plain(message)}); ${results} results wait in memory`),
  )
  events.on('commit-recovered', ({ results }) =>
    say('green', 'disk', `outbound.db takes writes again; ${results} results are written`),
  )
  events.on('watch-degraded', ({ reason }) =>
    say('yellow', 'watch', `no file events (${plain(reason)}); the poll finds changes`),
  )
  events.on('stopping', ({ running }) =>
    say(
      'dim',
      'stops',
      running === 0 ? 'no run is active' : `${running} may finish; Ctrl+C again ends at once`,
    ),
  )
  events.on('fatal', ({ error }) => {
    if (isMoved(error)) say('yellow', 'reset', 'outbound.db was moved or deleted; an empty one replaces it')
    else say('red', 'ends', plain(errorText(error), 1_000))
  })
}

/** Actions that the host has executed for a function, and failed ones. */
export function actionViewer(print: Print): ShowAction {
  const { paint } = print
  const say = (style: Style, word: string, text: string) => print.data(eventLine(paint, style, word, text))
  return (event, action) => {
    if (event.type === 'blocked') return say('yellow', 'waits', plain(event.error, 400))
    const what = `${action === null ? '' : `${action}  `}${plain(event.id)}`
    if (event.type === 'delivered') say('green', 'host', what)
    else if (event.type === 'retry')
      say(
        'yellow',
        'host',
        `${what}  ${plain(event.error, 400)}  ${againText(event.nextAtMs - realClock.now())}`,
      )
    else say('red', 'host', `${what}  given up: ${plain(event.error, 400)}`)
  }
}

export interface Opening {
  readonly root: string
  readonly workspace: string
  readonly functions: readonly FunctionSpec[]
}

/** The opening lines: the functions with their rules, and an example command. */
export function openingLines({ root, workspace, functions }: Opening, paint: Paint): string[] {
  const rows = functions.map(({ name, rule, file }) => [
    paint('bold', plain(name)),
    ruleText(rule),
    paint('dim', plain(file)),
  ])
  const example = sendExample(functions)
  return [
    `${paint('bold', 'nanoclaw dev')}  ${plain(root)}  ${paint('dim', `workspace ${plain(workspace)}`)}`,
    '',
    ...(rows.length > 0
      ? table(rows, '  ')
      : [`  ${paint('yellow', 'no functions yet')}: create functions/chat.ts`]),
    '',
    ...(example === undefined ? [] : [`  ${paint('dim', 'send one from another terminal:')} ${example}`]),
    `  ${paint('dim', 'Ctrl+C stops.')}`,
    '',
  ]
}

export function runEndLines(run: EndedRun, paint: Paint): string[] {
  const { id, functionName, attempt, outcome, durationMs, verdict, nextAtMs, reason } = run
  if (verdict === 'released')
    return outcome.type === 'cancelled' && outcome.why === 'process-died'
      ? [eventLine(paint, 'yellow', 'again', `${plain(functionName)}  ${plain(id)}  ${PROCESS_DIED}`)]
      : []
  const [style, word] = VERDICTS[verdict]
  const about = [paint('bold', plain(functionName)), plain(id), paint('dim', formatDuration(durationMs))]
  if (attempt > 1) about.push(paint('dim', `attempt ${attempt}`))
  if (outcome.type !== 'replied') about.push(paint(style, outcomeText(outcome, reason)))
  if (nextAtMs !== null) about.push(paint('dim', againText(nextAtMs - realClock.now())))
  return [eventLine(paint, style, word, about.join('  ')), ...detailLines(run, paint)]
}

function againText(delayMs: number): string {
  return delayMs < 1 ? 'again at once' : `again in ${formatDuration(delayMs)}`
}

const PROCESS_DIED = 'its process died, and the cause is not certain; runs again, not charged'

const VERDICTS: Readonly<Record<Exclude<EndedRun['verdict'], 'released'>, readonly [Style, string]>> = {
  done: ['green', 'done'],
  failed: ['red', 'failed'],
  retry: ['yellow', 'retry'],
  waiting: ['yellow', 'waits'],
  lost: ['yellow', 'lost'],
}

function detailLines({ outcome }: EndedRun, paint: Paint): string[] {
  if (outcome.type === 'replied' || outcome.type === 'suspended')
    return outcome.replies.flatMap(({ content }) =>
      replyText(content)
        .split('\n')
        .map((line, at) => below(`${at === 0 ? paint('green', '→') : ' '} ${line}`)),
    )
  const evidence = 'error' in outcome ? outcome.error : 'stderr' in outcome ? outcome : {}
  return usefulLines(evidence).map((line) => below(paint('dim', line)))
}

/** A line that a function printed, followed by the id of its message. */
function foreignLine(paint: Paint, { functionName, messageId }: From, line: string, style: Style): string {
  const of = messageId === null ? '' : `  ${paint('dim', shortId(messageId))}`
  return below(`${paint('dim', `${plain(functionName)} |`)} ${paint(style, plain(line, 1_000))}${of}`)
}

type From = Pick<RuntimeEvents['output'][0], 'functionName' | 'messageId'>

/** The end of an id differs between messages of the same minute. */
function shortId(id: string): string {
  return id.length > 16 ? `…${plain(id.slice(-8))}` : plain(id)
}

function eventLine(paint: Paint, style: Style, word: string, text: string): string {
  const time = new Date(realClock.now()).toTimeString().slice(0, 8)
  return `${paint('dim', time)}  ${paint(style, word.padEnd(6))}  ${text}`
}

/** Aligns a line under the text of the line before. */
function below(line: string): string {
  return `${' '.repeat(18)}${line}`
}
