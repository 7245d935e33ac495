// The settings of a runtime, resolved: every value present, every length in milliseconds. Where they come from and what
// is legal stands in config/options.ts.
import type { RetryPolicy } from './function.ts'

export interface Paths {
  readonly inbound: string
  readonly outbound: string
  readonly heartbeat: string
  readonly inbox: string
  readonly outbox: string
  /** Locked by the one runtime that serves this folder. */
  readonly lock: string
}

/** One session folder. */
export interface WorkspacePlace {
  readonly workspace: string
  readonly paths: Paths
}

export interface Config extends WorkspacePlace {
  /** The project: where nanoclaw.config.ts and functions/ are. Absolute, like every path here. */
  readonly root: string
  readonly functions: string
  readonly cache: string
  readonly concurrency: number
  readonly timeoutMs: number
  readonly retry: RetryPolicy
  /** Runs of one message that may end in the death of their process before it is given up. */
  readonly crashLimit: number
  readonly pollMs: number
  readonly watch: boolean
  readonly heartbeatMs: number
  readonly abortGraceMs: number
  readonly killGraceMs: number
  readonly drainMs: number
  readonly loadTimeoutMs: number
  readonly warmMax: number
  /** One process is kept started that belongs to no function yet. */
  readonly prewarm: boolean
  readonly maxMemoryMb: number
  readonly maxReplyBytes: number
  readonly maxContentBytes: number
  readonly maxLogBytes: number
  readonly maxMessagesPerWorker: number
  /** Infinity: nothing is forgotten. */
  readonly retentionMs: number
  /** Names of environment variables that functions see beside the basic ones. */
  readonly env: readonly string[]
  readonly nodeArgs: readonly string[]
  readonly external: readonly string[]
  readonly journal: 'delete' | 'wal'
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
}
