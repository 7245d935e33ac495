// What nanoclaw.config.ts may say. Types only: its values are read by load.ts, and options.ts says what each one may be,
// what it is when nobody says it, and why.
import type { Duration } from '../protocol/duration.ts'
import type { Retry } from '../protocol/handler.ts'
import type { Size } from './kinds.ts'

/** Every field may be left out. Paths are relative to the folder of the config file. */
export interface UserConfig {
  /** The folder of inbound.db and outbound.db. Default `.nanoclaw`. */
  readonly workspace?: string
  /** The folder of the functions. Default `functions`. */
  readonly functions?: string
  /** Where built functions are kept. Default `.nanoclaw/build`. */
  readonly cache?: string
  /** Messages handled at the same time, over all functions. Default 16. */
  readonly concurrency?: number | 'cores'
  /** Time for one attempt, unless the function says its own. Default `'30s'`. */
  readonly timeout?: Duration
  /** When a failed message runs again, unless the function says so itself. */
  readonly retry?: Retry
  /** Runs of one message that may end in the death of their process. Default 5. */
  readonly crashLimit?: number
  /** How often inbound.db is looked at without a reason. Default `'250ms'`. */
  readonly poll?: Duration
  /** Watch the workspace, so that a message is noticed before the next poll. Default true. */
  readonly watch?: boolean
  /** How often the heartbeat file is touched while something runs. Default `'2s'`. */
  readonly heartbeat?: Duration
  /** Time for a handler to end by itself after its signal has aborted. Default `'2s'`. */
  readonly abortGrace?: Duration
  /** Time between SIGTERM and SIGKILL for a process. Default `'2s'`. */
  readonly killGrace?: Duration
  /** How long a stop waits for running handlers. Default `'7s'`. */
  readonly drain?: Duration
  /** Time for a process to load its function. Default `'30s'`. */
  readonly loadTimeout?: Duration
  /** Idle processes kept warm, over all functions. Default 16. */
  readonly warmMax?: number
  /** Keep one process started that belongs to no function yet, for whichever needs one next. Default true. */
  readonly prewarm?: boolean
  /** Heap of one process; a bare number counts MiB. Default 512. */
  readonly maxMemory?: Size
  /** The largest content of one reply. Default `'1mb'`. */
  readonly maxReplyBytes?: Size
  /** The largest content of a message that is handed to a handler. Default `'64mb'`. */
  readonly maxContentBytes?: Size
  /** What one run may log and print. Default `'64kb'`. */
  readonly maxLogBytes?: Size
  /** Messages after which a process is replaced by a fresh one. Default 100000. */
  readonly maxMessagesPerWorker?: number
  /** Names of environment variables that functions may see. Default none but the basic ones. */
  readonly env?: readonly string[]
  /** Arguments for the node of each process. Default none. */
  readonly nodeArgs?: readonly string[]
  /** Packages that are loaded from node_modules rather than built into a function. Default none. */
  readonly external?: readonly string[]
  /** Journal of outbound.db. Default `'delete'`. */
  readonly journal?: 'delete' | 'wal'
  /** How long outbound.db keeps what the host has recorded: acks, runs, delivered replies. Default `'30d'`. */
  readonly retention?: Duration | 'forever'
  /** The least important log line that is written. Default `'info'`. */
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'silent'
}
