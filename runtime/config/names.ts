// The names of a setting as flag, variable and parsed flag.

/** Each overrides one path; hosts of the first revision set these variables in their containers. */
export const PATH_VARIABLES = {
  inbound: 'SESSION_INBOUND_DB_PATH',
  outbound: 'SESSION_OUTBOUND_DB_PATH',
  heartbeat: 'SESSION_HEARTBEAT_PATH',
} as const

/** Names the config file to read; same as the flag `--config`. */
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
