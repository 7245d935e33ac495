// What a host imports: `nanoclaw-functions/host`. Re-exports only.
export { NanoclawError } from '../protocol/errors.ts'
export type { Enqueued } from '../store/host-inbox.ts'
export { type Host, type HostOptions, openHost } from './host.ts'
export type { NewMessage } from './message.ts'
export type { HostReply, RepliesOptions } from './replies.ts'
export type { MessageState, MessageStatus } from './status.ts'
export type { SyncReport } from './sync.ts'
