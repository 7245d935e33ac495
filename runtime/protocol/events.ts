// The events of a runtime. The core emits them and never logs; observe/ and cli/ listen. Several messages
// often share one event: one commit, one list. The last argument of each listener is the path of the
// workspace; undefined for events of the process, its functions or its workers.
import { EventEmitter } from 'node:events'
import type { ErrorCode } from './errors.ts'
import type { LogLevel } from './ipc.ts'
import type { Outcome } from './outcome.ts'

/** One run that a commit has just ended. */
export interface EndedRun {
  readonly id: string
  readonly functionName: string
  readonly run: number
  readonly attempt: number
  readonly outcome: Outcome
  readonly durationMs: number
  /**
   * `done`: completed. `failed`: final, with a reason. `retry`: runs again at nextAtMs. `waiting`: by its own
   * wish. `released`: runs again, uncharged. `lost`: this runtime no longer had the claim.
   */
  readonly verdict: 'done' | 'failed' | 'retry' | 'waiting' | 'released' | 'lost'
  readonly reason: string | null
  readonly nextAtMs: number | null
}

export interface RuntimeEvents {
  /**
   * `quarantined`: messages that this start has ended as failed, since the runtime died during each of their
   * runs.
   */
  started: [
    {
      readonly epoch: number
      readonly functions: readonly string[]
      readonly interrupted: number
      readonly quarantined: readonly string[]
    },
  ]
  stopping: [{ readonly running: number }]
  stopped: []
  /**
   * A graceful stop that could not write outbound.db within its time: `claims` claims stay, `results` of them
   * of handlers that have ended. The next start runs these messages again and counts no death.
   */
  unwritten: [{ readonly claims: number; readonly results: number }]
  /**
   * A file that the runtime needs: emitted once when it becomes unreadable, once when it is readable again.
   */
  waiting: [{ readonly path: string; readonly reason: string }]
  readable: [{ readonly path: string }]
  /** inbound.db is in WAL mode, so SQLite creates files beside it; once per file. */
  'inbound-wal': [{ readonly path: string }]
  /**
   * inbound.db was unreadable for short moments, so often that a mount without locks is the likely cause;
   * once.
   */
  'read-unstable': [{ readonly path: string; readonly times: number; readonly reason: string }]
  claimed: [{ readonly ids: readonly string[]; readonly functionName: string }]
  'runs-ended': [readonly EndedRun[]]
  /** A message that fails without a run: invalid time, id that is not text. */
  rejected: [{ readonly id: string; readonly reason: string; readonly detail: string }]
  /** Context (`trigger` 0) that no function takes: it ended as completed without a run. */
  context: [{ readonly id: string }]
  unroutable: [{ readonly id: string; readonly kind: string }]
  /**
   * outbound.db is not writable, or another process keeps it locked; the runtime makes no claims and keeps
   * results in memory. Once per outage.
   */
  'commit-failed': [
    { readonly code: string; readonly message: string; readonly results: number; readonly retryMs: number },
  ]
  'commit-recovered': [{ readonly results: number }]
  'worker-started': [{ readonly functionName: string; readonly pid: number; readonly ms: number }]
  /**
   * `unexpected`: the pool did not stop it, and no message is charged with its end; `why` has the error, if
   * any.
   */
  'worker-ended': [
    {
      readonly functionName: string
      readonly pid: number
      readonly why: string
      readonly unexpected: boolean
    },
  ]
  /**
   * A function cannot be used. Emitted once per fault of a source, and with each attempt to start processes
   * that fail. `retryMs` null: until its source changes. `stillServed`: its last good version stays in use;
   * otherwise its messages wait.
   */
  'function-broken': [
    {
      readonly functionName: string
      readonly message: string
      readonly retryMs: number | null
      readonly stillServed: boolean
    },
  ]
  /** A function's `concurrency` is above the setting `concurrency` of all functions together. */
  'function-capped': [
    { readonly functionName: string; readonly concurrency: number; readonly setting: number },
  ]
  'functions-changed': [{ readonly changed: readonly string[]; readonly functions: readonly string[] }]
  output: [
    {
      readonly functionName: string
      readonly messageId: string | null
      readonly stream: 'stdout' | 'stderr'
      readonly line: string
    },
  ]
  log: [
    {
      readonly functionName: string
      readonly messageId: string | null
      readonly level: LogLevel
      readonly text: string
      readonly fields: unknown
    },
  ]
  'watch-degraded': [{ readonly reason: string }]
  /**
   * A workspace failed in a runtime of several; the others are still served. `exitCode`: the exit code of a
   * runtime of this workspace alone.
   */
  'workspace-failed': [
    {
      readonly workspace: string
      readonly code: ErrorCode | 'bug'
      readonly message: string
      readonly exitCode: number
    },
  ]
  /**
   * A runtime of several workspaces no longer serves this one: its folder was removed, or `remove` was
   * called.
   */
  'workspace-removed': [{ readonly workspace: string }]
  /** A fatal error: the runtime stops, and the process ends with this exit code. */
  fatal: [{ readonly error: Error; readonly exitCode: number }]
}

type Labelled = { [Name in keyof RuntimeEvents]: [...about: RuntimeEvents[Name], workspace?: string] }

export type Events = EventEmitter<Labelled>

export function createEvents(): Events {
  return new EventEmitter<Labelled>()
}

/** Events of one workspace: emitted to its own listeners, and with its path to those of the process. */
export function labelled(events: Events, workspace: string): Events {
  return new WorkspaceEvents(events, workspace)
}

class WorkspaceEvents extends EventEmitter<Labelled> {
  readonly #events: EventEmitter
  readonly #workspace: string

  constructor(events: EventEmitter, workspace: string) {
    super()
    this.#events = events
    this.#workspace = workspace
  }

  override emit<Name>(name: Name | keyof RuntimeEvents, ...about: About<Name>): boolean {
    super.emit(name, ...about)
    return this.#events.emit(name as keyof RuntimeEvents, about[0], this.#workspace)
  }

  override listenerCount<Name>(name: Name | keyof RuntimeEvents): number {
    return super.listenerCount(name) + this.#events.listenerCount(name as keyof RuntimeEvents)
  }
}

type About<Name> = Name extends keyof RuntimeEvents ? Labelled[Name] : never
