// What both files together must say: of single messages (cheap, after every kill, for those that have ended
// since) and of all of them (now and then, from the beginning, remembering nothing but how each message had
// ended before).
import type { Db } from './files.ts'
import type { About, Trace } from './trace.ts'
import type { Violation } from './violation.ts'
import { CRASHES_MAX, endOf, questionText, type Said, saidBy, type Task, type Waits } from './workload.ts'

interface Ack {
  readonly rowid: number
  readonly id: string
  readonly status: string
  readonly changed: string
}

/** How a message ends that is the answer to a question. */
const RESPONSE = new Set(['answered', 'late-answer'])
const FINAL = new Set(['completed', 'failed'])
/** Runs without an end, as docs/protocol.md says where they stand. */
const RUNNING = `
  select json_extract(value, '$[0]') as message_id from nanoclaw_batch, json_each(runs)
  where not exists (select 1 from nanoclaw_run r
    where r.message_id = json_extract(value, '$[0]') and r.run = json_extract(value, '$[1]'))`

export class Books {
  readonly #inbound: Db
  readonly #outbound: Db
  readonly #violations: Violation[]

  constructor(inbound: Db, outbound: Db, violations: Violation[]) {
    this.#inbound = inbound
    this.#outbound = outbound
    this.#violations = violations
  }

  about(id: string): About | undefined {
    const row = this.#inbound
      .prepare('select seq, thread_id, process_after, kind from messages_in where id = ?')
      .raw()
      .get(id) as [number, string | null, string | null, string] | undefined
    if (!row) return undefined
    const [seq, key, after, kind] = row
    return { seq, key, dueAtMs: after === null ? 0 : Date.parse(after) || 0, holds: kind === 'hold' }
  }

  /** Acks of messages behind `rowid`, oldest first. */
  acksAfter(rowid: number): Ack[] {
    return this.#outbound
      .prepare(
        'select rowid, message_id as id, status, status_changed as changed from processing_ack where rowid > ? order by rowid',
      )
      .all(rowid) as Ack[]
  }

  /**
   * I1, I2, I3, I11 of these messages.
   * @param known how messages had ended at the last check; those that have ended since are added
   */
  checkAcks(acks: readonly Ack[], known: Map<string, string>): void {
    for (const { id, status, changed } of acks) {
      const before = known.get(id)
      if (before !== undefined && before !== `${status} ${changed}`)
        this.#say('I1', `${id} was ${before}, and is ${status} ${changed}`)
      if (!FINAL.has(status)) continue
      known.set(id, `${status} ${changed}`)
      if (before === undefined) this.#checkEnd(id, status)
    }
  }

  /** I3 of the replies behind `rowid`. @returns the last one's */
  checkReplies(rowid: number): number {
    const rows = this.#outbound
      .prepare(
        `select o.rowid, o.id, o.in_reply_to, a.status, exists (
           select 1 from nanoclaw_run r where r.message_id = o.in_reply_to and r.outcome = 'suspended')
         from messages_out o left join processing_ack a on a.message_id = o.in_reply_to where o.rowid > ? order by o.rowid`,
      )
      .raw()
      .all(rowid) as [number, string, string, string | null, number][]
    for (const [, id, message, status, hasWaited] of rows) {
      if (status !== 'completed' && hasWaited === 0)
        this.#say('I3', `reply ${id} is there, its message is ${status ?? 'not acked'}`)
      if (!id.startsWith(`${message}:`)) this.#say('I2', `reply ${id} is not one of ${message}`)
    }
    return rows.at(-1)?.[0] ?? rowid
  }

  /** I7: the starts that handlers have written down are on record. */
  checkStarts(ids: Iterable<string>, trace: Trace): void {
    const runs = this.#outbound
      .prepare(`select (select count(*) from nanoclaw_run where message_id = :id)
        + (select count(*) from (${RUNNING}) where message_id = :id)`)
      .pluck()
    for (const id of ids) {
      const started = trace.startsToAccountFor(id)
      const recorded = runs.get({ id }) as number
      if (recorded < started)
        this.#say('I7', `lost attempt: ${id} has started ${started} times, ${recorded} runs are on record`)
    }
  }

  epoch(): number {
    return this.#outbound.prepare('select epoch from nanoclaw_runtime').pluck().get() as number
  }

  /** Steps that are on disk, by message and name. */
  steps(): [id: string, name: string][] {
    return this.#outbound
      .prepare("select message_id, name from nanoclaw_step where kind = 'step'")
      .raw()
      .all() as [string, string][]
  }

  /** How waits have ended: that is for ever. */
  waitEnds(): Map<string, string> {
    const rows = this.#outbound
      .prepare(
        `select message_id || ' ' || name, state || ' ' || coalesce(value, '') || ' ' || coalesce(by_message, '')
         from nanoclaw_step where kind in ('sleep', 'ask') and state <> 'open'`,
      )
      .raw()
      .all() as [string, string][]
    return new Map(rows)
  }

  /** I2, I13 and I14 of all that wait, and of what may be lost between two runs; as of one moment. */
  checkWaits(): void {
    this.#outbound.transaction(() => this.#checkWaits())()
  }

  #checkWaits(): void {
    const checkpoint = this.#outbound
      .prepare('select checkpoint_seq from nanoclaw_runtime')
      .pluck()
      .get() as number
    for (const id of this.#outbound.prepare(WOKEN).pluck().all() as string[])
      if ((this.about(id)?.seq ?? 0) <= checkpoint)
        this.#say('I14', `${id} was suspended, and no start finds it`)
    for (const [invariant, text, sql] of WAIT_FAULTS)
      for (const id of this.#outbound.prepare(sql).pluck().all()) this.#say(invariant, `${id} ${text}`)
    const waiting = this.#outbound
      .prepare('select message_id from nanoclaw_waiting')
      .pluck()
      .all() as string[]
    for (const id of waiting) {
      const [, content] = this.#rowOf(id) ?? []
      if (content === undefined) this.#say('I1', `${id} waits; inbound.db has no such message`)
      else this.#checkSaid(id, JSON.parse(content) as Waits, 'waits')
    }
  }

  counts(): {
    messages: number
    ended: number
    runs: number
    replies: number
    questions: number
    answers: number
    late: number
    unanswered: number
  } {
    const count = (db: Db, sql: string) => db.prepare(sql).pluck().get() as number
    return {
      messages: count(this.#inbound, 'select count(*) from messages_in'),
      ended: count(
        this.#outbound,
        "select count(*) from processing_ack where status in ('completed', 'failed')",
      ),
      runs: count(this.#outbound, 'select count(*) from nanoclaw_run'),
      replies: count(this.#outbound, 'select count(*) from messages_out'),
      questions: count(this.#outbound, "select count(*) from nanoclaw_step where kind = 'ask'"),
      answers: count(this.#outbound, "select count(*) from nanoclaw_run where outcome = 'answered'"),
      late: count(this.#outbound, "select count(*) from nanoclaw_run where outcome = 'late-answer'"),
      unanswered: count(this.#outbound, "select count(*) from nanoclaw_step where state = 'timeout'"),
    }
  }

  failed(): string[] {
    return this.#outbound
      .prepare("select message_id from processing_ack where status = 'failed'")
      .pluck()
      .all() as string[]
  }

  checkIntegrity(): void {
    const verdict = this.#outbound.pragma('integrity_check', { simple: true })
    if (verdict !== 'ok') this.#say('I10', `integrity_check of outbound.db: ${verdict}`)
  }

  /**
   * I4: in each key, what has ended stands before what has not, and ended in order. Answers have no order,
   * and neither have messages that were due later or let others run while they wait.
   */
  checkKeys(): void {
    const unordered = new Set(
      this.#outbound
        .prepare(
          "select message_id from nanoclaw_run where outcome = 'answered' or (outcome = 'suspended' and function <> 'hold')",
        )
        .pluck()
        .all(),
    )
    const acks = new Map(this.acksAfter(0).map((ack) => [ack.id, ack]))
    const rows = this.#inbound
      .prepare(
        'select thread_id, id from messages_in where thread_id is not null and process_after is null order by thread_id, seq',
      )
      .raw()
      .all() as [string, string][]
    let last: { key: string; id: string; changed: string | undefined } | undefined
    for (const [key, id] of rows) {
      if (unordered.has(id)) continue
      const ack = acks.get(id)
      const changed = ack && FINAL.has(ack.status) ? ack.changed : undefined
      if (
        last?.key === key &&
        changed !== undefined &&
        (last.changed === undefined || last.changed > changed)
      )
        this.#say('I4', `${id} ended ${changed}, ${last.id} before it in ${key} ${last.changed ?? 'has not'}`)
      last = { key, id, changed }
    }
  }

  /**
   * I7: charged attempts are numbered 1, 2, 3 …; deaths stay within their limit; no run of a message that is
   * not there.
   */
  checkRuns(): void {
    const rows = this.#outbound
      .prepare(
        `select message_id, attempt, outcome, alone from nanoclaw_run
         where outcome not in ('cancelled', 'rejected', 'answered', 'late-answer') order by message_id, run`,
      )
      .raw()
      .all() as [string, number, string, number][]
    const exists = this.#inbound.prepare('select 1 from messages_in where id = ?')
    let of: { id: string; charged: number; deaths: number } | undefined
    for (const [id, attempt, outcome, alone] of rows) {
      if (of?.id !== id) {
        of = { id, charged: 0, deaths: 0 }
        if (!exists.get(id)) this.#say('I1', `a run of ${id}; inbound.db has no such message`)
      }
      if (attempt !== of.charged + 1)
        this.#say('I7', `${id} has a run of attempt ${attempt} after ${of.charged} charged ones`)
      if (outcome !== 'interrupted' && outcome !== 'suspended') of.charged++
      if (alone === 1 && ['interrupted', 'exited', 'killed'].includes(outcome)) of.deaths++
      if (of.deaths > CRASHES_MAX) this.#say('I7', `${id} has brought down ${of.deaths} processes`)
    }
  }

  /** I6: nothing is left open. */
  checkNothingOpen(known: ReadonlyMap<string, string>): void {
    const ids = this.#inbound.prepare('select id from messages_in').pluck().all() as string[]
    for (const id of ids) if (!known.has(id)) this.#say('I6', `${id} has not ended`)
    const open = this.#outbound.prepare(`select message_id from (${RUNNING})`).pluck()
    for (const id of open.all()) this.#say('I6', `a run of ${id} is still open`)
  }

  #checkEnd(id: string, status: string): void {
    const row = this.#rowOf(id)
    if (!row) return this.#say('I1', `ack of ${id}; inbound.db has no such message`)
    const [kind, content, after] = row
    const [outcome, reason] = (this.#outbound
      .prepare('select outcome, reason from nanoclaw_run where message_id = ? order by run desc limit 1')
      .raw()
      .get(id) ?? []) as [string?, string?]
    const isResponse =
      kind === 'system' || (kind === 'chat' && outcome !== undefined && RESPONSE.has(outcome))
    if (isResponse) return this.#checkResponse(id, JSON.parse(content), status, outcome, reason)
    const task = JSON.parse(content) as Task
    const end = endOf(id, task, after)
    if (status !== end.status)
      this.#say('I11', `${id} is ${status} (${reason}); expected ${end.status}: ${content}`)
    else if (end.status === 'failed' && reason !== end.reason)
      this.#say('I11', `${id} failed for ${reason}; expected ${end.reason}`)
    if (task.type === 'waits') return this.#checkSaid(id, task, status)
    const replies = this.#repliesOf(id)
    const expected = status === 'completed' && end.status === 'completed' ? end.replies : []
    if (replies.join() !== expected.join())
      this.#say('I2', `${id} is ${status} with replies [${replies}]; expected [${expected}]`)
  }

  /** I13: it is completed, and one question or none has its value. */
  #checkResponse(id: string, said: Response, status: string, outcome = 'nothing', reason?: string): void {
    const answered = this.#outbound
      .prepare('select question_id as question, value from nanoclaw_step where by_message = ?')
      .all(id) as { question: string; value: string }[]
    const asked = this.#outbound
      .prepare('select state, choices from nanoclaw_step where question_id = ?')
      .get(said.questionId) as { state: string; choices: string } | undefined
    const value = said.selectedOption ?? said.text
    const isOffered = asked === undefined || (JSON.parse(asked.choices) as string[]).includes(value)
    const expected = answered.length === 1 ? 'answered' : 'late-answer'
    const [first] = answered
    const is = `${id} is ${status}, ${outcome} (${reason ?? 'no reason'})`
    if (status !== 'completed' || outcome !== expected || answered.length > 1)
      this.#say('I13', `${is}; ${answered.length} questions have it as their answer`)
    else if (first && (JSON.parse(first.value).value !== value || !isOffered))
      this.#say('I13', `${is} with ${value}; the question ${first.question} has ${first.value}`)
    else if (first && said.questionId !== undefined && first.question !== said.questionId)
      this.#say('I13', `${is}; it answers ${said.questionId}, and ${first.question} has it`)
    else if (!first && isOffered && asked?.state === 'open')
      this.#say('I13', `${is}; the question ${said.questionId} is open`)
    if (this.#repliesOf(id).length > 0) this.#say('I2', `${is} with replies`)
  }

  /** I2 and I13: questions and replies are those of one uninterrupted run, as far as it has come. */
  #checkSaid(id: string, task: Waits, status: string): void {
    const rows = this.#outbound
      .prepare("select name, kind, state, value from nanoclaw_step where message_id = ? and kind <> 'step'")
      .all(id) as WaitRow[]
    const ends = new Map(rows.map((row) => [row.name, endOfWait(row)]))
    const expected = saidBy(id, task, (name) => ends.get(name))
    const replies = this.#repliesOf(id)
    if (!fits(replies.map(wordsOf), expected, status !== 'waits'))
      this.#say('I2', `${id} is ${status} with replies [${replies}]; expected [${expected.join()}]`)
    const asked = replies.filter((text) => ASKED.test(text)).length
    const waits = rows.filter(({ kind }) => kind === 'ask').length
    if (asked !== waits) this.#say('I13', `${id} has ${waits} waits for answers, and ${asked} questions`)
  }

  #rowOf(id: string): [kind: string, content: string, after: string | null] | undefined {
    return this.#inbound
      .prepare('select kind, content, process_after from messages_in where id = ?')
      .raw()
      .get(id) as [string, string, string | null] | undefined
  }

  #repliesOf(id: string): string[] {
    return this.#outbound
      .prepare('select content from messages_out where id > ? and id < ? order by seq')
      .pluck()
      .all(`${id}:`, `${id};`) as string[]
  }

  #say(invariant: Violation['invariant'], text: string): void {
    this.#violations.push({ invariant, text })
  }
}

interface Response {
  readonly questionId: string
  readonly selectedOption?: string
  readonly text: string
}

interface WaitRow {
  readonly name: string
  readonly kind: string
  readonly state: string
  readonly value: string | null
}

/** A question, with options or without. */
const ASKED = /^{"type":"ask_question"| asks w[^"]*"}$/
/** For these the query finds messages. */
const WAIT_FAULTS: readonly (readonly [Violation['invariant'], text: string, sql: string])[] = [
  [
    'I14',
    'waits, and has an ack',
    'select message_id from nanoclaw_waiting join processing_ack using (message_id)',
  ],
  [
    'I14',
    'waits for nothing',
    `select message_id from nanoclaw_waiting w where ready = 0 and not exists (
      select 1 from nanoclaw_step s where s.message_id = w.message_id and s.state = 'open')`,
  ],
  [
    'I14',
    'has ended, and has a wait that is open',
    `select message_id from nanoclaw_step join processing_ack using (message_id)
      where state = 'open' and status in ('completed', 'failed')`,
  ],
  // A millisecond more: SQLite makes a number of days of a time.
  [
    'I14',
    'has taken an answer after its end',
    `select message_id from nanoclaw_step join processing_ack using (message_id)
      where by_message is not null and status in ('completed', 'failed')
        and at > (julianday(status_changed) - 2440587.5) * 86400000 + 1`,
  ],
  [
    'I13',
    'has asked what it does not wait for',
    `select in_reply_to from messages_out where content like '{"type":"ask_question"%' and not exists (
      select 1 from nanoclaw_step where question_id = json_extract(content, '$.questionId'))`,
  ],
  [
    'I13',
    'has an answer of a message that has not ended as one',
    `select message_id from nanoclaw_step s where by_message is not null and not exists (
      select 1 from nanoclaw_run r join processing_ack a using (message_id)
      where r.message_id = s.by_message and r.outcome = 'answered' and a.status = 'completed')`,
  ],
]

/** A claim of them has been given back: a start has to find them by its checkpoint. */
const WOKEN = `select message_id from nanoclaw_run r where outcome = 'suspended'
  and not exists (select 1 from nanoclaw_run n where n.message_id = r.message_id and n.run > r.run)
  and not exists (select 1 from processing_ack a where a.message_id = r.message_id)
  and not exists (select 1 from nanoclaw_waiting w where w.message_id = r.message_id)
  and not exists (select 1 from nanoclaw_unfinished u where u.message_id = r.message_id)`

/** undefined: it has not ended, or its message has ended before. */
function endOfWait({ kind, state, value }: WaitRow): string | null | undefined {
  if (state === 'timeout') return null
  if (state !== 'done') return undefined
  return kind === 'sleep' ? 'slept' : (JSON.parse(value ?? '{}') as { value: string }).value
}

/** As the workload words it. */
function wordsOf(content: string): string {
  const { type, question = '' } = JSON.parse(content) as { type?: string; question?: string }
  return type === 'ask_question' ? questionText(question) : content
}

/** @param isWhole nothing may be missing at the end */
function fits(replies: readonly string[], said: Said, isWhole: boolean): boolean {
  let at = 0
  for (const group of said) {
    const left = [...group]
    for (const reply of replies.slice(at, at + group.length)) {
      const place = left.indexOf(reply)
      if (place < 0) return false
      left.splice(place, 1)
      at++
    }
    if (isWhole && left.length > 0) return false
  }
  return at === replies.length
}
