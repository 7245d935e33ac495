// One message as both files have it, for `show`: its row, its ack, its runs, its replies. Read-only; works
// with any of the tables missing, and gives the reason when a file cannot be read.

import type { ErrorInfo } from '../../protocol/errors.ts'
import type { Paths } from '../../protocol/files.ts'
import { RUNNING } from '../../protocol/schema.ts'
import { FileProbe, type FileState } from './file-probe.ts'
import { columnsOf, type ReadonlyDb } from './open.ts'

/** What a run left behind when it did not succeed; `stderr`: the last words of its process. */
export interface RunError extends ErrorInfo {
  readonly stderr?: string
}

export interface Run {
  readonly run: number
  readonly attempt: number
  readonly functionName: string
  readonly worker: number | null
  readonly startedAtMs: number
  readonly endedAtMs: number | null
  readonly durationMs: number | null
  readonly outcome: string | null
  readonly reason: string | null
  readonly error: RunError | null
  readonly nextAtMs: number | null
}

export interface StoredReply {
  readonly id: string
  readonly seq: number | null
  readonly timestamp: string
  readonly deliverAfter: string | null
  readonly kind: string
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
  readonly content: string
}

export interface Ack {
  readonly status: string
  readonly changedAt: string
}

export type Row = Readonly<Record<string, string | number | null>>

/** A step that has ended, or a wait. */
export interface StepOnRecord {
  readonly name: string
  readonly kind: 'step' | 'sleep' | 'ask'
  /** `open`: a wait that goes on. `closed`: its message ended before. `timeout`: of a question. */
  readonly state: 'done' | 'failed' | 'open' | 'timeout' | 'closed'
  /** The run in which it ended; of a wait that in which it began. */
  readonly run: number
  readonly atMs: number
  /** null: of a wait. */
  readonly durationMs: number | null
  /** JSON text: its result (null: undefined), the answer, or of a failed one its error. */
  readonly value: string | null
  readonly questionId: string | null
  /** When a wait ends by itself. */
  readonly wakeAtMs: number | null
  /** The message that answered. */
  readonly byMessage: string | null
}

export interface MessageReport {
  readonly id: string
  readonly inbound: FileState
  readonly outbound: FileState
  /** The row, by the file's own column names; null: no such message, or inbound.db is not readable. */
  readonly message: Row | null
  readonly ack: Ack | null
  readonly runs: readonly Run[]
  readonly steps: readonly StepOnRecord[]
  readonly replies: readonly StoredReply[]
}

export function readMessage(paths: Paths, id: string): MessageReport {
  const [inbound, outbound] = [new FileProbe(paths.inbound), new FileProbe(paths.outbound)]
  try {
    const message = inbound.read((db) => rowOf(db, id))
    const ack = outbound.read((db) => ackOf(db, id))
    const runs = outbound.read((db) => runsOf(db, id)) ?? []
    const steps = outbound.read((db) => stepsOf(db, id)) ?? []
    const replies = outbound.read((db) => repliesTo(db, id)) ?? []
    return { id, inbound: inbound.state, outbound: outbound.state, message, ack, runs, steps, replies }
  } finally {
    inbound.close()
    outbound.close()
  }
}

/**
 * Only how far it has come; cheap enough to be asked again and again. Null also while outbound.db is not
 * readable.
 */
export function readAck(paths: Paths, id: string): Ack | null {
  const outbound = new FileProbe(paths.outbound)
  try {
    return outbound.read((db) => ackOf(db, id))
  } finally {
    outbound.close()
  }
}

function rowOf(db: ReadonlyDb, id: string): Row | null {
  const columns = [...columnsOf(db, 'messages_in')].map((name) => [name, `"${name.replaceAll('"', '""')}"`])
  if (columns.length === 0) return null
  return select<Row>(db, Object.fromEntries(columns), 'from messages_in where id = ?', id)[0] ?? null
}

function ackOf(db: ReadonlyDb, id: string): Ack | null {
  if (columnsOf(db, 'processing_ack').size === 0) return null
  return select<Ack>(db, ACK_COLUMNS, 'from processing_ack where message_id = ?', id)[0] ?? null
}

function runsOf(db: ReadonlyDb, id: string): Run[] {
  if (columnsOf(db, 'nanoclaw_run').size === 0) return []
  const ended = select<StoredRun>(db, RUN_COLUMNS, 'from nanoclaw_run where message_id = ? order by run', id)
  const batches = columnsOf(db, 'nanoclaw_batch').size > 0
  const running = batches
    ? select<StoredRun>(db, RUNNING_COLUMNS, `from (${RUNNING}) where message_id = ?`, id)
    : []
  return [...ended, ...running].map((row) => ({ ...row, error: runError(row.error) }))
}

type StoredRun = Omit<Run, 'error'> & { readonly error: string | null }

/** An error is kept as JSON; the detail of a message that never ran is plain text. */
export function runError(text: string | null): RunError | null {
  if (text === null) return null
  try {
    const error: unknown = JSON.parse(text)
    if (typeof error === 'object' && error !== null && 'message' in error) return error as RunError
  } catch {
    // Plain text.
  }
  return { name: 'Error', message: text }
}

function stepsOf(db: ReadonlyDb, id: string): StepOnRecord[] {
  if (columnsOf(db, 'nanoclaw_step').size === 0) return []
  return select<StepOnRecord>(
    db,
    STEP_COLUMNS,
    "from nanoclaw_step where message_id = ? and kind <> 'origin' order by at, name",
    id,
  )
}

function repliesTo(db: ReadonlyDb, id: string): StoredReply[] {
  if (columnsOf(db, 'messages_out').size === 0) return []
  return select<StoredReply>(db, REPLY_COLUMNS, 'from messages_out where in_reply_to = ? order by rowid', id)
}

const ACK_COLUMNS = { status: 'status', changedAt: 'status_changed' }
const RUN_COLUMNS = {
  run: 'run',
  attempt: 'attempt',
  functionName: 'function',
  worker: 'worker',
  startedAtMs: 'started_at',
  endedAtMs: 'ended_at',
  durationMs: 'duration_ms',
  outcome: 'outcome',
  reason: 'reason',
  error: 'error',
  nextAtMs: 'next_at',
}
const RUNNING_COLUMNS = {
  ...RUN_COLUMNS,
  endedAtMs: 'null',
  durationMs: 'null',
  outcome: 'null',
  reason: 'null',
  error: 'null',
  nextAtMs: 'null',
}
const STEP_COLUMNS = {
  name: 'name',
  kind: 'kind',
  state: 'state',
  run: 'run',
  atMs: 'at',
  durationMs: 'duration_ms',
  value: 'value',
  questionId: 'question_id',
  wakeAtMs: 'wake_at',
  byMessage: 'by_message',
}
const REPLY_COLUMNS = {
  id: 'id',
  seq: 'seq',
  timestamp: 'timestamp',
  deliverAfter: 'deliver_after',
  kind: 'kind',
  platformId: 'platform_id',
  channelType: 'channel_type',
  threadId: 'thread_id',
  content: 'content',
}

/** Rows as objects: each field of T from the column named beside it. */
function select<T>(
  db: ReadonlyDb,
  columns: Readonly<Record<keyof T, string>>,
  rest: string,
  value: string,
): T[] {
  const names = Object.keys(columns) as (keyof T)[]
  const rows = db
    .prepare(`select ${names.map((name) => columns[name]).join(', ')} ${rest}`)
    .all(value) as unknown[][]
  return rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index] ?? null])) as T)
}
