// A store in memory that answers each commit late, with a promise: the second implementation of the store
// port. A batch takes effect after one round of the event loop and is answered after another, so a caller
// that does not wait is found out.
import { setImmediate } from 'node:timers/promises'
import { endOf } from '../../runtime/protocol/ack.ts'
import type {
  Claim,
  CommitBatch,
  CommitResult,
  History,
  Rejection,
  RunResult,
  WaitingPlace,
} from '../../runtime/protocol/commit-batch.ts'
import { NanoclawError } from '../../runtime/protocol/errors.ts'
import { replyId, replyIdAgain } from '../../runtime/protocol/reply-id.ts'
import type { Journal } from '../../runtime/protocol/steps.ts'
import { isoTime } from '../../runtime/protocol/time.ts'
import type { WaitQueries } from '../../runtime/protocol/waits.ts'
import type { EndedMessage, Recovery, RetentionQueries, Store } from '../../runtime/store/store.ts'
import { addRun, type Contents, NOTHING, type StoredRun, type StoredWait } from './memory-contents.ts'
import { closeWaits, isAsked, keep, suspend, takeAnswer, wake, withdraw } from './memory-journals.ts'

let files = 0

export class MemoryFile {
  contents: Contents = {
    epoch: 0,
    checkpoint: { seq: Number.MIN_SAFE_INTEGER, id: null, unfinished: [] },
    acks: new Map(),
    running: new Map(),
    runs: new Map(),
    journals: new Map(),
    waiting: new Map(),
    answeredWhileRunning: new Set(),
    replies: [],
    committed: NOTHING,
  }
  readonly scope = `memory-${++files}`
  /** A reply with this content cannot be stored. */
  unwritable: string | undefined
}

const DEATHS: readonly string[] = ['exited', 'killed', 'out-of-memory']
const UNCHARGED: readonly string[] = ['interrupted', 'cancelled', 'suspended']

export interface MemoryStoreParts {
  /** Resolves some time later. */
  readonly later?: () => Promise<unknown>
  /** Stands around the moment in which a batch takes effect. */
  readonly around?: (batch: CommitBatch, write: () => CommitResult) => CommitResult
}

export class MemoryStore implements Store {
  readonly #file: MemoryFile
  readonly #later: () => Promise<unknown>
  readonly #around: NonNullable<MemoryStoreParts['around']>
  #epoch = 0
  /** The number of the last commit whose answer has come. */
  #answered = 0
  #committing = false
  #closed = false

  constructor(
    file: MemoryFile,
    { later = setImmediate, around = (_, write) => write() }: MemoryStoreParts = {},
  ) {
    this.#file = file
    this.#later = later
    this.#around = around
  }

  recover(nowMs: number, crashLimit: number, stoppedEpoch = 0): Recovery {
    return this.#write((of) => {
      const died = of.epoch === 0 || of.epoch !== stoppedEpoch
      const quarantined: string[] = []
      const left = [...of.running.values()]
      for (const { id, run, worker, ...claim } of left) {
        const alone = claim.alone && left.filter((other) => other.worker === worker).length === 1
        const deaths = crashesOf(of.runs.get(id) ?? []) + (died && alone ? 1 : 0)
        const poison = died && deaths >= crashLimit
        const waitMs = deaths <= 1 ? 0 : Math.min(1_000 * 2 ** (deaths - 2), 60_000)
        addRun(of, id, {
          run,
          alone,
          endedAtMs: nowMs,
          outcome: died ? 'interrupted' : 'cancelled',
          reason: poison ? 'crash_limit' : died ? 'runtime_died' : 'shutdown',
          nextAtMs: poison ? null : died ? nowMs + waitMs : afterStop(of.runs.get(id) ?? [], nowMs),
        })
        if (poison) of.acks.set(id, { status: 'failed', changed: isoTime(nowMs) })
        if (poison) closeWaits(of, id)
        if (poison) quarantined.push(id)
      }
      of.running.clear()
      for (const [id, { status }] of of.acks) if (status === 'processing') of.acks.delete(id)
      this.#epoch = ++of.epoch
      of.committed = NOTHING
      this.#answered = 0
      return {
        epoch: of.epoch,
        scope: this.#file.scope,
        checkpoint: of.checkpoint,
        interrupted: left.length,
        quarantined,
      }
    })
  }

  async commit(batch: CommitBatch): Promise<CommitResult> {
    if (this.#committing) throw new Error('two commits are under way at a time')
    this.#committing = true
    try {
      await this.#later()
      const result = this.#around(batch, () => this.#write((of) => this.#writeBatch(of, batch)))
      await this.#later()
      this.#answered = this.#file.contents.committed.number
      return result
    } finally {
      this.#committing = false
    }
  }

  history(ids: readonly string[]): ReadonlyMap<string, History> {
    const { acks, runs, waiting, journals } = this.#file.contents
    const known = ids.filter((id) => acks.has(id) || runs.has(id))
    const waits = (id: string) => ({
      wakeAtMs: waiting.get(id)?.wakeAtMs ?? null,
      woken: waiting.get(id)?.ready ?? false,
      begunBy: journals.get(id)?.functionName ?? null,
    })
    return new Map(
      known.map((id) => [id, { ...historyOf(acks.get(id)?.status, runs.get(id) ?? []), ...waits(id) }]),
    )
  }

  unfinished(ids: readonly string[], limit: number, nowMs: number): readonly string[] {
    const { acks, waiting } = this.#file.contents
    const isOpen = (id: string) => {
      const wait = waiting.get(id)
      return !endOf(acks.get(id)?.status ?? 'processing') && !(wait && !wait.ready && wait.wakeAtMs > nowMs)
    }
    return ids.filter(isOpen).slice(0, limit)
  }

  readonly waits: WaitQueries = {
    holding: (afterId, limit) =>
      [...this.#file.contents.waiting]
        .flatMap(([id, { holds }]) => (holds && id > afterId ? id : []))
        .sort()
        .slice(0, limit),
    due: (after, nowMs, limit) => {
      const behind = (at: number, id: string) =>
        at > after.wakeAtMs || (at === after.wakeAtMs && id > after.id)
      return [...this.#file.contents.waiting]
        .flatMap(([id, { wakeAtMs }]) => (behind(wakeAtMs, id) && wakeAtMs <= nowMs ? { id, wakeAtMs } : []))
        .sort((a, b) => a.wakeAtMs - b.wakeAtMs || (a.id < b.id ? -1 : 1))
        .slice(0, limit)
    },
    ready: (afterId, limit) => {
      const ready = [...this.#file.contents.waiting].flatMap(([id, each]) =>
        each.ready && id > afterId ? id : [],
      )
      return ready.sort().slice(0, limit)
    },
    nextAtMs: (afterMs) => {
      const times = [...this.#file.contents.waiting.values()].map(({ wakeAtMs }) => wakeAtMs)
      const next = Math.min(...times.filter((at) => at > afterMs))
      return Number.isFinite(next) ? next : undefined
    },
    questions: (ids) =>
      [...this.#file.contents.journals].flatMap(([messageId, { waits }]) =>
        waits.flatMap(({ questionId, state, values }) =>
          questionId !== undefined && ids.includes(questionId)
            ? { questionId, messageId, isOpen: state === 'open', values }
            : [],
        ),
      ),
    openAt: (addresses) =>
      this.#openTexts().flatMap(({ questionId, address, afterSeq }) =>
        questionId !== undefined && address !== null && addresses.includes(address)
          ? { questionId, address, afterSeq }
          : [],
      ),
    asksText: () => this.#openTexts().length > 0,
  }

  #openTexts(): StoredWait[] {
    const all = [...this.#file.contents.journals.values()].flatMap(({ waits }) => waits)
    return all.filter(({ state, address }) => state === 'open' && address !== null)
  }

  waiting(after: WaitingPlace | undefined, limit: number): readonly WaitingPlace[] {
    const all = [...this.#file.contents.runs].flatMap(([id, runs]) =>
      runs.flatMap(({ nextAtMs }) => (nextAtMs === null ? [] : { nextAtMs, id })),
    )
    const order = (a: WaitingPlace, b: WaitingPlace) => a.nextAtMs - b.nextAtMs || (a.id < b.id ? -1 : 1)
    const behind = all.sort(order).filter((each) => !after || order(after, each) < 0)
    return behind.filter(({ id }) => id !== after?.id).slice(0, limit)
  }

  readonly retention: RetentionQueries = {
    endedAfter: (place, limit) => {
      const all = [...this.#file.contents.acks].map(([id, ack], n) => ({ place: n + 1, id, ...ack }))
      return all
        .filter((ack) => ack.place > place && endOf(ack.status))
        .slice(0, limit)
        .map(({ place, id, changed }): EndedMessage => ({ place, id, endedAt: changed }))
    },
    repliesTo: (ids) => {
      const asked = new Set(ids)
      const replies = this.#file.contents.replies.filter(({ inReplyTo }) => asked.has(inReplyTo))
      return replies.map(({ id, inReplyTo }) => [id, inReplyTo])
    },
    forget: (ids, replies) =>
      this.#write((of) => {
        this.#checkEpoch(of)
        const last = Math.max(...of.replies.map(({ seq }) => seq))
        of.replies = of.replies.filter(({ id, seq }) => seq === last || !replies.includes(id))
        for (const id of ids) {
          of.runs.delete(id)
          of.journals.delete(id)
          of.waiting.delete(id)
          if (endOf(of.acks.get(id)?.status ?? 'processing')) of.acks.delete(id)
        }
      }),
  }

  close(): void {
    this.#closed = true
  }

  /** Whole or not at all. */
  #write<T>(work: (contents: Contents) => T): T {
    if (this.#closed) throw new Error('the store is closed')
    const { acks, running, runs, replies, journals, waiting, ...rest } = this.#file.contents
    // What stands in them is never changed, only replaced.
    const contents: Contents = {
      ...rest,
      acks: new Map(acks),
      running: new Map(running),
      runs: new Map(runs),
      replies: [...replies],
      journals: structuredClone(journals),
      waiting: structuredClone(waiting),
      answeredWhileRunning: new Set(rest.answeredWhileRunning),
    }
    const result = work(contents)
    this.#file.contents = contents
    return result
  }

  #checkEpoch({ epoch }: Contents): void {
    if (epoch !== this.#epoch) throw new NanoclawError('fenced', `epoch ${epoch}, ours is ${this.#epoch}`)
  }

  #writeBatch(of: Contents, batch: CommitBatch): CommitResult {
    this.#checkEpoch(of)
    const { committed } = of
    const before = committed.number > this.#answered ? committed : NOTHING
    for (const claim of before.claims) takeBack(of, claim)
    const [lost, refused] = [new Set<string>(), new Set<string>()]
    const journals = new Map<string, Journal>()
    for (const each of batch.steps) keep(of, each)
    let seq = Math.ceil(Math.max(0, batch.inboundSeq, ...of.replies.map((reply) => reply.seq)))
    const waiting = new Map<string, number>()
    const functionOf = new Map([...of.running].map(([id, { functionName }]) => [id, functionName]))
    for (const result of batch.results) {
      const { id, run, next } = result
      if (before.results.some((each) => each.id === id && each.run === run)) {
        if (before.answer.lost.has(id)) lost.add(id)
        const wakeAtMs = before.answer.waiting.get(id)
        if (wakeAtMs !== undefined) waiting.set(id, wakeAtMs)
      } else if (!endRun(of, result, batch.nowMs)) lost.add(id)
      else if (next.type === 'completed' || next.type === 'waiting')
        next.replies.forEach(({ content }, at) => {
          const n = (next.from ?? 0) + at
          if (content === this.#file.unwritable) throw new Error('this reply cannot be stored')
          seq += seq % 2 === 0 ? 1 : 2
          const isTaken = of.replies.some((each) => each.id === replyId(id, n))
          const runs = of.runs.get(id) ?? []
          if (
            isTaken &&
            runs.some(
              (each) => each.run !== run && (each.outcome === 'replied' || each.outcome === 'suspended'),
            )
          )
            return
          const reply = isTaken ? replyIdAgain(replyId(id, n), seq) : replyId(id, n)
          of.replies.push({ id: reply, seq, inReplyTo: id, content })
        })
    }
    for (const result of batch.results) {
      if (lost.has(result.id) || before.results.some((each) => each.id === result.id)) continue
      if (result.next.type === 'waiting')
        waiting.set(result.id, suspend(of, result, { ...batch, functionName: functionOf.get(result.id)! }))
      else if (result.next.type === 'completed' || result.next.type === 'failed') closeWaits(of, result.id)
    }
    const unused = new Set(before.answer.unused)
    const answered = batch.answers.flatMap((each) => {
      if (before.answers.some(({ id }) => id === each.id)) return []
      if (each.otherwise === 'late' || isAsked(of, each.questionId))
        return takeAnswer(of, each, batch.nowMs) ?? []
      unused.add(each.id)
      return []
    })
    answered.push(...before.answer.answered)
    for (const id of batch.withdrawn) withdraw(of, id, batch.nowMs)
    for (const rejection of batch.rejections) reject(of, rejection, batch.nowMs)
    for (const claim of batch.claims) {
      if (begin(of, claim, batch.nowMs)) wake(of, claim, batch.nowMs)
      else refused.add(claim.id)
      const journal = of.journals.get(claim.id)
      if (journal && !refused.has(claim.id)) journals.set(claim.id, journal)
    }
    if (batch.checkpoint) of.checkpoint = batch.checkpoint
    const answer = { lost, refused, journals, waiting, answered, unused }
    const claims = batch.claims.filter(({ id }) => !refused.has(id))
    const { results, answers } = batch
    of.committed = { number: committed.number + 1, results, answers, claims, answer }
    return answer
  }
}

/** A claim whose commit was not answered, so that its run has not begun. */
function takeBack(of: Contents, { id }: Claim): void {
  of.running.delete(id)
  if (of.acks.get(id)?.status === 'processing') of.acks.delete(id)
}

/** False: its claim is not there. */
function endRun(of: Contents, result: RunResult, nowMs: number): boolean {
  const { id, run, next, outcome, reason } = result
  const claim = of.running.get(id)
  if (claim?.run !== run) return false
  of.running.delete(id)
  const ours = of.acks.get(id)?.status === 'processing'
  const pausedUntilMs = reason === 'shutdown' ? afterStop(of.runs.get(id) ?? [], nowMs) : null
  const end = ours
    ? { outcome, reason, nextAtMs: next.type === 'retry' ? next.nextAtMs : pausedUntilMs }
    : { outcome: 'cancelled', reason: 'claim_lost', nextAtMs: null }
  if (next.type !== 'released' || next.keep)
    addRun(of, id, { run, alone: claim.alone, endedAtMs: nowMs, ...end })
  if (!ours) return false
  if (next.type === 'completed' || next.type === 'failed')
    of.acks.set(id, { status: next.type, changed: isoTime(nowMs) })
  else of.acks.delete(id)
  return true
}

/** When a message may run again that a stop has interrupted; null: at once, after the first one. */
function afterStop(runs: readonly StoredRun[], nowMs: number): number | null {
  const stops = runs.filter(({ outcome, reason }) => outcome === 'cancelled' && reason === 'shutdown').length
  return stops === 0 ? null : nowMs + Math.min(1_000 * 2 ** (stops - 1), 60_000)
}

function reject(of: Contents, { id, rawId, reason, ack = 'failed' }: Rejection, nowMs: number): void {
  if (rawId !== undefined || of.acks.has(id)) return
  of.acks.set(id, { status: ack, changed: isoTime(nowMs) })
  closeWaits(of, id)
  const run = Math.max(0, ...(of.runs.get(id) ?? []).map((each) => each.run)) + 1
  const ended = { run, alone: false, endedAtMs: nowMs, nextAtMs: null }
  if (ack === 'failed') addRun(of, id, { ...ended, outcome: 'rejected', reason })
}

/** False: it has an ack, or a run on record that the claim does not know of. */
function begin(of: Contents, claim: Claim, nowMs: number): boolean {
  const { id, run } = claim
  const runs = of.runs.get(id) ?? []
  if (of.acks.has(id) || runs.some((each) => each.run >= run)) return false
  of.acks.set(id, { status: 'processing', changed: isoTime(nowMs) })
  of.running.set(id, claim)
  if (runs.length > 0) {
    of.runs.set(
      id,
      runs.map((each) => ({ ...each, nextAtMs: null })),
    )
    const { unfinished } = of.checkpoint
    if (!unfinished.includes(id)) of.checkpoint = { ...of.checkpoint, unfinished: [...unfinished, id] }
  }
  return true
}

function crashesOf(runs: readonly StoredRun[]): number {
  return runs.filter(({ outcome, alone }) => DEATHS.includes(outcome) || (outcome === 'interrupted' && alone))
    .length
}

function historyOf(
  status: string | undefined,
  runs: readonly StoredRun[],
): Omit<History, 'wakeAtMs' | 'woken' | 'begunBy'> {
  const away = runs.filter(({ reason }) => reason === 'retry_after')
  const charged = runs.filter(
    ({ outcome, reason }) => !UNCHARGED.includes(outcome) && reason !== 'retry_after',
  )
  const waiting = runs.find(({ nextAtMs }) => nextAtMs !== null)
  return {
    done: status !== undefined && endOf(status) !== undefined,
    runs: Math.max(0, ...runs.map(({ run }) => run)),
    attempts: charged.length,
    turnedAwaySinceMs: away[0]?.endedAtMs ?? null,
    crashes: crashesOf(runs),
    interrupted: runs.some(({ outcome }) => outcome === 'interrupted'),
    nextAtMs: waiting?.nextAtMs ?? null,
    waitMs: waiting ? waiting.nextAtMs! - waiting.endedAtMs : null,
  }
}
