// One session folder for a loop of one's own, in place of the runtime: reads messages, claims them, ends
// them, writes messages_out, touches the heartbeat. The package export "nanoclaw-functions/store";
// docs/store.md describes each call. A session owns the folder as a runtime does: it holds the lock, raises
// the epoch, and alone writes outbound.db. Every call does its whole work before it returns.
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { type Clock, realClock } from '../protocol/clock.ts'
import { type CommitBatch, EMPTY_BATCH, type History, type RunResult } from '../protocol/commit-batch.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { filesIn, lockPath, touchHeartbeat } from '../protocol/files.ts'
import { statusPath } from '../protocol/status-file.ts'
import { dueTime } from '../protocol/time.ts'
import {
  checkCrashLimit,
  checkFolder,
  checkId,
  checkIds,
  checkLimit,
  checkReason,
  checkReplies,
  checkReply,
  type NewReply,
} from './session-arguments.ts'
import {
  classifyRead,
  classifyWrite,
  heartbeatError,
  isDoubtful,
  outboundError,
  readTrouble,
} from './sqlite/classify.ts'
import { type InboundRow, Inbox, START } from './sqlite/inbox.ts'
import { Lock } from './sqlite/lock.ts'
import type { OutboundMessage } from './sqlite/outbox.ts'
import { ReopeningOutbox } from './sqlite/reopening-outbox.ts'
import type { Recovery } from './store.ts'

export interface SessionOptions {
  /**
   * Times that a message may be claimed, alone, by a process that then dies, before it is failed. Default 5.
   */
  readonly crashLimit?: number
  readonly clock?: Clock
}

/** Messages that one call returns, unless it asks for another number. */
const PENDING_DEFAULT = 100
/** Rows of inbound.db in one read: its lock is held for some milliseconds. */
const PAGE_ROWS = 500
const CRASH_LIMIT_DEFAULT = 5
/**
 * A host commits within milliseconds. Each fortieth read waits for the lock (inbox.ts): this is a quarter of
 * a second.
 */
const READ_TRIES = 400

/**
 * Takes a session folder over. outbound.db is made where it is missing; inbound.db may come later. What an
 * earlier owner claimed and did not end is pending again.
 * @throws NanoclawError `bad_usage`; `locked` when a runtime or another session owns the folder;
 *   `outbound_unusable`
 */
export function openSession(folder: string, options: SessionOptions = {}): Session {
  const { crashLimit = CRASH_LIMIT_DEFAULT, clock = realClock } = options
  const { inbound, outbound, heartbeat } = filesIn(resolve(checkFolder(folder)))
  checkCrashLimit(crashLimit)
  const path = lockPath(outbound)
  const lock = Lock.acquire(path, () => `${statusPath(path)} names it, unless it is a loop of its own`)
  try {
    const outbox = new ReopeningOutbox(outbound, 'delete')
    try {
      const recovery = outbox.recover(clock.now(), crashLimit, lock.stoppedEpoch)
      return new Session(
        { inbound, outbound, heartbeat },
        { inbox: new Inbox(inbound), outbox, lock, recovery, clock },
      )
    } catch (error) {
      outbox.close()
      throw error
    }
  } catch (error) {
    lock.release()
    throw writeError(outbound, error)
  }
}

interface SessionParts {
  readonly inbox: Inbox
  readonly outbox: ReopeningOutbox
  readonly lock: Lock
  readonly recovery: Recovery
  readonly clock: Clock
}

export class Session {
  readonly #paths: Readonly<Record<'inbound' | 'outbound' | 'heartbeat', string>>
  readonly #parts: SessionParts
  /** Messages that this session has claimed and not ended, and the number of the run. */
  readonly #claimed = new Map<string, number>()
  /** The disk has failed in a commit, which may have claimed messages all the same. */
  #isUnsettled = false
  #isClosed = false

  constructor(paths: Readonly<Record<'inbound' | 'outbound' | 'heartbeat', string>>, parts: SessionParts) {
    this.#paths = paths
    this.#parts = parts
  }

  /** Messages that the earlier owner claimed and did not end. */
  get interrupted(): number {
    return this.#parts.recovery.interrupted
  }

  /** Messages that were failed when the session was opened: see `crashLimit`. */
  get quarantined(): readonly string[] {
    return this.#parts.recovery.quarantined
  }

  /**
   * Messages that are due, have no ack of any status and are not `on_wake`, oldest first: by seq, then those
   * without one.
   * @throws NanoclawError `bad_usage`, `not_readable_yet`, `inbound_unusable`, `outbound_unusable`
   */
  getPendingMessages(limit: number = PENDING_DEFAULT): InboundRow[] {
    checkLimit('getPendingMessages', limit)
    this.#settle()
    const nowMs = this.#parts.clock.now()
    const found: InboundRow[] = []
    for (let [cursor, end] = [START, false]; !end && found.length < limit; ) {
      const page = this.#read((inbox) => inbox.getPendingIds(cursor, PAGE_ROWS))
      const ids = this.#unacknowledged(page.ids.filter((id) => id !== null))
      const history = this.#use((outbox) => outbox.history(ids))
      const messages = this.#read((inbox) => inbox.getMessages(ids))
      for (const id of ids) {
        const message = messages.get(id)
        if (message && isReady(message, history.get(id), nowMs)) found.push(message)
      }
      ;({ cursor, end } = page)
    }
    return found.slice(0, limit)
  }

  /**
   * A message of any status.
   * @throws NanoclawError as getPendingMessages
   */
  getMessageIn(id: string): InboundRow | undefined {
    checkId('getMessageIn', 'id', id)
    return this.#read((inbox) => inbox.getMessageIn(id))
  }

  /**
   * The first pending message whose content has this `questionId` and that has no ack of any status.
   * @throws NanoclawError as getPendingMessages
   */
  findQuestionResponse(questionId: string): InboundRow | undefined {
    checkId('findQuestionResponse', 'questionId', questionId)
    this.#settle()
    const responses = this.#read((inbox) => inbox.questionResponses(questionId))
    const [first] = this.#unacknowledged(responses.map(({ id }) => id))
    return responses.find(({ id }) => id === first)
  }

  /**
   * Claims messages, in one transaction. Returns those that were claimed: one that has an ack already is left
   * out.
   * @throws NanoclawError `bad_usage`, `fenced`, `outbound_unusable`
   */
  markProcessing(ids: readonly string[]): string[] {
    const wanted = checkIds('markProcessing', ids)
    if (wanted.length === 0) return []
    this.#forgetLost(wanted)
    const history = this.#use((outbox) => outbox.history(wanted))
    // A message is charged with the death of this process only where it was alone in it.
    const alone = wanted.length === 1 && this.#claimed.size === 0
    const claims = wanted.map((id) => {
      const { runs, attempts } = history.get(id) ?? { runs: 0, attempts: 0 }
      return { id, run: runs + 1, attempt: attempts + 1, functionName: '', worker: process.pid, alone }
    })
    const { refused } = this.#commit({ claims })
    const claimed = claims.filter(({ id }) => !refused.has(id))
    for (const { id, run } of claimed) this.#claimed.set(id, run)
    return claimed.map(({ id }) => id)
  }

  /**
   * Ends messages as completed and writes replies, in one transaction. Returns those that this call has
   * ended: one whose claim the host has taken away, or that has ended before, is left out, and so are the
   * replies to it.
   * @param replies `inReplyTo` is the message where `ids` names one
   * @throws NanoclawError as markProcessing
   */
  markCompleted(ids: readonly string[], replies: readonly NewReply[] = []): string[] {
    const wanted = checkIds('markCompleted', ids)
    const rows = checkReplies('markCompleted', replies).map((reply) =>
      outboundMessage(reply, wanted.length === 1 ? wanted[0]! : null),
    )
    return this.#end(wanted, { type: 'completed', replies: [] }, { outcome: 'replied', reason: null }, rows)
  }

  /**
   * Ends messages as failed, in one transaction. Returns those that this call has ended.
   * @param reason for people, in `nanoclaw show` and `nanoclaw status`
   * @throws NanoclawError as markProcessing
   */
  markFailed(ids: readonly string[], reason = 'failed'): string[] {
    const wanted = checkIds('markFailed', ids)
    return this.#end(wanted, { type: 'failed' }, { outcome: 'threw', reason: checkReason(reason) }, [])
  }

  /**
   * Writes one row of messages_out that belongs to no message that ends. Returns its number, which is odd.
   * An id that is there already is not written again: the number is that of the row that is there.
   * @throws NanoclawError as markProcessing
   */
  writeMessageOut(reply: NewReply): number {
    checkReply('writeMessageOut', 'reply', reply)
    const row = outboundMessage(reply, null)
    this.#commit({}, [row])
    return this.#use((outbox) => outbox.seqOf(row.id))!
  }

  /**
   * Says to the host that this process works: call it while messages are claimed, every few seconds.
   * @throws NanoclawError `outbound_unusable`
   */
  touchHeartbeat(): void {
    this.#checkOpen()
    try {
      touchHeartbeat(this.#paths.heartbeat, this.#parts.clock.now())
    } catch (error) {
      throw heartbeatError(this.#paths.heartbeat, error)
    }
  }

  /** Gives back what is claimed and not ended, and frees the folder. May be called twice. */
  close(): void {
    if (this.#isClosed) return
    const { inbox, outbox, lock, recovery } = this.#parts
    let left: number | undefined
    try {
      const held = [...this.#claimed.keys()]
      this.#commit({ results: this.#results({ type: 'released', keep: true }, CANCELLED, held) })
    } catch {
      // The next owner finds the claims, and in the lock that their owner has not died.
      left = recovery.epoch
    }
    this.#isClosed = true
    inbox.close()
    outbox.close()
    lock.release(left)
  }

  /** Runs whose claim the host has taken away end as such before the message is claimed again. */
  #forgetLost(ids: readonly string[]): void {
    const lost = this.#unacknowledged(ids.filter((id) => this.#claimed.has(id)))
    if (lost.length === 0) return
    this.#commit({ results: this.#results({ type: 'released', keep: true }, CANCELLED, lost) })
    for (const id of lost) this.#claimed.delete(id)
  }

  /** What was not claimed is ended all the same, unless it has an ack. */
  #end(
    ids: readonly string[],
    next: RunResult['next'],
    how: Pick<RunResult, 'outcome' | 'reason'>,
    messages: readonly OutboundMessage[],
  ): string[] {
    if (ids.length === 0 && messages.length === 0) return []
    const results = this.#results(next, how, ids)
    const unclaimed = this.#unacknowledged(ids.filter((id) => !this.#claimed.has(id)))
    const ack = next.type === 'failed' ? 'failed' : 'completed'
    const rejections = unclaimed.map((id) => ({ id, reason: how.reason ?? '', detail: '', ack }) as const)
    const wanted = new Set([...results, ...rejections].map(({ id }) => id))
    // A reply to what has ended before was written then.
    const others = new Set(ids.filter((id) => !wanted.has(id)))
    const { lost } = this.#commit(
      { results, rejections },
      messages.filter(({ inReplyTo }) => inReplyTo === null || !others.has(inReplyTo)),
    )
    for (const { id } of results) this.#claimed.delete(id)
    return ids.filter((id) => wanted.has(id) && !lost.has(id))
  }

  /** Of the messages among `ids` that are claimed. */
  #results(
    next: RunResult['next'],
    how: Pick<RunResult, 'outcome' | 'reason'>,
    ids: readonly string[],
  ): RunResult[] {
    return ids.flatMap((id) => {
      const run = this.#claimed.get(id)
      return run === undefined ? [] : { id, run, next, ...how, error: null, durationMs: 0 }
    })
  }

  #unacknowledged(ids: readonly string[]): readonly string[] {
    return ids.length === 0 ? [] : this.#use((outbox) => outbox.unacknowledged(ids))
  }

  #commit(batch: Partial<CommitBatch>, messages: readonly OutboundMessage[] = []) {
    const inboundSeq = messages.length > 0 ? this.#maxSeq() : 0
    const nowMs = this.#parts.clock.now()
    try {
      const done = this.#use((outbox) =>
        outbox.commit({ ...EMPTY_BATCH, ...batch, nowMs, inboundSeq }, messages),
      )
      this.#isUnsettled = false
      return done
    } catch (error) {
      this.#isUnsettled ||= error instanceof NanoclawError && isDoubtful(error.cause)
      throw error
    }
  }

  /** Claims that this session does not know of are taken back before it looks what is claimed. */
  #settle(): void {
    if (this.#isUnsettled) this.#commit({})
  }

  /** 0 where there is no inbound.db yet: a message may be written before the first one comes. */
  #maxSeq(): number {
    try {
      return this.#read((inbox) => inbox.maxSeq())
    } catch (error) {
      if (error instanceof NanoclawError && error.code === 'not_readable_yet') return 0
      throw error
    }
  }

  #read<T>(read: (inbox: Inbox) => T): T {
    this.#checkOpen()
    const { inbound } = this.#paths
    for (let tries = 1; ; tries++) {
      try {
        return read(this.#parts.inbox)
      } catch (cause) {
        if (cause instanceof NanoclawError) throw cause
        const trouble = readTrouble(cause, inbound)
        if (trouble.retry && tries < READ_TRIES) continue
        const why = trouble.retry ? 'its host keeps it locked; call again later' : trouble.reason
        const code = classifyRead(cause) === 'damaged' ? 'inbound_unusable' : 'not_readable_yet'
        throw new NanoclawError(code, `${inbound}: ${why}`, { cause })
      }
    }
  }

  #use<T>(work: (outbox: ReopeningOutbox) => T): T {
    this.#checkOpen()
    try {
      return work(this.#parts.outbox)
    } catch (error) {
      throw writeError(this.#paths.outbound, error)
    }
  }

  #checkOpen(): void {
    if (this.#isClosed)
      throw new NanoclawError('bad_usage', 'the session is closed; open it again with openSession')
  }
}

const CANCELLED = { outcome: 'cancelled', reason: 'shutdown' } as const

function isReady(
  { status, onWake, processAfter }: InboundRow,
  history: History | undefined,
  nowMs: number,
): boolean {
  const dueAtMs = dueTime(processAfter)
  if (status !== 'pending' || onWake || dueAtMs === undefined || dueAtMs > nowMs) return false
  const { nextAtMs = null, waitMs = null } = history ?? {}
  return nextAtMs === null || Math.min(nextAtMs - nowMs, waitMs ?? Number.POSITIVE_INFINITY) <= 0
}

function outboundMessage(given: NewReply, inReplyTo: string | null): OutboundMessage {
  const {
    kind,
    content,
    platformId = null,
    channelType = null,
    threadId = null,
    deliverAfterMs = null,
  } = given
  return {
    id: given.id ?? `msg-${randomUUID()}`,
    inReplyTo: given.inReplyTo === undefined ? inReplyTo : given.inReplyTo,
    reply: { kind, content, platformId, channelType, threadId, deliverAfterMs },
  }
}

/** An error of SQLite in the words of the project; every other one stays as it is. */
function writeError(path: string, error: unknown): unknown {
  return classifyWrite(error) === 'bug' ? error : outboundError(path, error)
}
