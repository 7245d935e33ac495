// What a host imports: `nanoclaw-functions/host`. Re-exports only.
export { NanoclawError, NonRetryableError, RetryAfterError } from '../protocol/errors.ts'
export type {
  Command,
  ContainerCommand,
  Engine,
  Launch,
  LocalCommand,
  Mount,
  Run,
} from '../supervisor/containers.ts'
export type { Limits } from '../supervisor/judge.ts'
export { type OneCliAgent, type OneCliOptions, oneCli } from '../supervisor/onecli.ts'
export type { Prepare, Prepared } from '../supervisor/prepare.ts'
export type { FolderState, SupervisorEvent } from '../supervisor/state.ts'
export { type SuperviseOptions, type Supervisor, supervise } from '../supervisor/supervise.ts'
export type { Action, ActionContext, TaskHost } from './actions.ts'
export type { Adapter, DeliverOptions, SendContext } from './adapter.ts'
export type { Addresses, Destination } from './addresses.ts'
export type { AnswerOptions } from './answer.ts'
export type { Attachment, StoredAttachment } from './attachments.ts'
export type { Delivery } from './deliver.ts'
export type { Host } from './host.ts'
export type { NewMessage } from './message.ts'
export { type HostOptions, openHost } from './open.ts'
export type { Outgoing, OutgoingFile } from './outgoing.ts'
export type { PruneOptions, PruneReport, StuckMessage } from './prune.ts'
export type { Recurrence } from './recurrence.ts'
export type { HostReply, RepliesOptions } from './replies.ts'
export type { DeadLetter } from './sqlite/delivery.ts'
export type { Enqueued } from './sqlite/inbox.ts'
export type { MessageState, MessageStatus } from './status.ts'
export { type Sweep, type SweepEvent, type SweepOptions, sweep } from './sweep.ts'
export type { StoppedSeries, SyncReport } from './sync.ts'
export type { Task, Tasks, TaskUpdate } from './tasks.ts'
export type { DeliveryEvent } from './tried.ts'
