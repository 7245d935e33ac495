// outbound.db, a file that this runtime alone writes. Everything that a turn decides goes to disk in ONE transaction: the
// acks and replies of runs that ended, the claims of runs that are about to begin. So a message's replies and its ack are
// there together or not at all, and nothing starts that the disk does not know of.
// In every commit the epoch is checked: a runtime that was replaced while it was stopped finds another number and writes nothing.
import type { Statement } from 'better-sqlite3'
import { NanoclawError } from '../protocol/errors.ts'
import type { Reply } from '../protocol/outcome.ts'
import { LONG_TOOL, OWN_TABLES, OWN_VERSION, STATE_TABLES, WIRE_TABLES } from '../protocol/schema.ts'
import { isoTime, sqliteTime } from '../protocol/time.ts'
import type { Claim, Committed, Ending, History, Mark, Refusal, Turn } from '../protocol/turn.ts'
import { openWritable, type WritableDb } from './open.ts'

export interface Recovery {
  readonly epoch: number
  readonly mark: Mark
  /** Runs that the runtime before this one did not live to end. */
  readonly interrupted: number
  /** Messages that ended as failed now: each of their runs took the runtime with it. */
  readonly quarantined: readonly string[]
}

/** Ends that the handler is not charged for. */
const UNCHARGED = `('interrupted', 'cancelled')`
/**
 * The death of a process counts against a message only where it is certain whose it was: an outcome of the first kind is
 * given in no other case, and a run that the runtime did not live to end was alone in its process.
 */
const DEATH = `(r.outcome in ('exited', 'killed', 'out-of-memory') or (r.outcome = 'interrupted' and r.alone = 1))`

/** Who wants to know how far an open transaction is: see crash-point.ts. */
type Reach = (point: 'in-claim' | 'in-finish-after-reply' | 'in-finish-before-commit' | 'in-recovery') => void

export class Outbox {
  readonly #db: WritableDb
  readonly #sql: Statements
  readonly #reach: Reach | undefined
  #epoch = 0
  /** The highest number of both files, while a turn is written. */
  #seq = 0

  /**
   * `file`: where it lies, or a handle that somebody has opened.
   * @throws NanoclawError `outbound_unusable`, SqliteError (see classifyWrite)
   */
  constructor(file: string | WritableDb, journal: 'delete' | 'wal', reach?: Reach) {
    this.#reach = reach
    this.#db = typeof file === 'string' ? openWritable(file, journal) : file
    try {
      this.#db.transaction(() => makeTables(this.#db, this.#db.name)).immediate()
      this.#sql = prepare(this.#db)
    } catch (error) {
      if (this.#db !== file) this.#db.close()
      throw error
    }
  }

  /**
   * Takes the file over: raises the epoch, and ends what an earlier runtime left running. Such a run is not the handler's
   * attempt; but a message that was alone in its process each time, `crashLimit` times, ends as failed.
   * May be repeated after a crash at any point.
   */
  recover(nowMs: number, crashLimit: number): Recovery {
    return this.#db
      .transaction(() => {
        const left = this.#sql.running.all() as { id: string; run: number; alone: number; crashes: number }[]
        const quarantined: string[] = []
        for (const { id, run, alone, crashes } of left) {
          const deaths = crashes + alone
          const poison = deaths >= crashLimit
          if (poison) quarantined.push(id)
          const nextAtMs = poison ? null : nowMs + restartDelayMs(deaths)
          this.#sql.endRun.run(
            nowMs,
            null,
            'interrupted',
            poison ? 'crash_limit' : 'runtime_died',
            null,
            nextAtMs,
            id,
            run,
          )
          if (poison) this.#sql.setAck.run(id, 'failed', isoTime(nowMs))
          else this.#sql.dropClaim.run(id)
        }
        // What is left belongs to a runner that is gone: it wrote claims, and no record of its runs.
        this.#sql.dropForeignClaims.run()
        this.#sql.tell.run({ limitMs: null, at: isoTime(nowMs) })
        this.#epoch = this.#sql.raiseEpoch.pluck().get() as number
        const mark = { seq: this.#sql.mark.get() as number, open: this.#sql.open.all() as string[] }
        this.#reach?.('in-recovery')
        return { epoch: this.#epoch, mark, interrupted: left.length, quarantined }
      })
      .immediate()
  }

  /**
   * Writes one turn, whole or not at all.
   * @throws NanoclawError `fenced` when another runtime has taken the file over; SqliteError, see classifyWrite: nothing was written
   */
  commit(turn: Turn): Committed {
    const refused = new Set<string>()
    const lost = new Set<string>()
    const stamps = { iso: isoTime(turn.nowMs), sqlite: sqliteTime(turn.nowMs) }
    this.#db
      .transaction(() => {
        this.#checkEpoch()
        this.#seq = Math.ceil(Math.max((this.#sql.maxSeq.get() as number | null) ?? 0, turn.inboundSeq))
        for (const ending of turn.endings) if (!this.#end(ending, turn.nowMs, stamps)) lost.add(ending.id)
        if (turn.endings.length > 0) this.#reach?.('in-finish-after-reply')
        for (const refusal of turn.refusals) this.#refuse(refusal, turn.nowMs, stamps.iso)
        for (const claim of turn.claims)
          if (!this.#claim(claim, turn.nowMs, stamps.iso)) refused.add(claim.id)
        if (turn.claims.length > 0) this.#reach?.('in-claim')
        if (turn.longestRunMs !== undefined)
          this.#sql.tell.run({ limitMs: turn.longestRunMs, at: stamps.iso })
        if (turn.mark) this.#setMark(turn.mark)
        if (turn.endings.length > 0) this.#reach?.('in-finish-before-commit')
      })
      .immediate()
    return { refused, lost }
  }

  /** What is on record about these messages; those without any record are left out. */
  history(ids: readonly string[]): Map<string, History> {
    const rows = this.#sql.history.all(JSON.stringify(ids)) as (Numbers<History> & { id: string })[]
    return new Map(
      rows.map(({ id, done, interrupted, ...counts }) => [
        id,
        { ...counts, done: done === 1, interrupted: interrupted === 1 },
      ]),
    )
  }

  /** Claims messages for one's own loop: `processing` for each that has no ack yet. Returns the ids that were claimed. */
  markProcessing(ids: readonly string[], nowMs: number): string[] {
    const names = [...new Set(ids)]
    const history = this.history(names)
    const claims = names.map((id) => {
      const { runs, attempts } = history.get(id) ?? { runs: 0, attempts: 0 }
      return { id, run: runs + 1, attempt: attempts + 1, functionName: '', worker: process.pid, alone: true }
    })
    const { refused } = this.commit({ ...EMPTY_TURN, nowMs, claims })
    return names.filter((id) => !refused.has(id))
  }

  /** Ends a claimed message as completed together with its replies, or does nothing and returns false when the claim is gone. */
  markCompleted(id: string, replies: readonly Reply[], nowMs: number, inboundSeq = 0): boolean {
    const end = { verdict: { type: 'completed', replies }, outcome: 'replied', reason: null } as const
    return this.#endOwn({ id, ...end }, { ...EMPTY_TURN, nowMs, inboundSeq })
  }

  /** Ends a claimed message as failed, for a reason; false when the claim is gone. */
  markFailed(id: string, reason: string, nowMs: number): boolean {
    const end = { verdict: { type: 'failed' }, outcome: 'threw', reason } as const
    return this.#endOwn({ id, ...end }, { ...EMPTY_TURN, nowMs })
  }

  close(): void {
    this.#db.close()
  }

  #endOwn(end: Omit<Ending, 'run' | 'error' | 'durationMs'>, turn: Turn): boolean {
    const ending = { ...end, run: this.#nextRun(end.id) - 1, error: null, durationMs: 0 }
    return this.commit({ ...turn, endings: [ending] }).lost.size === 0
  }

  #nextRun(id: string): number {
    return (this.history([id]).get(id)?.runs ?? 0) + 1
  }

  #checkEpoch(): void {
    const epoch = this.#sql.epoch.get()
    if (epoch !== this.#epoch)
      throw new NanoclawError(
        'fenced',
        `Another runtime has taken over this workspace (epoch ${epoch}, ours is ${this.#epoch}); nothing more is written here.`,
      )
  }

  #end(
    { id, run, verdict, outcome, reason, error, durationMs }: Ending,
    nowMs: number,
    stamps: { iso: string; sqlite: string },
  ): boolean {
    const ours =
      (verdict.type === 'completed' || verdict.type === 'failed'
        ? this.#sql.finish.run(verdict.type, stamps.iso, id)
        : this.#sql.dropClaim.run(id)
      ).changes === 1
    if (verdict.type === 'released' && !verdict.keep) this.#sql.forgetRun.run(id, run)
    else
      this.#sql.endRun.run(
        nowMs,
        durationMs,
        ours ? outcome : 'cancelled',
        ours ? reason : 'claim_lost',
        error,
        ours && verdict.type === 'retry' ? verdict.nextAtMs : null,
        id,
        run,
      )
    if (ours && verdict.type === 'completed')
      verdict.replies.forEach((reply, index) => this.#reply(id, index, reply, stamps.sqlite))
    return ours
  }

  #reply(id: string, index: number, reply: Reply, stamp: string): void {
    this.#seq += this.#seq % 2 === 0 ? 1 : 2
    this.#sql.reply.run(
      replyId(id, index),
      this.#seq,
      id,
      stamp,
      reply.deliverAfterMs === null ? null : sqliteTime(reply.deliverAfterMs),
      reply.kind,
      reply.platformId,
      reply.channelType,
      reply.threadId,
      reply.content,
    )
  }

  #claim({ id, run, attempt, functionName, worker, alone }: Claim, nowMs: number, iso: string): boolean {
    if (this.#sql.claim.run(id, iso).changes === 0) return false
    const begun = this.#sql.beginRun.run(
      id,
      run,
      attempt,
      this.#epoch,
      functionName,
      worker,
      alone ? 1 : 0,
      nowMs,
    )
    // Its earlier runs are on record, and whoever claims did not know: it comes again when they have been read.
    if (begun.changes === 0) this.#sql.dropClaim.run(id)
    else if (run > 1) this.#sql.stopWaiting.run(id)
    return begun.changes === 1
  }

  #refuse({ id, rawId, reason, detail }: Refusal, nowMs: number, iso: string): void {
    if (rawId === null) return
    const { changes } = rawId
      ? this.#sql.refuseRaw.run(rawId.isText ? 1 : 0, rawId.bytes, rawId.bytes, iso)
      : this.#sql.refuse.run(id, iso)
    if (changes === 1)
      this.#sql.refusedRun.run(id, this.#nextRun(id), this.#epoch, nowMs, nowMs, reason, detail)
  }

  #setMark({ seq, open }: Mark): void {
    this.#sql.setMark.run(Math.floor(seq))
    this.#sql.clearOpen.run()
    this.#sql.addOpen.run(JSON.stringify(open))
  }
}

/** A file of another version is not touched: whoever made it may come back. */
function makeTables(db: WritableDb, path: string): void {
  const own = db.prepare("select 1 from sqlite_schema where name = 'nanoclaw_runtime'").get()
  const version = own && db.prepare('select version from nanoclaw_runtime').pluck().get()
  if (version !== undefined && version !== OWN_VERSION)
    throw new NanoclawError(
      'outbound_unusable',
      `${path} was written by another version (its tables are version ${version}, expected ${OWN_VERSION}). Use that version, or a new workspace.`,
    )
  db.exec(WIRE_TABLES + STATE_TABLES + OWN_TABLES)
  db.exec(
    `insert or ignore into nanoclaw_runtime (id, version, epoch, seq_mark) values (1, ${OWN_VERSION}, 0, ${Number.MIN_SAFE_INTEGER})`,
  )
}

/** The same run of the same message always names its replies alike, so that none can be stored twice. */
export function replyId(messageId: string, index: number): string {
  return `${messageId}:${index}`
}

/** The first death is answered at once, since most are nobody's fault; a message that goes on killing waits longer each time. */
function restartDelayMs(deaths: number): number {
  return deaths <= 1 ? 0 : Math.min(1000 * 2 ** (deaths - 2), 60_000)
}

const EMPTY_TURN = { endings: [], claims: [], refusals: [], inboundSeq: 0, mark: null } as const

/** SQLite has no truth values. */
type Numbers<T> = { readonly [K in keyof T]: T[K] extends boolean ? number : T[K] }

type Statements = Readonly<Record<keyof ReturnType<typeof texts>, Statement>>

function prepare(db: WritableDb): Statements {
  const plucked = new Set(['epoch', 'mark', 'open', 'maxSeq'])
  const entries = Object.entries(texts()).map(([name, sql]) => [
    name,
    plucked.has(name) ? db.prepare(sql).pluck() : db.prepare(sql),
  ])
  return Object.fromEntries(entries)
}

function texts() {
  return {
    epoch: 'select epoch from nanoclaw_runtime where id = 1',
    raiseEpoch: 'update nanoclaw_runtime set epoch = epoch + 1 where id = 1 returning epoch',
    mark: 'select seq_mark from nanoclaw_runtime where id = 1',
    setMark: 'update nanoclaw_runtime set seq_mark = ? where id = 1',
    open: 'select message_id from nanoclaw_open',
    clearOpen: 'delete from nanoclaw_open',
    addOpen: 'insert into nanoclaw_open (message_id) select value from json_each(?)',
    maxSeq: `select max(seq) from messages_out where seq <= ${Number.MAX_SAFE_INTEGER}`,
    claim:
      "insert into processing_ack (message_id, status, status_changed) values (?, 'processing', ?) on conflict (message_id) do nothing",
    finish:
      "update processing_ack set status = ?, status_changed = ? where message_id = ? and status = 'processing'",
    dropClaim: "delete from processing_ack where message_id = ? and status = 'processing'",
    dropForeignClaims: "delete from processing_ack where status = 'processing'",
    setAck:
      'insert into processing_ack (message_id, status, status_changed) values (?, ?, ?) on conflict (message_id) do update set status = excluded.status, status_changed = excluded.status_changed',
    refuse:
      "insert into processing_ack (message_id, status, status_changed) values (?, 'failed', ?) on conflict (message_id) do nothing",
    refuseRaw:
      "insert into processing_ack (message_id, status, status_changed) values (iif(?, cast(? as text), ?), 'failed', ?) on conflict (message_id) do nothing",
    beginRun:
      'insert into nanoclaw_run (message_id, run, attempt, epoch, function, worker, alone, started_at) values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (message_id, run) do nothing',
    endRun:
      'update nanoclaw_run set ended_at = ?, duration_ms = ?, outcome = ?, reason = ?, error = ?, next_at = ? where message_id = ? and run = ? and ended_at is null',
    forgetRun: 'delete from nanoclaw_run where message_id = ? and run = ?',
    refusedRun:
      "insert into nanoclaw_run (message_id, run, attempt, epoch, function, alone, started_at, ended_at, outcome, reason, error) values (?, ?, 0, ?, '', 0, ?, ?, 'refused', ?, ?)",
    stopWaiting: 'update nanoclaw_run set next_at = null where message_id = ? and next_at is not null',
    reply:
      'insert into messages_out (id, seq, in_reply_to, timestamp, deliver_after, kind, platform_id, channel_type, thread_id, content) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do nothing',
    tell: `
      insert or replace into container_state (id, current_tool, tool_declared_timeout_ms, tool_started_at, updated_at)
      values (1, iif(@limitMs is null, null, '${LONG_TOOL}'), @limitMs, iif(@limitMs is null, null, @at), @at)`,
    running: `
      select n.message_id as id, n.run, n.alone,
        (select count(*) from nanoclaw_run r where r.message_id = n.message_id and ${DEATH}) as crashes
      from nanoclaw_run n where n.ended_at is null`,
    history: `
      select j.value as id, coalesce(a.status in ('completed', 'failed'), 0) as done, coalesce(max(r.run), 0) as runs,
        count(r.outcome) - coalesce(sum(r.outcome in ${UNCHARGED}), 0) as attempts,
        coalesce(sum(${DEATH}), 0) as crashes,
        coalesce(sum(r.outcome = 'interrupted'), 0) > 0 as interrupted,
        max(r.next_at) as nextAtMs, max(r.next_at - r.ended_at) as waitMs
      from json_each(?) j
        left join processing_ack a on a.message_id = j.value
        left join nanoclaw_run r on r.message_id = j.value
      group by j.value having a.message_id is not null or r.run is not null`,
  }
}
