// An outbox on a fresh file, the words of a turn with everything that a test does not care about filled in,
// and a second handle that looks at the file as a host does.
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import {
  type Claim,
  type CommitBatch,
  EMPTY_BATCH,
  type History,
  type RunResult,
} from '../../runtime/protocol/commit-batch.ts'
import type { Reply } from '../../runtime/protocol/outcome.ts'
import { RUNNING } from '../../runtime/protocol/schema.ts'
import { Outbox } from '../../runtime/store/sqlite/outbox.ts'
import type { Recovery } from '../../runtime/store/store.ts'
import { type Db, openDb, tempDir } from './files.ts'

export const NOW = Date.UTC(2026, 10, 24, 6, 2, 20, 123)

export interface OpenOutbox {
  readonly path: string
  readonly outbox: Outbox
  readonly recovery: Recovery
  /** The host's view. */
  readonly db: Db
}

/** Opens (and makes) an outbox and takes it over, as a start does. */
export function openOutbox(path = join(tempDir(), 'outbound.db'), nowMs = NOW, crashLimit = 3): OpenOutbox {
  const outbox = new Outbox(path, 'delete')
  onTestFinished(() => outbox.close())
  const recovery = outbox.recover(nowMs, crashLimit)
  return { path, outbox, recovery, db: openDb(path) }
}

/** An outbox in which these messages have been claimed. */
export function claimed(...ids: readonly string[]): OpenOutbox {
  const open = openOutbox()
  open.outbox.commit(turn({ claims: ids.map((id) => claim(id)) }))
  return open
}

export function turn(parts: Partial<CommitBatch>): CommitBatch {
  return { ...EMPTY_BATCH, nowMs: NOW, ...parts }
}

/** What is on record about a message after one attempt that did not end it. */
export const RAN_ONCE: History = {
  done: false,
  runs: 1,
  attempts: 1,
  turnedAwaySinceMs: null,
  crashes: 0,
  interrupted: false,
  nextAtMs: null,
  waitMs: null,
  wakeAtMs: null,
  woken: false,
  begunBy: null,
}

export function claim(id: string, parts: Partial<Claim> = {}): Claim {
  return { id, run: 1, attempt: 1, functionName: 'f', worker: 4711, alone: false, ...parts }
}

export function ending(id: string, next: RunResult['next'], parts: Partial<RunResult> = {}): RunResult {
  const outcome = next.type === 'completed' ? 'replied' : next.type === 'released' ? 'cancelled' : 'threw'
  return { id, run: 1, next, outcome, reason: null, error: null, durationMs: 1.5, ...parts }
}

export function completed(id: string, ...replies: readonly Reply[]): RunResult {
  return ending(id, { type: 'completed', replies })
}

export function reply(content: unknown = { text: 'hello' }, parts: Partial<Reply> = {}): Reply {
  const address = { platformId: null, channelType: null, threadId: null }
  return { kind: 'chat', ...address, deliverAfterMs: null, content: JSON.stringify(content), ...parts }
}

/** Every row of the tables that tell what became of messages: to show that nothing of a turn was written. */
export function everything(db: Db): unknown {
  const tables = [
    'messages_out',
    'processing_ack',
    'nanoclaw_run',
    'nanoclaw_batch',
    'nanoclaw_unfinished',
    'nanoclaw_runtime',
  ]
  return tables.map((table) => [table, db.prepare(`select * from ${table}`).all()])
}

export function acks(db: Db): Record<string, string> {
  const rows = db.prepare('select message_id, status from processing_ack order by message_id').raw().all()
  return Object.fromEntries(rows as [string, string][])
}

export function runs(db: Db, id: string): Record<string, unknown>[] {
  const sql = 'select * from nanoclaw_run where message_id = ? order by run'
  return db.prepare(sql).all(id) as Record<string, unknown>[]
}

/** Runs without an end. */
export function running(db: Db, id: string): Record<string, unknown>[] {
  return db.prepare(`select * from (${RUNNING}) where message_id = ?`).all(id) as Record<string, unknown>[]
}

/** The numbers of the replies, in the order in which they were written. */
export function seqs({ db }: OpenOutbox): number[] {
  return db.prepare('select seq from messages_out order by rowid').pluck().all() as number[]
}
