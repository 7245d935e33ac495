// One row of the table of settings.
import type { Kind } from './kinds.ts'

export interface Setting<T> {
  readonly kind: Kind<T>
  readonly fallback: string | number | boolean
  readonly help: string
  /** Why this default. */
  readonly why: string
}

export function setting<T, F extends string | number | boolean>(
  kind: Kind<T>,
  fallback: F,
  help: string,
  why: string,
) {
  return { kind, fallback, help, why }
}
