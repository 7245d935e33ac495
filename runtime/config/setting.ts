// One row of the table of settings.
import type { Kind } from './kinds.ts'

export interface Setting<K extends Kind<unknown> = Kind<unknown>> {
  readonly kind: K
  readonly fallback: string | number | boolean
  readonly help: string
  /** Why this default. */
  readonly why: string
}

/** Its texts are part of its type: an editor shows them where a config file names the setting. */
export function setting<
  K extends Kind<unknown>,
  const Fallback extends string | number | boolean,
  const Help extends string,
  const Why extends string,
>(kind: K, fallback: Fallback, help: Help, why: Why) {
  return { kind, fallback, help, why }
}
