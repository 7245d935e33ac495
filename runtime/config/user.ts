// The type of nanoclaw.config.ts. Types only: load.ts reads the values; options.ts has legal values, defaults
// and reasons.
import type { Duration } from '../protocol/duration.ts'
import type { Retry } from '../protocol/handler.ts'
import type { Size } from './kinds.ts'

/** Every field is optional. Paths are relative to the folder of the config file. */
export interface UserConfig {
  /** The folder of inbound.db and outbound.db. Default `.nanoclaw`. */
  readonly workspace?: string
  /** The folder of the functions. Default `functions`. */
  readonly functions?: string
  /** The folder of built functions. Default `.nanoclaw/build`. */
  readonly cache?: string
  /** Messages that run at the same time, over all functions. Default 16. */
  readonly concurrency?: number | 'cores'
  /** Time limit of one attempt, unless the function sets its own. Default `'30s'`. */
  readonly timeout?: Duration
  /** When a failed message runs again, unless the function sets it. */
  readonly retry?: Retry
  /** Process deaths after which a message fails. Default 5. */
  readonly crashLimit?: number
  /** Interval of polls of inbound.db without a hint. Default `'250ms'`. */
  readonly poll?: Duration
  /** Watch the workspace, so that a message is detected before the next poll. Default true. */
  readonly watch?: boolean
  /** How often the heartbeat file is touched while a message runs. Default `'2s'`. */
  readonly heartbeat?: Duration
  /** Time between the abort signal of a handler and SIGTERM. Default `'2s'`. */
  readonly abortGrace?: Duration
  /** Time between SIGTERM and SIGKILL for a process. Default `'2s'`. */
  readonly killGrace?: Duration
  /** How long a stop waits for running handlers. Default `'7s'`. */
  readonly drain?: Duration
  /** Time limit for a process to load its function. Default `'30s'`. */
  readonly loadTimeout?: Duration
  /** Idle processes kept warm, over all functions. Default 16. */
  readonly warmMax?: number
  /** Keep one process started that belongs to no function yet. Default true. */
  readonly spare?: boolean
  /** Heap of one process; a bare number counts MiB. Default 512. */
  readonly maxMemory?: Size
  /** The largest content of one reply. Default `'1mb'`. */
  readonly maxReplyBytes?: Size
  /** The largest content of a message that runs. Default `'64mb'`. */
  readonly maxContentBytes?: Size
  /** The text that one run may log. Default `'64kb'`. */
  readonly maxLogBytes?: Size
  /** Messages after which a process is replaced. Default 100000. */
  readonly maxMessagesPerWorker?: number
  /** Names of environment variables that functions may see. Default none but the basic ones. */
  readonly env?: readonly string[]
  /** Arguments for the node of each process. Default none. */
  readonly nodeArgs?: readonly string[]
  /** Packages that are loaded from node_modules rather than built into a function. Default none. */
  readonly external?: readonly string[]
  /** Journal of outbound.db. Default `'delete'`. */
  readonly journal?: 'delete' | 'wal'
  /**
   * How long outbound.db keeps what the host has recorded: acks, runs, delivered replies. Default `'30d'`.
   */
  readonly retention?: Duration | 'forever'
  /** The lowest level of log lines that are written. Default `'info'`. */
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'silent'
}
