// outbound.db, a file that this runtime alone writes. Everything that a turn decides goes to disk in ONE transaction: the
// acks and replies of runs that ended, the claims of runs that are about to begin. So a message's replies and its ack are
// there together or not at all, and nothing starts that the disk does not know of.
// In every commit the epoch is checked: a runtime that was replaced while it was stopped finds another number and writes nothing.

import { type Backoff, backoffMs } from '../../protocol/backoff.ts'
import type {
  Checkpoint,
  Claim,
  CommitBatch,
  CommitResult,
  History,
  Rejection,
  RunResult,
} from '../../protocol/commit-batch.ts'
import { NanoclawError } from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/outcome.ts'
import { replyId } from '../../protocol/reply-id.ts'
import { isoTime, sqliteTime } from '../../protocol/time.ts'
import { after, Claims, type HeldClaim } from './claims.ts'
import { openWritable, type WritableDb } from './open.ts'
import { type Left, makeTables, prepareOutbox, type Statements } from './outbox-sql.ts'
import { RetentionQueries } from './retention-queries.ts'

export interface Recovery {
  readonly epoch: number
  readonly mark: Checkpoint
  /** Runs that the runtime before this one did not live to end. */
  readonly interrupted: number
  /** Messages that ended as failed now: each of their runs took the runtime with it. */
  readonly quarantined: readonly string[]
}

/** Who wants to know how far an open transaction is: see crash-point.ts. */
type Reach = (point: 'in-claim' | 'in-finish-after-reply' | 'in-finish-before-commit' | 'in-recovery') => void

export class Outbox {
  readonly #db: WritableDb
  readonly #sql: Statements
  readonly #reach: Reach | undefined
  #claims = new Claims()
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
      this.#sql = prepareOutbox(this.#db)
    } catch (error) {
      if (this.#db !== file) this.#db.close()
      throw error
    }
  }

  /** Goes on where another handle on the same file had to stop. */
  follow(before: Outbox): this {
    this.#epoch = before.#epoch
    this.#claims = before.#claims
    return this
  }

  /**
   * Takes the file over: raises the epoch, and ends what an earlier runtime left running. Such a run is not the handler's
   * attempt; but a message that was alone in its process each time, `crashLimit` times, ends as failed. A runtime of the epoch
   * `stoppedEpoch` has stopped in order and could not write here: its runs were cut off by that stop, and by no death.
   * May be repeated after a crash at any point.
   */
  recover(nowMs: number, crashLimit: number, stoppedEpoch = 0): Recovery {
    this.#claims.clear()
    return this.#db
      .transaction(() => {
        const left = this.#sql.running.all() as Left[]
        const epoch = this.#sql.epoch.get() as number
        const died = epoch === 0 || epoch !== stoppedEpoch
        const quarantined: string[] = []
        for (const { message_id: id, crashes, ...was } of left) {
          const deaths = crashes + (died ? was.alone : 0)
          const poison = died && deaths >= crashLimit
          const outcome = died ? 'interrupted' : 'cancelled'
          const reason = poison ? 'crash_limit' : died ? 'runtime_died' : 'shutdown'
          const nextAtMs = poison
            ? null
            : died
              ? nowMs + restartDelayMs(deaths)
              : this.#afterStop(id, was.run, nowMs)
          const run = [id, was.run, was.attempt, epoch, was.function, was.worker, was.alone, was.started_at]
          this.#sql.endRun.run(...run, nowMs, null, outcome, reason, null, nextAtMs)
          if (!poison) this.#sql.dropClaim.run(id)
          else this.#sql.setAck.run(id, 'failed', isoTime(nowMs))
          if (poison) quarantined.push(id)
        }
        this.#sql.clearBatches.run()
        // What is left belongs to a runner that is gone: it wrote claims, and no record of its runs.
        this.#sql.dropForeignClaims.run()
        this.#sql.tell.run({ limitMs: null, at: isoTime(nowMs) })
        this.#epoch = this.#sql.raiseEpoch.get() as number
        const mark = {
          ...(this.#sql.mark.get() as Pick<Checkpoint, 'seq' | 'id'>),
          open: this.#sql.open.all() as string[],
        }
        this.#reach?.('in-recovery')
        return { epoch: this.#epoch, mark, interrupted: left.length, quarantined }
      })
      .immediate()
  }

  /**
   * Writes one turn, whole or not at all. `run` and `attempt` of an ending are those of its claim.
   * @throws NanoclawError `fenced` when another runtime has taken the file over; SqliteError, see classifyWrite: nothing was written
   */
  commit(turn: CommitBatch): CommitResult {
    // All messages at once. That some claim is not to be had, or no longer ours, is rare; then each is looked at by itself.
    return this.#attempt(turn, true) ?? this.#attempt(turn, false)!
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
    const { refused } = this.commit({ ...EMPTY_BATCH, nowMs, claims })
    return names.filter((id) => !refused.has(id))
  }

  /** Ends a claimed message as completed together with its replies, or does nothing and returns false when the claim is gone. */
  markCompleted(id: string, replies: readonly Reply[], nowMs: number, inboundSeq = 0): boolean {
    const said = { verdict: { type: 'completed', replies }, outcome: 'replied', reason: null } as const
    return this.#markEnded({ ...said, id, error: null, durationMs: 0 }, nowMs, inboundSeq)
  }

  /** Ends a claimed message as failed, for a reason; false when the claim is gone. */
  markFailed(id: string, reason: string, nowMs: number): boolean {
    const said = { verdict: { type: 'failed' }, outcome: 'threw', reason } as const
    return this.#markEnded({ ...said, id, error: null, durationMs: 0 }, nowMs, 0)
  }

  /** What it keeps of messages that have ended. */
  get past(): RetentionQueries {
    return new RetentionQueries(this.#db, () => this.#checkEpoch())
  }

  close(): void {
    this.#db.close()
  }

  #markEnded(ending: Omit<RunResult, 'run'>, nowMs: number, inboundSeq: number): boolean {
    const run = this.#claims.get(ending.id)?.claim.run ?? 0
    return this.commit({ ...EMPTY_BATCH, nowMs, inboundSeq, endings: [{ ...ending, run }] }).lost.size === 0
  }

  /** undefined: rolled back, since `together` is not how it can be done. */
  #attempt(turn: CommitBatch, together: boolean): CommitResult | undefined {
    const { nowMs, endings, refusals, claims } = turn
    const stamps = { nowMs, iso: isoTime(nowMs), sqlite: sqliteTime(nowMs) }
    const held = endings.map((ending) => this.#claims.of(ending))
    const begin = () => {
      this.#checkEpoch()
      this.#seq = Math.ceil(Math.max((this.#sql.maxSeq.get() as number | null) ?? 0, turn.inboundSeq))
      const lost = this.#end(endings, held, stamps, together)
      if (endings.length > 0) this.#reach?.('in-finish-after-reply')
      for (const refusal of refusals) this.#refuse(refusal, stamps)
      const refused = this.#claim(claims, stamps, together)
      const batches = this.#claims.plan(claims, refused, nowMs)
      for (const { batch, functionName, worker, alone, runs } of batches)
        this.#sql.beginBatch.run(batch, functionName, worker, alone ? 1 : 0, nowMs, JSON.stringify(runs))
      if (claims.length > 0) this.#reach?.('in-claim')
      if (turn.longestRunMs !== undefined) this.#sql.tell.run({ limitMs: turn.longestRunMs, at: stamps.iso })
      if (turn.mark) this.#setMark(turn.mark)
      if (endings.length > 0) this.#reach?.('in-finish-before-commit')
      return { lost, refused, batches }
    }
    try {
      const { lost, refused, batches } = this.#db.transaction(begin).immediate()
      this.#claims.ended(endings, held)
      this.#claims.begun(batches)
      return { lost, refused }
    } catch (error) {
      if (error instanceof NotTogether) return undefined
      throw error
    }
  }

  #checkEpoch(): void {
    const epoch = this.#sql.epoch.get()
    if (epoch !== this.#epoch)
      throw new NanoclawError(
        'fenced',
        `Another runtime has taken over this workspace (epoch ${epoch}, ours is ${this.#epoch}); nothing more is written here.`,
      )
  }

  /** `held`: the claims that these end, one for each. Returns those whose claim was no longer ours. */
  #end(
    endings: readonly RunResult[],
    held: readonly (HeldClaim | undefined)[],
    stamps: Stamps,
    together: boolean,
  ) {
    const lost = new Set<string>()
    if (together) this.#completeAll(endings, held, stamps)
    endings.forEach((ending, n) => {
      const { id, verdict } = ending
      const claim = held[n]
      const ours =
        claim !== undefined && ((together && verdict.type === 'completed') || this.#finish(ending, stamps))
      if (!ours) lost.add(id)
      if (claim && !(verdict.type === 'released' && !verdict.keep)) this.#endRun(ending, claim, ours, stamps)
      if (ours && verdict.type === 'completed')
        for (let index = 0; index < verdict.replies.length; index++)
          this.#reply(id, index, verdict.replies[index]!, stamps)
    })
    const { over, struck } = after(endings, held)
    for (const batch of over) this.#sql.endBatch.run(batch)
    for (const [batch, ids] of struck) this.#sql.strike.run(JSON.stringify(ids), batch)
    return lost
  }

  #completeAll(
    endings: readonly RunResult[],
    held: readonly (HeldClaim | undefined)[],
    { iso }: Stamps,
  ): void {
    const ids = endings.flatMap(({ id, verdict }, n) => (verdict.type === 'completed' && held[n] ? id : []))
    if (ids.length > 0 && this.#sql.completeAll.run(iso, JSON.stringify(ids)).changes !== ids.length)
      throw new NotTogether()
  }

  #finish({ id, verdict }: RunResult, { iso }: Stamps): boolean {
    const { changes } =
      verdict.type === 'completed' || verdict.type === 'failed'
        ? this.#sql.finish.run(verdict.type, iso, id)
        : this.#sql.dropClaim.run(id)
    return changes === 1
  }

  #endRun(ending: RunResult, { claim, startedAtMs }: HeldClaim, ours: boolean, { nowMs }: Stamps): void {
    const { id, run, durationMs, error } = ending
    this.#sql.endRun.run(
      id,
      run,
      claim.attempt,
      this.#epoch,
      claim.functionName,
      claim.worker,
      claim.alone ? 1 : 0,
      startedAtMs,
      nowMs,
      durationMs,
      ours ? ending.outcome : 'cancelled',
      ours ? ending.reason : 'claim_lost',
      error,
      ours ? this.#nextAt(ending, nowMs) : null,
    )
  }

  #nextAt({ id, run, verdict, reason }: RunResult, nowMs: number): number | null {
    if (verdict.type === 'retry') return verdict.nextAtMs
    return verdict.type === 'released' && reason === 'shutdown' ? this.#afterStop(id, run, nowMs) : null
  }

  /**
   * When a message may run again that a stop has interrupted; null: at once. A handler that stops its runtime looks like one
   * that meets a deploy, so it is never given up for that; but it waits longer each time, and others get their turn.
   */
  #afterStop(id: string, run: number, nowMs: number): number | null {
    const delayMs = restartDelayMs((this.#sql.stops.get(id) as number) + 1)
    // Those that were interrupted together must not begin together again.
    return delayMs === 0 ? null : nowMs + Math.round(delayMs * (0.5 + spread(id, run) / 2))
  }

  #reply(id: string, index: number, reply: Reply, { sqlite }: Stamps): void {
    this.#seq += this.#seq % 2 === 0 ? 1 : 2
    this.#sql.reply.run(
      replyId(id, index),
      this.#seq,
      id,
      sqlite,
      reply.deliverAfterMs === null ? null : sqliteTime(reply.deliverAfterMs),
      reply.kind,
      reply.platformId,
      reply.channelType,
      reply.threadId,
      reply.content,
    )
  }

  /** Returns those that are not to be had: an ack is there, or runs on record that whoever claims did not know of. */
  #claim(claims: readonly Claim[], { iso }: Stamps, together: boolean): Set<string> {
    const refused = new Set<string>()
    if (together && claims.length > 0) {
      const fresh = JSON.stringify(claims.flatMap(({ id, run }) => (run === 1 ? id : [])))
      const { changes } = this.#sql.claimAll.run(iso, JSON.stringify(claims.map(({ id }) => id)))
      if (changes !== claims.length || this.#sql.anyOnRecord.get(fresh)) throw new NotTogether()
    }
    for (const { id, run } of claims) {
      if (together && run === 1) continue
      const claimed = together || this.#sql.claim.run(id, iso).changes === 1
      if (!claimed) refused.add(id)
      else if (this.#sql.onRecord.get(id, run)) {
        // It comes again when its record has been read.
        this.#sql.dropClaim.run(id)
        refused.add(id)
      } else if (run > 1) this.#sql.stopWaiting.run(id)
    }
    return refused
  }

  #refuse({ id, rawId, reason, detail, ack = 'failed' }: Rejection, { iso, nowMs }: Stamps): void {
    if (rawId === null) return
    const { changes } = rawId
      ? this.#sql.refuseRaw.run(rawId.isText ? 1 : 0, rawId.bytes, rawId.bytes, iso)
      : this.#sql.refuse.run(id, ack, iso)
    if (changes === 1 && ack === 'failed')
      this.#sql.refusedRun.run({ id, epoch: this.#epoch, nowMs, reason, detail })
  }

  #setMark({ seq, id, open }: Checkpoint): void {
    this.#sql.setMark.run(seq, id)
    this.#sql.clearOpen.run()
    this.#sql.addOpen.run(JSON.stringify(open))
  }
}

const RESTART: Backoff = { minMs: 1_000, maxMs: 60_000 }

/** The first death is answered at once, since most are nobody's fault; a message that goes on killing waits longer each time. */
function restartDelayMs(deaths: number): number {
  return deaths <= 1 ? 0 : backoffMs(RESTART, deaths - 1)
}

/** 0 ≤ spread < 1, the same for the same run. */
function spread(id: string, run: number): number {
  let hash = run
  for (const char of id) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) >>> 0
  return (Math.imul(hash, 2654435761) >>> 0) / 2 ** 32
}

const EMPTY_BATCH = { endings: [], claims: [], refusals: [], inboundSeq: 0, mark: null } as const

/** Rolls a transaction back that was to do everything together. */
class NotTogether extends Error {}

interface Stamps {
  readonly nowMs: number
  readonly iso: string
  readonly sqlite: string
}

/** SQLite has no truth values. */
type Numbers<T> = { readonly [K in keyof T]: T[K] extends boolean ? number : T[K] }
