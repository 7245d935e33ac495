// What one setting is called in each place where people give it, and which name they may have meant by another.

/** Each of the three overrides one path; the names are those that a host of the first revision gives its containers. */
export const PATH_VARIABLES = {
  inbound: 'SESSION_INBOUND_DB_PATH',
  outbound: 'SESSION_OUTBOUND_DB_PATH',
  heartbeat: 'SESSION_HEARTBEAT_PATH',
} as const

/** Says which config file is read; flag `--config`. */
export const CONFIG_VARIABLE = 'NANOCLAW_CONFIG'

/** `retry.minDelay` → `--retry-min-delay`. */
export function flagOf(name: string): string {
  return `--${words(name).join('-')}`
}

/** `retry.minDelay` → `NANOCLAW_RETRY_MIN_DELAY`. */
export function variableOf(name: string): string {
  return `NANOCLAW_${words(name).join('_').toUpperCase()}`
}

/** `retry.minDelay` → `retryMinDelay`, the key of a parsed flag. */
export function flagKeyOf(name: string): string {
  return name.replace(/\.(.)/g, (_, letter: string) => letter.toUpperCase())
}

function words(name: string): string[] {
  return name.replace(/[A-Z]/g, (letter) => `.${letter.toLowerCase()}`).split('.')
}

/** The candidate that is at most a third of its letters away from `word`, or undefined. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  const [best] = candidates
    .map((candidate) => ({ candidate, steps: editSteps(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, steps }) => steps <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.steps - b.steps)
  return best?.candidate
}

/** Letters to insert, delete, replace or swap with their neighbour to get from `a` to `b`. */
function editSteps(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? beforeLast[j - 2]! + 1 : replaced
      row.push(Math.min(last[j]! + 1, row[j - 1]! + 1, replaced, swapped))
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
