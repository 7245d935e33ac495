// The two files for people who build their own loop on them: package export "nanoclaw-functions/store". Re-exports only.
//
//   const inbox = new Inbox('inbound.db')                      reads, never writes
//   const outbox = new Outbox('outbound.db', 'delete')         the one writer
//   outbox.recover(Date.now(), 5)                              once, before anything else
//   const { rows, cursor } = inbox.getPendingMessages(START, 100, false)
//   for (const id of outbox.markProcessing(ids, Date.now()))   claims those that nobody has
//     outbox.markCompleted(id, replies, Date.now(), inbox.maxSeq())

export type {
  Checkpoint,
  Claim,
  CommitBatch,
  CommitResult,
  History,
  Rejection,
  RunResult,
} from '../protocol/commit-batch.ts'
export type { Cursor } from '../protocol/cursor.ts'
export { NanoclawError } from '../protocol/errors.ts'
export type { Reply } from '../protocol/outcome.ts'
export { replyId } from '../protocol/reply-id.ts'
export { isoTime, parseTime, sqliteTime } from '../protocol/time.ts'
export { classifyRead, classifyWrite, explain, type Verdict } from './sqlite/classify.ts'
export { type InboundRow, Inbox, type PendingMessage, type PendingPage, START } from './sqlite/inbox.ts'
export { Lock } from './sqlite/lock.ts'
export { Outbox } from './sqlite/outbox.ts'
export type { EndedMessage, Recovery, RetentionQueries, Store } from './store.ts'
