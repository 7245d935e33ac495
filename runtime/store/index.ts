// One session folder for a loop of one's own, without handlers and worker processes: package export
// "nanoclaw-functions/store", described in docs/store.md. Re-exports only.
export { NanoclawError } from '../protocol/errors.ts'
export { openSession, type Session, type SessionOptions } from './session.ts'
export type { NewReply } from './session-arguments.ts'
export type { InboundRow } from './sqlite/inbox.ts'
