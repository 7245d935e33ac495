// What messages have done and wait for by name, in nanoclaw_step and nanoclaw_waiting. All of it is part of
// the transaction of a commit batch; the outbox decides whose claim holds.
import type { AnswerResult, Claim, CommitBatch, RunResult, StepResult } from '../../protocol/commit-batch.ts'
import { redrivenFrom } from '../../protocol/redrive.ts'
import type { Journal, Step } from '../../protocol/steps.ts'
import type {
  AskedQuestion,
  OpenQuestion,
  RecordedWait,
  WaitPlace,
  WaitQueries,
} from '../../protocol/waits.ts'
import type { HeldClaim } from './claims.ts'
import type { WritableDb } from './open.ts'
import { prepared, statements } from './outbox-sql.ts'

/** The last instant that a Date can say. */
const INSTANT_MAX_MS = 8.64e15

export class JournalTables implements WaitQueries {
  readonly #sql

  constructor(db: WritableDb) {
    this.#sql = prepared(db, PREPARED)
  }

  keep(
    { id, run, name, state, value, durationMs, version }: StepResult,
    functionName: string,
    nowMs: number,
  ): void {
    this.#sql.step.run(id, name, state, value, functionName, version, run, nowMs, durationMs)
  }

  /** The message waits for these, too, with so many of its replies on record. Returns when it wakes. */
  suspend(
    { id, run }: RunResult,
    { waits, version, holds }: Waiting,
    replies: number,
    { claim: { functionName }, isAnswered }: HeldClaim,
    { nowMs, inboundSeq }: Pick<CommitBatch, 'nowMs' | 'inboundSeq'>,
  ): number {
    for (const { name, kind, until, question, said, isAlone } of waits) {
      const wakeAtMs = Math.min(
        Math.ceil('forMs' in until ? nowMs + until.forMs : until.atMs),
        INSTANT_MAX_MS,
      )
      const asked = {
        questionId: question?.id ?? null,
        choices: question?.values ? JSON.stringify(question.values) : null,
        address: question?.address ?? null,
        afterSeq: question ? inboundSeq : null,
      }
      const of = { id, run, name, kind, functionName, version, nowMs, wakeAtMs, replies }
      this.#sql.wait.run({ ...of, ...asked, said: JSON.stringify(said), alone: isAlone ? 1 : 0 })
    }
    return this.#sql.suspend.get({ id, nowMs, ready: isAnswered ? 1 : 0, holds: holds ? 1 : 0 }) as number
  }

  /** These messages have ended: they wait for nothing. Returns how many waits they still had. */
  close(ids: readonly string[]): number {
    const ended = JSON.stringify(ids)
    this.#sql.wake.all(ended)
    return this.#sql.closeWaits.run(ended).changes
  }

  /** The host has ended these. Returns those of them that waited. */
  withdraw(ids: readonly string[]): string[] {
    const ended = JSON.stringify(ids)
    this.#sql.closeWaits.run(ended)
    return this.#sql.wake.all(ended) as string[]
  }

  isOpen(questionId: string): boolean {
    return this.#sql.isOpen.get(questionId) !== undefined
  }

  /**
   * Returns the message that the answer wakes; undefined: its question is not open, or it answers nothing.
   */
  answer({ id, questionId, value }: AnswerResult, nowMs: number): string | undefined {
    if (value === null) return undefined
    const messageId = this.#sql.answer.get({ questionId, value, by: id, nowMs }) as string | undefined
    if (messageId !== undefined) this.#sql.makeReady.run(messageId)
    return messageId
  }

  /**
   * Messages that are claimed: those that have waited wait no more, and their waits that are over have ended.
   * Returns what is on record about each; of those that go on with the work of a failed one, what that one
   * has done.
   */
  claimed(claims: readonly Claim[], nowMs: number): ReadonlyMap<string, Journal> {
    const again = claims.flatMap(({ id, run }) => (run > 1 ? id : []))
    if (again.length > 0) this.#wake(again, nowMs)
    const ids = [
      ...again,
      ...claims.flatMap(({ id, run }) => (run === 1 ? (this.#adopt(id, nowMs) ?? []) : [])),
    ]
    return ids.length > 0 ? this.#journals(ids) : NO_JOURNALS
  }

  holding(afterId: string, limit: number): string[] {
    return this.#sql.holding.all(afterId, limit) as string[]
  }

  due({ wakeAtMs, id }: WaitPlace, nowMs: number, limit: number): WaitPlace[] {
    return this.#sql.due.all({ wakeAtMs, id, nowMs, limit }) as WaitPlace[]
  }

  ready(afterId: string, limit: number): string[] {
    return this.#sql.ready.all(afterId, limit) as string[]
  }

  nextAtMs(afterMs: number): number | undefined {
    return (this.#sql.nextAtMs.get(afterMs) as number | null) ?? undefined
  }

  questions(ids: readonly string[]): AskedQuestion[] {
    const rows = this.#sql.questions.all(JSON.stringify(ids)) as QuestionRow[]
    return rows.map(({ state, choices, ...question }) => ({
      ...question,
      isOpen: state === 'open',
      values: choices === null ? null : (JSON.parse(choices) as string[]),
    }))
  }

  openAt(addresses: readonly string[]): OpenQuestion[] {
    return this.#sql.openAt.all(JSON.stringify(addresses)) as OpenQuestion[]
  }

  asksText(): boolean {
    return this.#sql.asksText.get() !== undefined
  }

  #wake(ids: readonly string[], nowMs: number): void {
    const woken = JSON.stringify(this.#sql.wake.all(JSON.stringify(ids)))
    if (woken === '[]') return
    this.#sql.endWaits.run({ ids: woken, nowMs })
  }

  /** undefined: it does not go on with the work of another one. */
  #adopt(id: string, nowMs: number): string | undefined {
    const from = redrivenFrom(id)
    return from !== undefined && this.#sql.adopt.run({ id, from, nowMs }).changes > 0 ? id : undefined
  }

  #journals(ids: readonly string[]): Map<string, Journal> {
    const journals = new Map<string, OpenJournal>()
    for (const row of this.#sql.journals.all(JSON.stringify(ids)) as JournalRow[]) {
      const { id, name, kind, state, value, version } = row
      const journal = journals.get(id) ?? { origin: id, version: null, steps: [], waits: [] }
      journals.set(id, journal)
      if (kind === 'origin') journal.origin = value ?? id
      else journal.version = Math.min(journal.version ?? version, version)
      if (kind === 'step') journal.steps.push({ name, state: state as Step['state'], value })
      if (kind === 'sleep' || kind === 'ask') journal.waits.push(waitOf(row, kind))
    }
    return journals
  }
}

const NO_JOURNALS: ReadonlyMap<string, Journal> = new Map()

type OpenJournal = { -readonly [K in keyof Journal]: Journal[K] } & {
  readonly steps: Step[]
  readonly waits: RecordedWait[]
}

type Waiting = Extract<RunResult['next'], { readonly type: 'waiting' }>

interface QuestionRow extends Pick<AskedQuestion, 'questionId' | 'messageId'> {
  readonly state: string
  readonly choices: string | null
}

interface JournalRow {
  readonly id: string
  readonly name: string
  readonly kind: 'step' | 'origin' | RecordedWait['kind']
  readonly state: string
  readonly value: string | null
  readonly version: number
  readonly replies: number | null
  readonly said: string | null
  readonly alone: number | null
  readonly run: number
}

function waitOf(
  { name, state, value, run, replies, said, alone }: JournalRow,
  kind: RecordedWait['kind'],
): RecordedWait {
  const sent = {
    run,
    replies: replies ?? 0,
    said: JSON.parse(said ?? '[]') as string[],
    isAlone: alone !== 0,
  }
  return { name, kind, state: state as RecordedWait['state'], value, ...sent }
}

const FAILED_FROM = `exists (select 1 from processing_ack where message_id = :from and status = 'failed')`

const TEXTS = {
  step: `insert into nanoclaw_step (message_id, name, kind, state, value, function, version, run, at, duration_ms)
    values (?, ?, 'step', ?, ?, ?, ?, ?, ?, ?) on conflict (message_id, name) do nothing`,
  /**
   * What a failed message has done is done for the one that goes on with its work; what has failed for good
   * is tried again.
   */
  adopt: `insert into nanoclaw_step (message_id, name, kind, state, value, function, version, run, at, duration_ms, replies)
    select :id, s.name, s.kind, s.state, s.value, s.function, s.version, s.run, s.at, s.duration_ms, 0 from nanoclaw_step s
      where s.message_id = :from and s.state = 'done' and ${FAILED_FROM}
    union all
    select :id, '', 'origin', 'done',
      coalesce((select value from nanoclaw_step where message_id = :from and kind = 'origin'), :from), '', 0, 0, :nowMs, 0, 0
      where ${FAILED_FROM}
    on conflict (message_id, name) do nothing`,
  journals: `select s.message_id as id, s.name, s.kind, s.state, s.value, s.version, s.replies, s.said, s.alone, s.run from json_each(?) j
    join nanoclaw_step s on s.message_id = j.value`,

  wait: `insert into nanoclaw_step (message_id, name, kind, state, function, version, run, at, question_id, choices, address,
      after_seq, wake_at, replies, said, alone)
    values (:id, :name, :kind, 'open', :functionName, :version, :run, :nowMs, :questionId, :choices, :address,
      :afterSeq, :wakeAtMs, :replies, :said, :alone) on conflict (message_id, name) do nothing`,
  /**
   * A message between two runs: it wakes with the first of its open waits, or at once when one has ended
   * while it ran.
   */
  suspend: `insert or replace into nanoclaw_waiting (message_id, since, wake_at, ready, holds)
    select :id, :nowMs, coalesce(min(iif(state = 'open', wake_at, null)), :nowMs), :ready, :holds
    from nanoclaw_step where message_id = :id and kind in ('sleep', 'ask')
    returning iif(ready = 1, :nowMs, wake_at)`,
  /** What is claimed waits no more. */
  wake: 'delete from nanoclaw_waiting where message_id in (select value from json_each(?)) returning message_id',
  endWaits: `update nanoclaw_step set state = iif(kind = 'sleep', 'done', 'timeout')
    where message_id in (select value from json_each(:ids)) and state = 'open' and wake_at <= :nowMs`,
  closeWaits: `update nanoclaw_step set state = 'closed' where message_id in (select value from json_each(?)) and state = 'open'`,
  answer: `update nanoclaw_step set state = 'done', value = :value, by_message = :by, at = :nowMs
    where question_id = :questionId and state = 'open' returning message_id`,
  makeReady: 'update nanoclaw_waiting set ready = 1 where message_id = ?',

  due: `select message_id as id, wake_at as "wakeAtMs" from nanoclaw_waiting
    where (wake_at, message_id) > (:wakeAtMs, :id) and wake_at <= :nowMs order by wake_at, message_id limit :limit`,
  ready:
    'select message_id from nanoclaw_waiting where ready = 1 and message_id > ? order by message_id limit ?',
  nextAtMs: 'select min(wake_at) from nanoclaw_waiting where wake_at > ?',
  holding:
    'select message_id from nanoclaw_waiting where holds = 1 and message_id > ? order by message_id limit ?',
  isOpen: `select 1 from nanoclaw_step where question_id = ? and state = 'open'`,
  questions: `select question_id as "questionId", message_id as "messageId", s.state, s.choices from json_each(?) j
    join nanoclaw_step s on s.question_id = j.value`,
  asksText: `select 1 from nanoclaw_step where state = 'open' and address is not null limit 1`,
  openAt: `select question_id as "questionId", s.address, s.after_seq as "afterSeq" from json_each(?) j
    join nanoclaw_step s on s.address = j.value where s.state = 'open' order by s.at, s.message_id, s.name`,
} as const

const PREPARED = statements(TEXTS, ['wake', 'suspend', 'answer', 'ready', 'holding', 'isOpen', 'nextAtMs'])
