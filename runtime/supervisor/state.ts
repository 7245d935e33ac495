// The states of a supervised folder, and the supervisor's events.

export type FolderState =
  | { readonly state: 'idle' }
  /** Work is due, and all slots are in use. */
  | { readonly state: 'waiting' }
  | { readonly state: 'starting'; readonly pid?: number }
  /** It has shown a sign of life: a heartbeat or a claim. */
  | { readonly state: 'running'; readonly pid?: number }
  | { readonly state: 'stopping'; readonly pid?: number; readonly reason: string }
  | {
      readonly state: 'backing-off'
      readonly reason: string
      readonly failures: number
      readonly untilMs: number
    }
  /** `untilMs` undefined: not before retry(), or a change of the configuration. */
  | { readonly state: 'refused'; readonly reason: string; readonly untilMs?: number }

export type SupervisorEvent =
  | ({ readonly type: 'state'; readonly folder: string } & FolderState)
  /** A folder's files cannot be read; emitted once per outage. */
  | { readonly type: 'trouble'; readonly folder: string; readonly error: string }
