// The status file beside the lock, for people: shown by `status`, and in the error of a second runtime. Its
// modification time is the runtime's sign of life, updated each second while its event loop runs. No decision
// depends on its content, and a stale file is harmless.
import { dirname, join } from 'node:path'
import type { Rule } from './function.ts'

export interface RuntimeStatus {
  readonly pid: number
  readonly host: string
  /** The path of its folder, as the runtime has it. */
  readonly workspace: string
  readonly startedAt: string
  readonly epoch: number
  /** `broken`: its fault. `stillServed`: its last good version stays in use. */
  readonly functions: readonly {
    readonly name: string
    readonly file: string
    readonly broken?: string
    readonly stillServed?: boolean
    /** Its rule, while it is in use. */
    readonly rule?: Rule
  }[]
  /** Messages that no function takes, by kind. */
  readonly unroutable: Readonly<Record<string, number>>
  /** Omitted when empty. */
  readonly crowded?: readonly Crowded[]
  /**
   * `waiting`: inbound.db cannot be read. `holding`: outbound.db is not writable. `waitingFor` has the
   * reason.
   */
  readonly state: 'running' | 'waiting' | 'holding' | 'draining'
  readonly waitingFor?: string
}

/** More of its messages wait in the file than fit in memory. */
export interface Crowded {
  readonly name: string
  /** Its messages in memory. */
  readonly ready: number
  /** How many of these wait for a retry. */
  readonly retrying: number
}

/** Beside the lock, which is beside outbound.db. */
export function statusPath(lockPath: string): string {
  return join(dirname(lockPath), '.runtime.json')
}
