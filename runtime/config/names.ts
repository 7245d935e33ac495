// What one setting is called in each place where people give it.

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
