// What a runtime says about itself in a small file beside its lock, for people: `status`, and the error that a second
// runtime gets. Written by runtime.ts, read by store/inspect. Nothing decides by it, and a stale one does no harm.
import { dirname, join } from 'node:path'
import type { Rule } from './function.ts'

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
    /** Which messages it takes, while it is in use. */
    readonly rule?: Rule
  }[]
  /** Messages that no function takes, by kind. */
  readonly unroutable: Readonly<Record<string, number>>
  /** `waiting`: inbound.db cannot be read. `holding`: outbound.db takes no writes. `waitingFor` says why. */
  readonly state: 'running' | 'waiting' | 'holding' | 'draining'
  readonly waitingFor?: string
}

export function notePath(lockPath: string): string {
  return join(dirname(lockPath), '.runtime.json')
}
