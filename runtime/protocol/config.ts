// The resolved settings of a runtime: every value present, every duration in milliseconds. config/options.ts
// has their origin and legal values.
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
  /** The project: the folder of nanoclaw.config.ts and functions/. Absolute, like every path here. */
  readonly root: string
  readonly functions: string
  readonly cache: string
  readonly concurrency: number
  readonly timeoutMs: number
  readonly retry: RetryPolicy
  /** Process deaths after which a message fails. */
  readonly crashLimit: number
  readonly pollMs: number
  readonly watch: boolean
  readonly heartbeatMs: number
  readonly abortGraceMs: number
  readonly killGraceMs: number
  readonly drainMs: number
  readonly loadTimeoutMs: number
  readonly warmMax: number
  /** Whether one prewarmed process is kept. */
  readonly spare: boolean
  readonly maxMemoryMb: number
  readonly maxReplyBytes: number
  readonly maxContentBytes: number
  readonly maxLogBytes: number
  readonly maxMessagesPerWorker: number
  /** Infinity: nothing is deleted. */
  readonly retentionMs: number
  /** Names of environment variables that functions see in addition to the basic ones. */
  readonly env: readonly string[]
  readonly nodeArgs: readonly string[]
  readonly external: readonly string[]
  readonly journal: 'delete' | 'wal'
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
}
