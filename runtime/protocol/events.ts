// What the runtime says while it works. The core emits these and never logs; observe/ and cli/ listen.
// Several messages often share one event: one commit, one list.
// Behind what an event says, each listener gets the workspace that it is about, by the path of its folder; none where it is
// about the process, its functions or its workers.
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
  /** `done`: completed. `failed`: given up, with a reason. `retry`: runs again at nextAtMs. `released`: nothing charged. `lost`: no longer ours. */
  readonly verdict: 'done' | 'failed' | 'retry' | 'released' | 'lost'
  readonly reason: string | null
  readonly nextAtMs: number | null
}

export interface RuntimeEvents {
  /** `quarantined`: messages that this start has ended as failed, since each of their runs took the runtime with it. */
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
   * The stop is in order, but outbound.db took no writes until its time was up: so many claims stay, `results` of them of
   * handlers that have ended. The next start runs these messages again, and counts no death.
   */
  unwritten: [{ readonly claims: number; readonly results: number }]
  /** What the runtime cannot work without: emitted once when it goes missing, once when it is back. */
  waiting: [{ readonly path: string; readonly reason: string }]
  readable: [{ readonly path: string }]
  /** It is in WAL mode, so SQLite puts files beside it that nobody asked for; once for each file. */
  'inbound-wal': [{ readonly path: string }]
  /** It was unreadable for moments only, so often that a mount without locks is the likely cause; once. */
  'read-unstable': [{ readonly path: string; readonly times: number; readonly reason: string }]
  claimed: [{ readonly ids: readonly string[]; readonly functionName: string }]
  'runs-ended': [readonly EndedRun[]]
  /** Messages that fail without a run: a time that cannot be read, an id that is no text. */
  rejected: [{ readonly id: string; readonly reason: string; readonly detail: string }]
  /** Context (`trigger` 0) that no function asks for: it ended as completed without a run. */
  context: [{ readonly id: string }]
  unroutable: [{ readonly id: string; readonly kind: string }]
  /** outbound.db takes no writes, or somebody keeps it locked; claims stop, results are held. Once, until it is healed. */
  'commit-failed': [
    { readonly code: string; readonly message: string; readonly results: number; readonly retryMs: number },
  ]
  'commit-recovered': [{ readonly results: number }]
  'worker-started': [{ readonly functionName: string; readonly pid: number; readonly ms: number }]
  /** `unexpected`: nobody has asked it to go, and no message is charged with its end; `why` has the error, if there is one. */
  'worker-ended': [
    {
      readonly functionName: string
      readonly pid: number
      readonly why: string
      readonly unexpected: boolean
    },
  ]
  /**
   * A function cannot be used. Told once for each fault of a source, and with each try of one whose processes do not come up.
   * `retryMs` null: until its source changes. `stillServed`: its last good version goes on answering; otherwise its messages wait.
   */
  'function-broken': [
    {
      readonly functionName: string
      readonly message: string
      readonly retryMs: number | null
      readonly stillServed: boolean
    },
  ]
  /** A function asks for more messages at the same time than the setting `concurrency` gives to all functions together. */
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
  /** A runtime of several workspaces goes on without this one. `exitCode`: what a runtime of this one alone would end with. */
  'workspace-failed': [
    {
      readonly workspace: string
      readonly code: ErrorCode | 'bug'
      readonly message: string
      readonly exitCode: number
    },
  ]
  /** A runtime of several workspaces does not serve this one any more: its folder is gone, or its removal was asked for. */
  'workspace-removed': [{ readonly workspace: string }]
  /** The runtime cannot go on; it stops, and the process ends with this exit code. */
  fatal: [{ readonly error: Error; readonly exitCode: number }]
}

type Labelled = { [Name in keyof RuntimeEvents]: [...about: RuntimeEvents[Name], workspace?: string] }

export type Events = EventEmitter<Labelled>

export function createEvents(): Events {
  return new EventEmitter<Labelled>()
}

/** What the parts of one workspace emit goes to their own listeners, and with the workspace's name to those of the process. */
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
