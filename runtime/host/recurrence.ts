// Messages that repeat. The recurrence stands in the column of that name as upstream's hosts write it, a cron expression;
// one with a time zone of its own has `CRON_TZ=Europe/Berlin` in front, as in crontabs. One that cannot go on is kept,
// marked, so that it is reported once and stays visible.
import { checkTimeZone, lastOccurrence, nextOccurrence } from '../protocol/cron.ts'

export interface Recurrence {
  readonly cron: string
  /** Default: the zone of the host that enqueues it; a task made by another host counts in that of whoever goes on with it. */
  readonly timeZone?: string
}

export type NextOccurrence =
  | { readonly type: 'next'; readonly atMs: number }
  | { readonly type: 'stopped'; readonly reason: string }

/** In front of an expression that no next occurrence could be made for. */
export const STOPPED = 'stopped: '

export function parseRecurrence(text: string): Recurrence {
  const match = /^CRON_TZ=(\S+)\s+(.*)$/s.exec(text.trim())
  return match ? { cron: match[2]!, timeZone: match[1]! } : { cron: text.trim() }
}

export function formatRecurrence({ cron, timeZone }: Recurrence): string {
  return timeZone === undefined ? cron : `CRON_TZ=${timeZone} ${cron}`
}

/**
 * The first occurrence after an instant.
 * @throws RangeError when the expression or the zone is no such thing, or when it never comes.
 */
export function firstOccurrence({ cron, timeZone }: Recurrence, afterMs: number, hostZone: string): number {
  if (timeZone !== undefined) checkTimeZone(timeZone)
  const atMs = nextOccurrence(cron, afterMs, timeZone ?? hostZone)
  if (atMs === undefined) throw new RangeError(`${JSON.stringify(cron)} never comes: there is no such date`)
  return atMs
}

/**
 * What follows an occurrence that has ended. It is counted from the time that was meant, not from when the run ended, so
 * nothing drifts. Of occurrences that were missed meanwhile only the last one is made up for.
 */
export function decideNextOccurrence(
  text: string,
  scheduledMs: number,
  nowMs: number,
  hostZone: string,
): NextOccurrence {
  const { cron, timeZone = hostZone } = parseRecurrence(text)
  try {
    const atMs = nextOccurrence(cron, scheduledMs, timeZone)
    if (atMs === undefined) return { type: 'stopped', reason: `${JSON.stringify(cron)} never comes again` }
    if (atMs > nowMs) return { type: 'next', atMs }
    return { type: 'next', atMs: lastOccurrence(cron, nowMs, timeZone) ?? atMs }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { type: 'stopped', reason: error.message }
  }
}
