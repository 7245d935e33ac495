// Text for outcomes, rules and errors in everything that people read.
import { formatDuration } from '../protocol/duration.ts'
import { causesText, type ErrorInfo, innerErrors, lineText } from '../protocol/errors.ts'
import type { Rule } from '../protocol/function.ts'
import type { Outcome } from '../protocol/outcome.ts'
import type { RunError } from '../store/sqlite/inspect-message.ts'
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

/** Why a run failed, in one line. */
export function outcomeText(outcome: Outcome, reason: string | null): string {
  const because = reason ? `${plain(reason)}: ` : ''
  switch (outcome.type) {
    case 'replied':
      return 'replied'
    case 'suspended':
      return `waits${waits(outcome.waits)}`
    case 'threw':
    case 'bad-reply':
    case 'bad-message':
      return because + nameAndMessage(outcome.error)
    case 'timed-out':
      return `${because}no end after ${formatDuration(outcome.afterMs)}`
    case 'exited':
      return outcome.code === null
        ? `${because}its process closed its channel to the runtime and was ended`
        : `${because}its process ended with code ${outcome.code}`
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

/** The names of what it waits for; none: for what it waited for before. */
function waits(waits: readonly { readonly name: string }[]): string {
  return waits.length === 0 ? '' : ` for ${waits.map(({ name }) => plain(name)).join(', ')}`
}

const LINES_MAX = 4
const CAUSE_LINES_MAX = 12
/** Lines of an error with all of its causes. */
const LINE_CHARS_MAX = 1_000
/** A line of V8's own stack, which follows its message. */
const NATIVE_FRAME = /^\s*\d+: 0x[\da-f]+ /

/**
 * The lines that help to find the mistake: the stderr tail of a process, or the author's own lines of the
 * stack and of its causes.
 */
export function usefulLines({ stack, stderr, ...error }: Partial<RunError>): string[] {
  if (stderr !== undefined) {
    const said = lines(stderr).filter((line) => !NATIVE_FRAME.test(line))
    const fatal = said.filter((line) => line.startsWith('FATAL ERROR: '))
    return fatal.length > 0 ? fatal.slice(-1) : said.slice(-LINES_MAX)
  }
  const { own, all } = framesOf(stack)
  const causes = innerErrors(error).flatMap(({ word, error: inner }) => {
    const frames = framesOf(inner.stack).own.slice(0, LINES_MAX)
    return frames.length > 0 ? [plain(`  ${word} ${lineText(inner)}`), ...frames] : []
  })
  return [...(own.length > 0 ? own : all).slice(0, LINES_MAX), ...causes.slice(0, CAUSE_LINES_MAX)]
}

function framesOf(stack = ''): { readonly own: string[]; readonly all: string[] } {
  const all = lines(stack).filter((line) => /^\s+at /.test(line))
  return {
    own: all.filter((line) => !/\(?node:|node_modules|[/\\]child[/\\](main|run)\.[jt]s/.test(line)),
    all,
  }
}

/** `TypeError: no good; caused by Error: connect ECONNREFUSED`: one line, without a plain `Error:`. */
export function nameAndMessage(error: ErrorInfo): string {
  return plain(lineText(error) + causesText(error), LINE_CHARS_MAX)
}

function lines(text: string): string[] {
  const all = text.split(/\r\n|\r|\n/).filter((line) => line.trim() !== '')
  return all.map((line) => plain(line))
}
