// What a world is like, which follows from its number; a list of events may ask for another one.
import { mix } from './random.ts'

/**
 * `late`: outbound.db behind a connection that answers some time later; `memory`: the store of test/support,
 * as late.
 */
export type StoreKind = 'sqlite' | 'late' | 'memory'

export interface Choices {
  /** The store of each folder that the runtime serves: one, or two that share its processes. */
  readonly stores: readonly StoreKind[]
  /** Little room for messages. */
  readonly small: boolean
  readonly pollMs: number
  /** Infinity: nothing is forgotten. */
  readonly retentionMs: number
}

const STORES: readonly StoreKind[] = ['sqlite', 'sqlite', 'late', 'memory']

export function choicesOf(seed: number): Choices {
  const folders = mix(seed, 6) % 3 === 0 ? [0, 1] : [0]
  return {
    stores: folders.map((folder) => STORES[mix(seed, 5, folder) % STORES.length]!),
    small: mix(seed, 2) % 2 === 0,
    pollMs: [100, 250, 1_000][mix(seed, 3) % 3]!,
    retentionMs: mix(seed, 7) % 2 === 0 ? 1_000 : Number.POSITIVE_INFINITY,
  }
}
