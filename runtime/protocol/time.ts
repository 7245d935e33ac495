// Instants as text. Both files carry two forms, `2026-11-24 06:02:20` (SQLite's, UTC without saying so) and
// ISO 8601; a form without a zone always means UTC, whatever the machine's own zone is. Nothing else in the
// project parses a time.

const FORM =
  /^(\d{4}|[+-]\d{6})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(Z|z|[+-]\d\d(?::?\d\d)?)?)?$/

/**
 * Milliseconds since 1970 UTC, or undefined when `text` is not a time in a known form (or not a real date).
 */
export function parseTime(text: string): number | undefined {
  const match = FORM.exec(text)
  if (!match) return undefined
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] = match
  const at = new Date(0)
  at.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
  if (at.getUTCMonth() !== Number(month) - 1 || at.getUTCDate() !== Number(day)) return undefined
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined
  at.setUTCHours(Number(hour), Number(minute), Number(second), Number(fraction.padEnd(3, '0').slice(0, 3)))
  const offset = zoneOffsetMs(zone)
  return offset === undefined ? undefined : at.getTime() - offset
}

function zoneOffsetMs(zone: string): number | undefined {
  if (zone === 'Z' || zone === 'z') return 0
  const hours = Number(zone.slice(1, 3))
  const minutes = Number(zone.slice(3).replace(':', '') || '0')
  if (hours > 23 || minutes > 59) return undefined
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000
}

/** `2026-11-24T06:02:20.123Z`: every revision of the host parses it correctly, in any zone. */
export function isoTime(atMs: number): string {
  return new Date(atMs).toISOString()
}

/**
 * The last instant whose text sorts correctly: later years begin with a sign, which sorts before every digit.
 */
const SORTABLE_MAX_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

/**
 * `2026-11-24 06:02:20.123`: sorts as text beside SQLite's own `datetime('now')`, which hosts compare it
 * with. Later instants become the last one.
 */
export function sqliteTime(atMs: number): string {
  return new Date(Math.min(atMs, SORTABLE_MAX_MS)).toISOString().replace('T', ' ').replace('Z', '')
}

/**
 * When a message with this `process_after` is due; absent and empty mean at once (0). undefined: not a valid
 * time.
 */
export function dueTime(processAfter: string | null): number | undefined {
  return processAfter ? parseTime(processAfter) : 0
}
