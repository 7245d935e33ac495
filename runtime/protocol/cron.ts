// Occurrences of cron expressions: five fields (minute hour day month weekday), six with seconds in front, or
// a nickname such as @daily. croner parses them, and is used in this file alone. Where clocks are put
// forward, an occurrence inside the gap runs right after it; where they are put back, it runs once.
import { Cron } from 'croner'

export const CRON_FORMS =
  "five fields such as '0 9 * * 1-5', six with seconds in front, or @hourly, @daily, @weekly, @monthly, @yearly"

/**
 * The first occurrence after an instant (milliseconds since 1970); undefined: no further occurrence.
 * @throws RangeError for an invalid expression or an unknown time zone.
 */
export function nextOccurrence(expression: string, afterMs: number, timeZone: string): number | undefined {
  return parse(expression, timeZone).nextRun(new Date(afterMs))?.getTime()
}

/** The last occurrence at an instant or before it. Throws as nextOccurrence does. */
export function lastOccurrence(expression: string, atMs: number, timeZone: string): number | undefined {
  return parse(expression, timeZone)
    .previousRuns(1, new Date(atMs + 1))[0]
    ?.getTime()
}

function parse(expression: string, timeZone: string): Cron {
  checkTimeZone(timeZone)
  // croner also accepts a single date, which is not a recurrence.
  if (/^\d{4}-/.test(expression.trim()))
    throw new RangeError(`${JSON.stringify(expression)} is a date, not a cron expression`)
  try {
    return new Cron(expression, { timezone: timeZone, paused: true, mode: '5-or-6-parts' })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.replace(/^\w+: /, '') : String(cause)
    throw new RangeError(`${JSON.stringify(expression)} is not a cron expression: ${why}`, { cause })
  }
}

/** @throws RangeError */
export function checkTimeZone(timeZone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone })
  } catch (cause) {
    throw new RangeError(
      `${JSON.stringify(timeZone)} is not a time zone; expected a name such as 'Europe/Berlin'`,
      { cause },
    )
  }
}
