// Recurring messages. The column `recurrence` holds a cron expression, as nanoclaw's own hosts write it; a
// time zone of its own is the prefix `CRON_TZ=Europe/Berlin`, as in crontabs. A recurrence without a next
// occurrence is kept with a mark, so that it is reported once and stays visible.
import { checkTimeZone, lastOccurrence, nextOccurrence } from '../protocol/cron.ts'

export interface Recurrence {
  readonly cron: string
  /**
   * Default: the zone of the host that enqueues it; for a task of another host, the zone of the host that
   * makes the next occurrence.
   */
  readonly timeZone?: string
}

export type NextOccurrence =
  | { readonly type: 'next'; readonly atMs: number }
  | { readonly type: 'stopped'; readonly reason: string }

/** Prefix of an expression that has no next occurrence. */
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
 * @throws RangeError when the expression or the zone is not valid, or has no occurrence.
 */
export function firstOccurrence({ cron, timeZone }: Recurrence, afterMs: number, hostZone: string): number {
  if (timeZone !== undefined) checkTimeZone(timeZone)
  const atMs = nextOccurrence(cron, afterMs, timeZone ?? hostZone)
  if (atMs === undefined)
    throw new RangeError(`${JSON.stringify(cron)} has no occurrence: it names a date that does not exist`)
  return atMs
}

/**
 * What follows an occurrence that has ended. It is computed from the scheduled time, not from the end of the
 * run, so the series does not drift. Of several missed occurrences only the last one runs.
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
    if (atMs === undefined)
      return { type: 'stopped', reason: `${JSON.stringify(cron)} has no further occurrence` }
    if (atMs > nowMs) return { type: 'next', atMs }
    return { type: 'next', atMs: lastOccurrence(cron, nowMs, timeZone) ?? atMs }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { type: 'stopped', reason: error.message }
  }
}
