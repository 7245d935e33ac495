// What a runtime says about itself in a small file beside its lock, for people: `status`, and the error that a second
// runtime gets. Written by runtime.ts, read by store/inspect. Its modification time is the runtime's sign of life, each second
// as long as its event loop turns; what it says decides nothing, and a stale one does no harm.
import { dirname, join } from 'node:path'

export interface Note {
  readonly pid: number
  readonly host: string
  readonly startedAt: string
  readonly epoch: number
  /** `broken`: what is wrong with it. `stillServed`: its last good version goes on answering. */
  readonly functions: readonly {
    readonly name: string
    readonly file: string
    readonly broken?: string
    readonly stillServed?: boolean
  }[]
  /** Messages that no function takes, by kind. */
  readonly unroutable: Readonly<Record<string, number>>
  /** `waiting`: inbound.db cannot be read. `holding`: outbound.db takes no writes. `waitingFor` says why. */
  readonly state: 'running' | 'waiting' | 'holding' | 'draining'
  readonly waitingFor?: string
}

/** Beside the lock, which lies beside outbound.db. */
export function notePath(lockPath: string): string {
  return join(dirname(lockPath), '.runtime.json')
}
