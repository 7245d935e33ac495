// What the runtime's own types mean in words, for everything that people read.
import { formatDuration } from '../protocol/duration.ts'
import type { Rule } from '../protocol/function.ts'
import type { Outcome } from '../protocol/outcome.ts'
import { plain } from './print.ts'

/** `kind chat or chat-sdk, channel slack, content.action opened`. */
export function ruleText(rule: Rule): string {
  const parts = [
    values('kind', rule.kind),
    values('channel', rule.channelType),
    values('platform', rule.platformId),
    values('thread', rule.threadId),
    values('trigger', rule.trigger),
    ...rule.content.map(({ path, values: legal }) => values(`content.${path.join('.')}`, legal)),
  ]
  return parts.filter((part) => part !== '').join(', ') || 'every message'
}

function values(name: string, legal: readonly unknown[] | undefined): string {
  return legal === undefined
    ? ''
    : `${plain(name)} ${legal.map((value) => plain(String(value))).join(' or ')}`
}

/** Why a run was no success, in one line. */
export function outcomeText(outcome: Outcome, reason: string | null): string {
  const because = reason ? `${plain(reason)}: ` : ''
  switch (outcome.type) {
    case 'replied':
      return 'replied'
    case 'threw':
    case 'bad-reply':
    case 'bad-message':
      return because + nameAndMessage(outcome.error)
    case 'timed-out':
      return `${because}no end after ${formatDuration(outcome.afterMs)}`
    case 'exited':
      return `${because}its process ended with code ${outcome.code}`
    case 'killed':
      return `${because}its process was killed by ${plain(outcome.signal)}`
    case 'out-of-memory':
      return `${because}its process ran out of memory (see maxMemory)`
    case 'cancelled':
      return `${because}cancelled (${outcome.why})`
    default:
      return outcome satisfies never
  }
}

const LINES_MAX = 4
/** Of V8's own stack, which it prints behind what it has to say. */
const NATIVE_FRAME = /^\s*\d+: 0x[\da-f]+ /

/** What helps to find the mistake: the last words of a process, or the author's own lines of the stack. */
export function usefulLines({
  stack,
  stderr,
}: {
  readonly stack?: string
  readonly stderr?: string
}): string[] {
  if (stderr !== undefined) {
    const said = lines(stderr).filter((line) => !NATIVE_FRAME.test(line))
    const fatal = said.filter((line) => line.startsWith('FATAL ERROR: '))
    return fatal.length > 0 ? fatal.slice(-1) : said.slice(-LINES_MAX)
  }
  const frames = lines(stack ?? '').filter((line) => /^\s+at /.test(line))
  const own = frames.filter((line) => !/\(?node:|node_modules|[/\\]child[/\\](main|run)\.[jt]s/.test(line))
  return (own.length > 0 ? own : frames).slice(0, LINES_MAX)
}

/** `TypeError: no good`: one line, without a class that says nothing. */
export function nameAndMessage({
  name,
  message,
}: {
  readonly name: string
  readonly message: string
}): string {
  const [first = ''] = message.split('\n')
  return plain(name === 'Error' ? first : `${name}: ${first}`)
}

function lines(text: string): string[] {
  const all = text.split(/\r\n|\r|\n/).filter((line) => line.trim() !== '')
  return all.map((line) => plain(line))
}
