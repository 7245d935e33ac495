// Durations as users write them: a number of milliseconds, or '200ms', '5s', '2m', '1h', '7d'.

/** Milliseconds as a number, or text with a unit: ms, s, m, h, d. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

export const DURATION_FORMS = "a number of milliseconds, or text such as '200ms', '5s', '2m', '1h', '7d'"

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds, or undefined when `value` is not a duration (negative and infinite ones are not). */
export function parseDuration(value: unknown): number | undefined {
  const ms = typeof value === 'string' ? parseText(value) : value
  return typeof ms === 'number' && Number.isFinite(ms) && ms >= 0 ? ms : undefined
}

function parseText(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s?(ms|s|m|h|d)?$/.exec(text.trim())
  return match ? Number(match[1]) * (UNIT_MS[match[2] ?? 'ms'] ?? 1) : undefined
}

/** A short text: 12 ms, 1.5 s, 3 min, 2 h, 4 d. */
export function formatDuration(ms: number): string {
  if (ms < 1) return `${ms.toFixed(2)} ms`
  if (ms < 1000) return `${trim(ms)} ms`
  if (ms < 60_000) return `${trim(ms / 1000)} s`
  if (ms < 3_600_000) return `${trim(ms / 60_000)} min`
  return ms < 86_400_000 ? `${trim(ms / 3_600_000)} h` : `${trim(ms / 86_400_000)} d`
}

function trim(value: number): string {
  return value.toFixed(value < 10 ? 1 : 0).replace(/\.0$/, '')
}
