// What a supervisor says about each of its folders, for people and for programs.

export type FolderState =
  | { readonly state: 'idle' }
  /** Work is due, and as many instances run as may. */
  | { readonly state: 'waiting' }
  | { readonly state: 'starting'; readonly pid?: number }
  /** It has given a sign of life: a heartbeat or a claim. */
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
  /** A folder's files cannot be read; said once for each outage. */
  | { readonly type: 'trouble'; readonly folder: string; readonly error: string }
