// What a runtime says about itself in a small file beside its lock, for people: `status`, and the error that a second
// runtime gets. Written by runtime.ts, read by store/inspect. Its modification time is the runtime's sign of life, each second
// as long as its event loop turns; what it says decides nothing, and a stale one does no harm.
import { dirname, join } from 'node:path'
import type { Rule } from './function.ts'

export interface RuntimeStatus {
  readonly pid: number
  readonly host: string
  /** The path of its folder, as the runtime sees it. */
  readonly workspace: string
  readonly startedAt: string
  readonly epoch: number
  /** `broken`: what is wrong with it. `stillServed`: its last good version goes on answering. */
  readonly functions: readonly {
    readonly name: string
    readonly file: string
    readonly broken?: string
    readonly stillServed?: boolean
    /** Which messages it takes, while it is in use. */
    readonly rule?: Rule
  }[]
  /** Messages that no function takes, by kind. */
  readonly unroutable: Readonly<Record<string, number>>
  /** Left out when there are none. */
  readonly crowded?: readonly Crowded[]
  /** `waiting`: inbound.db cannot be read. `holding`: outbound.db takes no writes. `waitingFor` says why. */
  readonly state: 'running' | 'waiting' | 'holding' | 'draining'
  readonly waitingFor?: string
}

/** More of its messages wait in the file than are taken in for now. */
export interface Crowded {
  readonly name: string
  /** Those that are taken in. */
  readonly ready: number
  /** Of these, how many wait for their next attempt. */
  readonly retrying: number
}

/** Beside the lock, which lies beside outbound.db. */
export function statusPath(lockPath: string): string {
  return join(dirname(lockPath), '.runtime.json')
}
