// The store port on outbound.db, a file that this runtime alone writes. A commit batch goes to disk in ONE
// transaction: the acks and replies of runs that ended, the claims of runs that are about to begin. So a
// message's replies and its ack are there together or not at all, and no run starts that is not on disk. Each
// commit checks the epoch: a runtime that was replaced while it was stopped finds another number and writes
// nothing.

import { type Backoff, backoffMs, jitterMs } from '../../protocol/backoff.ts'
import type {
  AnswerResult,
  Checkpoint,
  Claim,
  CommitBatch,
  CommitResult,
  History,
  Rejection,
  RunResult,
  WaitingPlace,
} from '../../protocol/commit-batch.ts'
import { NanoclawError } from '../../protocol/errors.ts'
import type { Reply, Said } from '../../protocol/outcome.ts'
import { replyId, replyIdAgain } from '../../protocol/reply-id.ts'
import type { Journal } from '../../protocol/steps.ts'
import { isoTime, sqliteTime } from '../../protocol/time.ts'
import type { WaitQueries } from '../../protocol/waits.ts'
import type { Recovery, RetentionQueries, Store } from '../store.ts'
import { after, Claims, type HeldClaim } from './claims.ts'
import { JournalTables } from './journal.ts'
import { makeTables } from './migrations.ts'
import { openWritable, type WritableDb } from './open.ts'
import { type Left, prepareOutbox, type Statements } from './outbox-sql.ts'
import { OutboundRetention } from './retention-queries.ts'
import { Unanswered, type Written } from './unanswered.ts'

/** Called at places inside of an open transaction: see failpoints.ts. */
type Reach = (
  point:
    | 'in-step'
    | 'in-suspend'
    | 'in-close'
    | 'in-answer'
    | 'in-wake'
    | 'in-claim'
    | 'in-finish-after-reply'
    | 'in-finish-before-commit'
    | 'in-recovery',
) => void

/** A row of messages_out that is written beside the replies of a run. */
export interface OutboundMessage {
  readonly id: string
  readonly inReplyTo: string | null
  readonly reply: Reply
}

interface Past {
  readonly epoch: number
  readonly claims: Claims
  readonly unanswered: Unanswered
}

export class Outbox implements Store {
  readonly #db: WritableDb
  readonly #sql: Statements
  readonly #journal: JournalTables
  readonly #reach: Reach | undefined
  #claims = new Claims()
  #unanswered = new Unanswered()
  #epoch = 0
  /** The highest number of both files, while a batch is written. */
  #seq = 0

  /**
   * `file`: where it lies, or a handle that the caller has opened.
   * @throws NanoclawError `outbound_unusable`, SqliteError (see classifyWrite)
   */
  constructor(file: string | WritableDb, journal: 'delete' | 'wal', reach?: Reach) {
    this.#reach = reach
    this.#db = typeof file === 'string' ? openWritable(file, journal) : file
    try {
      this.#db.transaction(() => makeTables(this.#db)).immediate()
      this.#sql = prepareOutbox(this.#db)
      this.#journal = new JournalTables(this.#db)
    } catch (error) {
      if (this.#db !== file) this.#db.close()
      throw error
    }
  }

  /** What another handle on the same file needs in order to go on. */
  get past(): Past {
    return { epoch: this.#epoch, claims: this.#claims, unanswered: this.#unanswered }
  }

  follow({ epoch, claims, unanswered }: Past): this {
    this.#epoch = epoch
    this.#claims = claims
    this.#unanswered = unanswered
    return this
  }

  recover(nowMs: number, crashLimit: number, stoppedEpoch = 0): Recovery {
    this.#claims.clear()
    this.#unanswered.clear()
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
              ? nowMs + backoffMs(RESTART, deaths - 1)
              : this.#afterStop(id, was.run, nowMs)
          const run = [id, was.run, was.attempt, epoch, was.function, was.worker, was.alone, was.started_at]
          this.#sql.endRun.run(...run, nowMs, null, outcome, reason, null, nextAtMs)
          if (!poison) this.#sql.dropClaim.run(id)
          else this.#sql.setAck.run(id, 'failed', isoTime(nowMs))
          if (poison) quarantined.push(id)
        }
        if (quarantined.length > 0) this.#journal.close(quarantined)
        this.#sql.clearBatches.run()
        // What is left belongs to a runner that is gone: it wrote claims, and no record of its runs.
        this.#sql.dropForeignClaims.run()
        this.#sql.tell.run({ limitMs: null, at: isoTime(nowMs) })
        this.#epoch = this.#sql.raiseEpoch.get() as number
        const checkpoint = {
          ...(this.#sql.checkpoint.get() as Pick<Checkpoint, 'seq' | 'id'>),
          unfinished: this.#sql.listed.all() as string[],
        }
        this.#reach?.('in-recovery')
        const scope = this.#sql.scope.get() as string
        return { epoch: this.#epoch, scope, checkpoint, interrupted: left.length, quarantined }
      })
      .immediate()
  }

  /**
   * `run` of a result is that of its claim. `messages` are written in the same transaction; one that is in
   * reply to a message whose claim is lost is left out, and so is one whose id is there already. They were
   * written before where all of the results were.
   * @throws NanoclawError `fenced`; SqliteError, see classifyWrite
   */
  commit(batch: CommitBatch, messages: readonly OutboundMessage[] = []): CommitResult {
    const { nowMs, steps, results, rejections, claims, withdrawn, longestRunMs, checkpoint } = batch
    const stamps = { nowMs, iso: isoTime(nowMs), sqlite: sqliteTime(nowMs) }
    let written: Written | undefined
    const write = () => {
      this.#checkEpoch()
      this.#settle()
      this.#takeBack()
      this.#seq = Math.ceil(Math.max((this.#sql.maxSeq.get() as number | null) ?? 0, batch.inboundSeq))
      const before = this.#unanswered
      const fresh = results.filter((result) => !before.endOf(result))
      const held = fresh.map((result) => this.#claims.of(result))
      for (const step of steps) {
        // Its work is done, also where the host has taken the claim away.
        const claim = this.#claims.of(step)
        if (claim) this.#journal.keep(step, claim.claim.functionName, nowMs)
      }
      if (steps.length > 0) this.#reach?.('in-step')
      const lost = this.#finish(fresh, held, stamps)
      const waiting = this.#suspend(batch, fresh, held, lost, stamps)
      for (const result of results) {
        const end = before.endOf(result)
        if (end?.lost) lost.add(result.id)
        if (end?.wakeAtMs !== undefined) waiting.set(result.id, end.wakeAtMs)
      }
      if (waiting.size > 0) this.#reach?.('in-suspend')
      const { answered, unused } = this.#answer(batch.answers, stamps)
      if (answered.length > 0) this.#reach?.('in-answer')
      if (withdrawn.length > 0) this.#withdraw(withdrawn, nowMs)
      if (results.length > 0) this.#reach?.('in-finish-after-reply')
      if (results.length === 0 || fresh.length > 0)
        for (const { id, inReplyTo, reply } of messages)
          if (inReplyTo === null || !lost.has(inReplyTo)) this.#insert(id, inReplyTo, reply, stamps)
      const over = rejections.flatMap((each) => (this.#reject(each, stamps) ? each.id : []))
      if (over.length > 0) this.#journal.close(over)
      const { refused, journals } = this.#claim(claims, stamps)
      if (this.#reach && [...journals.values()].some(({ waits }) => waits.length > 0)) this.#reach('in-wake')
      const begun = this.#claims.plan(claims, refused, nowMs)
      for (const { batch, functionName, worker, alone, runs } of begun)
        this.#sql.beginBatch.run(batch, functionName, worker, alone ? 1 : 0, nowMs, JSON.stringify(runs))
      if (claims.length > 0) this.#reach?.('in-claim')
      if (longestRunMs !== undefined) this.#sql.tell.run({ limitMs: longestRunMs, at: stamps.iso })
      if (checkpoint) this.#setCheckpoint(checkpoint)
      if (results.length > 0) this.#reach?.('in-finish-before-commit')
      const { answers } = batch
      const answer = { lost, refused, journals, waiting, answered, unused }
      written = { results, answers, fresh, held, begun, answer }
      return written
    }
    try {
      const { fresh, held, begun, answer } = this.#db.transaction(write).immediate()
      this.#unanswered.clear()
      this.#claims.ended(fresh, held)
      this.#claims.answered(answer.answered)
      this.#claims.begun(begun)
      return answer
    } catch (error) {
      if (written) this.#unanswered.failed(written)
      throw error
    }
  }

  history(ids: readonly string[]): Map<string, History> {
    const rows = this.#sql.history.all(JSON.stringify(ids)) as (Numbers<History> & { id: string })[]
    return new Map(
      rows.map(({ id, done, interrupted, woken, ...counts }) => [
        id,
        { ...counts, done: done === 1, interrupted: interrupted === 1, woken: woken === 1 },
      ]),
    )
  }

  unfinished(ids: readonly string[], limit: number, nowMs: number): string[] {
    const left = ids.length < NEIGHBOURS_FROM ? ids : this.#withoutNeighbours(ids)
    return left.length === 0 ? [] : (this.#sql.unfinished.all(JSON.stringify(left), nowMs, limit) as string[])
  }

  /**
   * Acks were mostly written in the order in which messages came. So those around the ack of one message name
   * most of the others, and are read at once; to look up each by its id is a walk to another page of the file
   * when ids have no order.
   */
  #withoutNeighbours(ids: readonly string[]): readonly string[] {
    const count = ids.length
    for (const at of [0, count >> 1, count - 1]) {
      const place = this.#sql.ackPlace.get(ids[at]) as number | undefined
      if (place === undefined) continue
      return without(ids, this.#sql.endedBetween.all(place - at, place - at + count - 1))
    }
    return ids
  }

  waiting(after: WaitingPlace | undefined, limit: number): WaitingPlace[] {
    const { nextAtMs, id } = after ?? { nextAtMs: Number.MIN_SAFE_INTEGER, id: '' }
    return this.#sql.waiting.all(nextAtMs, id, limit) as WaitingPlace[]
  }

  /** Those of these messages that have no ack of any status, in the same order. */
  unacknowledged(ids: readonly string[]): string[] {
    return this.#sql.unacknowledged.all(JSON.stringify(ids)) as string[]
  }

  /** The number of a row of messages_out; undefined: there is no such row. */
  seqOf(id: string): number | undefined {
    return this.#sql.seqOf.get(id) as number | undefined
  }

  get waits(): WaitQueries {
    return this.#journal
  }

  get retention(): RetentionQueries {
    return new OutboundRetention(this.#db, () => {
      this.#checkEpoch()
      this.#settle()
    })
  }

  close(): void {
    this.#db.close()
  }

  #checkEpoch(): void {
    const epoch = this.#sql.epoch.get()
    if (epoch !== this.#epoch)
      throw new NanoclawError(
        'fenced',
        `Another runtime has taken over this workspace (epoch ${epoch}, ours is ${this.#epoch}); nothing more is written here.`,
      )
  }

  /** Whether a commit that has failed is on disk shows in what it was to change, until the next write. */
  #settle(): void {
    const written = this.#unanswered.settle(({ fresh, held, begun, answers, answer }) => {
      if (begun[0]) return this.#sql.hasBatch.get(begun[0].batch) !== undefined
      // What changes nothing may be written twice.
      const ended = fresh.find((_, n) => held[n])
      if (ended) return this.#sql.isRunning.get(ended.id, ended.run) === undefined
      const answered = answers.find(({ id }) => !answer.unused.has(id))
      return answered !== undefined && this.#sql.hasAck.get(answered.id) !== undefined
    })
    if (!written) return
    this.#claims.ended(written.fresh, written.held)
    this.#claims.answered(written.answer.answered)
    this.#claims.passed(written.begun)
  }

  #takeBack(): void {
    for (const { batch, claims } of this.#unanswered.begun)
      if (this.#sql.endBatch.run(batch).changes === 1)
        this.#sql.release.all(JSON.stringify(claims.map(({ id }) => id)))
  }

  /**
   * `held`: the claims of these results, one for each. Returns the messages whose claim was no longer there.
   */
  #finish(
    results: readonly RunResult[],
    held: readonly (HeldClaim | undefined)[],
    stamps: Stamps,
  ): Set<string> {
    const lost = this.#endClaims(results, held, stamps)
    this.#endRuns(results, held, lost, stamps)
    for (const { id, run, next } of results) {
      const ours = !lost.has(id)
      if (ours && next.type === 'completed') this.#say(id, run, next, stamps)
    }
    const { over, struck } = after(results, held)
    for (const batch of over) this.#sql.endBatch.run(batch)
    for (const [batch, ids] of struck) this.#sql.strike.run(JSON.stringify(ids), batch)
    return lost
  }

  /** Messages whose handlers wait, and when each wakes; the waits of those that have ended are closed. */
  #suspend(
    batch: CommitBatch,
    results: readonly RunResult[],
    held: readonly (HeldClaim | undefined)[],
    lost: ReadonlySet<string>,
    stamps: Stamps,
  ): Map<string, number> {
    const waiting = new Map<string, number>()
    const over: string[] = []
    results.forEach((result, n) => {
      const { id, run, next } = result
      const claim = held[n]
      if (!claim || lost.has(id)) return
      if (next.type === 'waiting') {
        this.#say(id, run, next, stamps)
        const replies = (next.from ?? 0) + next.replies.length
        waiting.set(id, this.#journal.suspend(result, next, replies, claim, batch))
      } else if (run > 1 && (next.type === 'completed' || next.type === 'failed')) over.push(id)
    })
    if (over.length > 0 && this.#journal.close(over) > 0) this.#reach?.('in-close')
    return waiting
  }

  #say(id: string, run: number, { replies, from = 0 }: Said, stamps: Stamps): void {
    for (let index = 0; index < replies.length; index++)
      this.#reply(replyId(id, from + index), id, run, replies[index]!, stamps)
  }

  #endClaims(
    results: readonly RunResult[],
    held: readonly (HeldClaim | undefined)[],
    { iso }: Stamps,
  ): Set<string> {
    const lost = new Set<string>()
    const ended = { completed: [] as string[], failed: [] as string[], released: [] as string[] }
    results.forEach(({ id, next: { type } }, n) => {
      if (!held[n]) lost.add(id)
      else ended[type === 'completed' || type === 'failed' ? type : 'released'].push(id)
    })
    for (const [status, ids] of Object.entries(ended)) {
      if (ids.length === 0) continue
      const asked = JSON.stringify(ids)
      const { finish, release } = this.#sql
      addMissing(lost, ids, status === 'released' ? release.all(asked) : finish.all(status, iso, asked))
    }
    return lost
  }

  /** A row for each run. Those that were claimed together mostly end alike, and one statement writes them. */
  #endRuns(
    results: readonly RunResult[],
    held: readonly (HeldClaim | undefined)[],
    lost: ReadonlySet<string>,
    { nowMs }: Stamps,
  ): void {
    const groups: EndedRuns[] = []
    results.forEach((result, n) => {
      const { id, run, next, durationMs, error } = result
      const claim = held[n]
      if (!claim || (next.type === 'released' && !next.keep)) return
      const ended = lost.has(id)
        ? { outcome: 'cancelled', reason: 'claim_lost', nextAtMs: null }
        : { outcome: result.outcome, reason: result.reason, nextAtMs: this.#nextAt(result, nowMs) }
      const last = groups.at(-1)
      const duration = `${JSON.stringify(id)}:${durationMs}`
      if (last && isAlike(last, { claim, run, error, ...ended })) last.durations.push(duration)
      else groups.push({ claim, run, error, ...ended, durations: [duration] })
    })
    for (const { claim: held, durations, ...ended } of groups) {
      const { attempt, functionName, worker, alone } = held.claim
      const of = { attempt, functionName, worker, alone: alone ? 1 : 0, startedAtMs: held.startedAtMs }
      this.#sql.endRuns.run({ ...of, ...ended, nowMs, epoch: this.#epoch, durations: `{${durations}}` })
    }
  }

  #nextAt({ id, run, next, reason }: RunResult, nowMs: number): number | null {
    if (next.type === 'retry') return next.nextAtMs
    return next.type === 'released' && reason === 'shutdown' ? this.#afterStop(id, run, nowMs) : null
  }

  /**
   * When a message may run again that a stop has interrupted; null: at once. A handler that stops its runtime
   * looks like one that meets a deploy, so it is never given up for that; but it waits longer each time, and
   * others get their turn.
   */
  #afterStop(id: string, run: number, nowMs: number): number | null {
    const pauseMs = backoffMs(RESTART, this.#sql.stops.get(id) as number)
    // Those that were interrupted together must not begin together again.
    return pauseMs === 0 ? null : nowMs + jitterMs(pauseMs, spread(id, run))
  }

  /**
   * The id is taken where an earlier run has replied; or where retention has kept a reply to a message whose
   * id comes again. The host may have recorded that one as delivered, so this one gets an id of its own.
   */
  #reply(id: string, inReplyTo: string, run: number, reply: Reply, stamps: Stamps): void {
    if (this.#insert(id, inReplyTo, reply, stamps)) return
    if (this.#sql.hasReplied.get(inReplyTo, run) === undefined)
      this.#insert(replyIdAgain(id, this.#seq), inReplyTo, reply, stamps)
  }

  /** False: there is a row with this id. */
  #insert(id: string, inReplyTo: string | null, reply: Reply, { sqlite }: Stamps): boolean {
    this.#seq += this.#seq % 2 === 0 ? 1 : 2
    const { changes } = this.#sql.reply.run(
      id,
      this.#seq,
      inReplyTo,
      sqlite,
      reply.deliverAfterMs === null ? null : sqliteTime(reply.deliverAfterMs),
      reply.kind,
      reply.platformId,
      reply.channelType,
      reply.threadId,
      reply.content,
    )
    return changes === 1
  }

  /** A claim that is refused and has runs on record comes again when its record has been read. */
  #claim(
    claims: readonly Claim[],
    { iso, nowMs }: Stamps,
  ): { refused: Set<string>; journals: ReadonlyMap<string, Journal> } {
    const refused = new Set<string>()
    if (claims.length === 0) return { refused, journals: new Map() }
    const runs = claims.map(({ id, run }) => `${JSON.stringify(id)}:${run}`)
    addMissing(
      refused,
      claims.map(({ id }) => id),
      this.#sql.claim.all(iso, `{${runs}}`),
    )
    const again = claims.flatMap(({ id, run }) => (run > 1 && !refused.has(id) ? id : []))
    if (again.length > 0) {
      // The checkpoint may not list what waits: from now on it is one of the unfinished.
      this.#sql.listAgain.run(JSON.stringify(again))
      this.#sql.stopWaiting.run(JSON.stringify(again))
    }
    return {
      refused,
      journals: this.#journal.claimed(
        claims.filter(({ id }) => !refused.has(id)),
        nowMs,
      ),
    }
  }

  /** One that has an ack has answered before. */
  #answer(
    answers: readonly AnswerResult[],
    { iso, nowMs }: Stamps,
  ): { readonly answered: string[]; readonly unused: ReadonlySet<string> } {
    const { answers: before } = this.#unanswered
    const [answered, unused] = [[...before.answered], new Set(before.unused)]
    for (const answer of answers) {
      if (before.ids.has(answer.id)) continue
      const { id, questionId, otherwise } = answer
      if (otherwise === 'unused' && !this.#journal.isOpen(questionId)) {
        unused.add(id)
        continue
      }
      if (this.#sql.reject.run(id, 'completed', iso).changes === 0) continue
      const woken = this.#journal.answer(answer, nowMs)
      if (woken !== undefined) answered.push(woken)
      const outcome = woken === undefined ? 'late-answer' : 'answered'
      const reason = answer.value === null ? 'unknown_option' : null
      this.#sql.ownRun.run({ id, epoch: this.#epoch, nowMs, outcome, reason })
    }
    return { answered, unused }
  }

  /** They stay on record as cancelled. */
  #withdraw(ids: readonly string[], nowMs: number): void {
    const cancelled = { epoch: this.#epoch, nowMs, outcome: 'cancelled', reason: 'host_cancelled' }
    for (const id of this.#journal.withdraw(ids)) this.#sql.ownRun.run({ id, ...cancelled })
  }

  /** False: nothing was written. */
  #reject({ id, rawId, reason, detail, ack = 'failed' }: Rejection, { iso, nowMs }: Stamps): boolean {
    if (rawId === null) return false
    const { changes } = rawId
      ? this.#sql.rejectRaw.run(rawId.isText ? 1 : 0, rawId.bytes, rawId.bytes, iso)
      : this.#sql.reject.run(id, ack, iso)
    if (changes === 1 && ack === 'failed')
      this.#sql.rejectedRun.run({ id, epoch: this.#epoch, nowMs, reason, detail })
    return changes === 1
  }

  #setCheckpoint({ seq, id, unfinished }: Checkpoint): void {
    this.#sql.setCheckpoint.run(seq, id)
    this.#sql.clearListed.run()
    this.#sql.addListed.run(JSON.stringify(unfinished))
  }
}

/** Fewer are looked up one by one. */
const NEIGHBOURS_FROM = 50

/**
 * After the death of a runtime, or a stop, in the middle of a run. The first one is answered at once, since
 * most are not the message's doing; a message that goes on killing waits longer each time.
 */
const RESTART: Backoff = { minMs: 1_000, maxMs: 60_000 }
/** Runs of one batch of claims that end alike: only the message and the duration differ. */
interface EndedRuns {
  readonly claim: HeldClaim
  readonly run: number
  readonly outcome: string
  readonly reason: string | null
  readonly error: string | null
  readonly nextAtMs: number | null
  /** `"id":ms` of each, as JSON. */
  readonly durations: string[]
}

function isAlike(a: Omit<EndedRuns, 'durations'>, b: Omit<EndedRuns, 'durations'>): boolean {
  return (
    a.claim.batch === b.claim.batch &&
    a.claim.claim.attempt === b.claim.claim.attempt &&
    a.run === b.run &&
    a.outcome === b.outcome &&
    a.reason === b.reason &&
    a.error === b.error &&
    a.nextAtMs === b.nextAtMs
  )
}

/** 0 ≤ spread < 1, the same for the same run. */
function spread(id: string, run: number): number {
  let hash = run
  for (const char of id) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) >>> 0
  return (Math.imul(hash, 2654435761) >>> 0) / 2 ** 32
}

/** As a rule both have the same order, and nothing has to be hashed. */
function without(ids: readonly string[], ended: readonly unknown[]): readonly string[] {
  const from = ended.indexOf(ids[0])
  let same = 0
  while (from >= 0 && same < ids.length && ids[same] === ended[from + same]) same++
  if (same === ids.length) return []
  const others = new Set(ended)
  return ids.slice(same).filter((id) => !others.has(id))
}

/** Adds those that were asked for and did not come back. */
function addMissing(missing: Set<string>, asked: readonly string[], returned: readonly unknown[]): void {
  if (returned.length === asked.length) return
  const there = new Set(returned)
  for (const id of asked) if (!there.has(id)) missing.add(id)
}

interface Stamps {
  readonly nowMs: number
  readonly iso: string
  readonly sqlite: string
}

/** SQLite has no truth values. */
type Numbers<T> = { readonly [K in keyof T]: T[K] extends boolean ? number : T[K] }
