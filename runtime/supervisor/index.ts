// What a host imports that starts runtimes: `nanoclaw-functions/supervisor`. Re-exports only.
export type {
  Command,
  ContainerCommand,
  Engine,
  Launch,
  LocalCommand,
  Mount,
  StartSpec,
} from './containers.ts'
export type { Limits } from './liveness.ts'
export { type OneCliAgent, type OneCliOptions, oneCli } from './onecli.ts'
export type { Prepare, Prepared } from './prepare.ts'
export type { FolderState, SupervisorEvent } from './state.ts'
export { type SuperviseOptions, type Supervisor, supervise } from './supervise.ts'
