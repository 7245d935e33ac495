// The SQL of the outbox, each statement prepared at its first use. A statement that decides about messages
// takes all of them at once, as JSON, and returns those for which it held.
import type { Statement } from 'better-sqlite3'
import { HAS_ENDED } from '../../protocol/ack.ts'
import { LONG_TOOL, RUNNING } from '../../protocol/schema.ts'
import type { WritableDb } from './open.ts'

/** Ends that the handler is not charged for. */
const UNCHARGED = `('interrupted', 'cancelled', 'suspended')`
/**
 * The death of a process counts against a message only where it is certain whose it was: an outcome of the
 * first kind is given in no other case, and a run that the runtime did not live to end was alone in its
 * process.
 */
const DEATH = `(r.outcome in ('exited', 'killed', 'out-of-memory') or (r.outcome = 'interrupted' and r.alone = 1))`

/** A row of RUNNING, and how many runs of the message have ended with the death of their process. */
export interface Left {
  readonly message_id: string
  readonly run: number
  readonly attempt: number
  readonly function: string
  readonly worker: number
  readonly alone: number
  readonly started_at: number
  readonly crashes: number
}

export type Statements = Readonly<Record<keyof typeof TEXTS, Statement>>

/** Made of texts once; carries its names as a type. */
export type StatementTexts<Name extends string> = { readonly [K in Name]?: never }

/** Each is made when it is used first: a folder in which nothing happens needs six of them. */
export function prepareOutbox(db: WritableDb): Statements {
  return prepared(db, PREPARED)
}

const DB = Symbol('db')

/** Statements by name, for `prepared`; `plucked` give values, the others rows. */
export function statements<Name extends string>(
  texts: Readonly<Record<Name, string>>,
  plucked: readonly NoInfer<Name>[],
): StatementTexts<Name> {
  const properties = Object.entries<string>(texts).map(([name, sql]) => [
    name,
    {
      get(this: { readonly [DB]: WritableDb }) {
        const statement = this[DB].prepare(sql)
        const value = plucked.includes(name as Name) ? statement.pluck() : statement
        Object.defineProperty(this, name, { value })
        return value
      },
    },
  ])
  return Object.defineProperties({}, Object.fromEntries(properties))
}

/** On this file, each made when it is used first. */
export function prepared<Name extends string>(
  db: WritableDb,
  made: StatementTexts<Name>,
): Readonly<Record<Name, Statement>> {
  return Object.create(made, { [DB]: { value: db } })
}

const TEXTS = {
  epoch: 'select epoch from nanoclaw_runtime where id = 1',
  scope: 'select scope from nanoclaw_runtime where id = 1',
  raiseEpoch: 'update nanoclaw_runtime set epoch = epoch + 1 where id = 1 returning epoch',
  checkpoint: 'select checkpoint_seq as seq, checkpoint_id as id from nanoclaw_runtime where id = 1',
  setCheckpoint: 'update nanoclaw_runtime set checkpoint_seq = ?, checkpoint_id = ? where id = 1',
  listed: 'select message_id from nanoclaw_unfinished',
  clearListed: 'delete from nanoclaw_unfinished',
  addListed: 'insert into nanoclaw_unfinished (message_id) select value from json_each(?)',
  maxSeq: `select max(seq) from messages_out where seq <= ${Number.MAX_SAFE_INTEGER}`,

  /**
   * An object: id → run. Refused, so not returned: a message with an ack, or with a run on record that the
   * claim does not know of.
   */
  claim: `insert into processing_ack (message_id, status, status_changed)
    select c.key, 'processing', ? from json_each(?) c
    where not exists (select 1 from nanoclaw_run r where r.message_id = c.key and r.run >= c.value)
    on conflict (message_id) do nothing returning message_id`,
  /** The + keeps SQLite from reading every message that waits. */
  stopWaiting: `update nanoclaw_run set next_at = null
    where message_id in (select value from json_each(?)) and +next_at is not null`,
  listAgain: 'insert or ignore into nanoclaw_unfinished (message_id) select value from json_each(?)',
  waiting: `select next_at as nextAtMs, message_id as id from nanoclaw_run
    where next_at is not null and (next_at, message_id) > (?, ?) order by next_at, message_id limit ?`,
  beginBatch: `insert into nanoclaw_batch (batch, function, worker, alone, started_at, runs) values (?, ?, ?, ?, ?, ?)`,
  hasBatch: 'select 1 from nanoclaw_batch where batch = ?',
  isRunning: `select 1 from (${RUNNING}) where message_id = ? and run = ?`,
  endBatch: 'delete from nanoclaw_batch where batch = ?',
  /** Takes messages out of a batch that goes on without them. */
  strike: `update nanoclaw_batch set runs = (
      select json_group_array(json(value)) from json_each(runs)
      where json_extract(value, '$[0]') not in (select value from json_each(?)))
    where batch = ?`,
  stops: `select count(*) from nanoclaw_run where message_id = ? and outcome = 'cancelled' and reason = 'shutdown'`,
  /** These two return the messages whose claim was there; the others are lost. */
  finish: `update processing_ack set status = ?, status_changed = ?
    where status = 'processing' and message_id in (select value from json_each(?)) returning message_id`,
  release: `delete from processing_ack
    where status = 'processing' and message_id in (select value from json_each(?)) returning message_id`,
  endRun: `insert into nanoclaw_run (message_id, run, attempt, epoch, function, worker, alone, started_at, ended_at,
      duration_ms, outcome, reason, error, next_at)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  /** An object: id → duration. */
  endRuns: `insert into nanoclaw_run (message_id, run, attempt, epoch, function, worker, alone, started_at, ended_at,
      duration_ms, outcome, reason, error, next_at)
    select key, :run, :attempt, :epoch, :functionName, :worker, :alone, :startedAtMs, :nowMs, value, :outcome, :reason, :error,
      :nextAtMs from json_each(:durations)`,
  reply: `insert into messages_out (id, seq, in_reply_to, timestamp, deliver_after, kind, platform_id, channel_type,
      thread_id, content)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do nothing`,
  /** Whether another run of the message is on record that has replied. */
  hasReplied: `select 1 from nanoclaw_run where message_id = ? and run <> ? and outcome in ('replied', 'suspended')`,
  hasAck: 'select 1 from processing_ack where message_id = ?',

  reject: `insert into processing_ack (message_id, status, status_changed) values (?, ?, ?)
    on conflict (message_id) do nothing`,
  rejectRaw: `insert into processing_ack (message_id, status, status_changed)
    values (iif(?, cast(? as text), ?), 'failed', ?) on conflict (message_id) do nothing`,
  /** A row for what happens to a message without a process. */
  ownRun: `insert into nanoclaw_run (message_id, run, attempt, epoch, function, alone, started_at, ended_at, outcome, reason)
    select :id, coalesce(max(run), 0) + 1, 0, :epoch, '', 0, :nowMs, :nowMs, :outcome, :reason from nanoclaw_run where message_id = :id`,
  rejectedRun: `insert into nanoclaw_run (message_id, run, attempt, epoch, function, alone, started_at, ended_at, outcome,
      reason, error)
    select :id, coalesce(max(run), 0) + 1, 0, :epoch, '', 0, :nowMs, :nowMs, 'rejected', :reason, :detail
    from nanoclaw_run where message_id = :id`,

  tell: `insert or replace into container_state
      (id, current_tool, tool_declared_timeout_ms, tool_started_at, updated_at)
    values (1, iif(:limitMs is null, null, '${LONG_TOOL}'), :limitMs, iif(:limitMs is null, null, :at), :at)`,

  running: `select n.message_id, n.run, n.attempt, n.function, n.worker, n.started_at,
      n.alone and count(*) over (partition by n.worker) = 1 as alone,
      (select count(*) from nanoclaw_run r where r.message_id = n.message_id and ${DEATH}) as crashes
    from (${RUNNING}) n`,
  clearBatches: 'delete from nanoclaw_batch',
  dropClaim: `delete from processing_ack where message_id = ? and status = 'processing'`,
  dropForeignClaims: `delete from processing_ack where status = 'processing'`,
  setAck: `insert into processing_ack (message_id, status, status_changed) values (?, ?, ?)
    on conflict (message_id) do update set status = excluded.status, status_changed = excluded.status_changed`,
  history: `
    select j.value as id, coalesce(a.${HAS_ENDED}, 0) as done, coalesce(max(r.run), 0) as runs,
      count(r.outcome) - coalesce(sum(r.outcome in ${UNCHARGED} or r.reason is 'retry_after'), 0) as attempts,
      min(iif(r.reason = 'retry_after', r.ended_at, null)) as turnedAwaySinceMs,
      coalesce(sum(${DEATH}), 0) as crashes,
      coalesce(sum(r.outcome = 'interrupted'), 0) > 0 as interrupted,
      max(w.wake_at) as wakeAtMs, coalesce(max(w.ready), 0) as woken,
      (select s.function from nanoclaw_step s where s.message_id = j.value and s.function <> '' limit 1) as begunBy,
      max(r.next_at) as nextAtMs, max(r.next_at - r.ended_at) as waitMs
    from json_each(?) j
      left join processing_ack a on a.message_id = j.value
      left join nanoclaw_run r on r.message_id = j.value
      left join nanoclaw_waiting w on w.message_id = j.value
    group by j.value having a.message_id is not null or r.run is not null`,
  ackPlace: 'select rowid from processing_ack where message_id = ?',
  endedBetween: `select message_id from processing_ack a where rowid between ? and ? and a.${HAS_ENDED}`,
  /** What waits is found when its wait has ended. */
  unfinished: `select j.value from json_each(?) j
    where not exists (select 1 from processing_ack a where a.message_id = j.value and a.${HAS_ENDED})
      and not exists (
        select 1 from nanoclaw_waiting w where w.message_id = j.value and w.ready = 0 and w.wake_at > ?) limit ?`,
  unacknowledged: `select j.value from json_each(?) j
    where not exists (select 1 from processing_ack a where a.message_id = j.value)`,
  seqOf: 'select seq from messages_out where id = ?',
} as const

const PREPARED = statements(TEXTS, [
  'epoch',
  'scope',
  'raiseEpoch',
  'listed',
  'maxSeq',
  'stops',
  'claim',
  'finish',
  'release',
  'unfinished',
  'unacknowledged',
  'seqOf',
  'ackPlace',
  'endedBetween',
])
