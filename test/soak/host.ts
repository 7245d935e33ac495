// The host simulator: a process of its own, with plain SQLite on inbound.db, as hosts in the field are. It
// inserts messages, answers questions, copies acks to `status` now and then, and leaves a transaction half
// written when it is to be killed there: a tiny cache makes SQLite write pages out before the commit that
// never comes. Its start plays such a journal back.
import { setTimeout } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { HOST_TABLES } from '../../runtime/protocol/schema.ts'
import { Random } from './random.ts'
import { serveCalls } from './serve.ts'
import { type Message, OPTIONS, type Task, UNKNOWN_OPTION } from './workload.ts'

const [inboundPath = '', outboundPath = '', prefix = ''] = process.argv.slice(2)
const BUSY_MS = 5_000
const FULL_DISK_MS = 20
/** Enough to write pages out of a cache of CACHE_PAGES. */
const SPILLED_ROWS = 60
const CACHE_PAGES = 10
/** Never committed; if it is answered all the same, the checker sees a message that does not exist. */
const GHOST: Message = { kind: 'work', task: { type: 'reply', replies: 1 }, thread: null, after: null }
/** A host that was killed has forgotten what it has answered; some of it is answered again. */
const REMEMBERED_QUESTIONS = 20

interface Question {
  readonly seq: number
  /** null: any text of its conversation answers it. */
  readonly id: string | null
  readonly thread: string | null
}

const toAnswer: Question[] = []
let seenUpTo: number | undefined
/** By calls that answer all. */
let answeredUpTo = 0

const db = new Database(inboundPath, { timeout: BUSY_MS })
await whileFull(() => db.exec(HOST_TABLES))
const nextSeq = db.prepare('select coalesce(max(seq), 0) + 2 from messages_in').pluck()
const insert = db.prepare(
  `insert into messages_in (id, seq, kind, timestamp, process_after, trigger, channel_type, platform_id, thread_id, content)
   values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
)

serveCalls({
  /** In several transactions; resolves when all are committed. */
  async enqueue({ messages, perCommit }: { messages: readonly Message[]; perCommit: number }) {
    for (let from = 0; from < messages.length; from += perCommit)
      await whileFull(
        db.transaction(() => messages.slice(from, from + perCommit).forEach((message) => add(message))),
      )
  },
  /**
   * Answers questions that are new, and some that were left for later: once, twice at once, late, or with
   * what is not offered. `all`: each question of a message that has not ended, once.
   * @returns how many rows it has inserted
   */
  async answer({ seed, all }: { seed: number; all: boolean }): Promise<number> {
    const random = new Random(seed)
    const questions = all ? read(openQuestions) : read(newQuestions)
    const answers = all
      ? questions.map((question) => [question, one(random)] as const)
      : [...toAnswer.splice(0), ...questions].map((question) => [question, some(question, random)] as const)
    const laterOn = answers.filter(([, { later }]) => later).map(([question]) => question)
    const rows = answers.flatMap(([question, { values, delayMs }]) =>
      values.map((value, n) => ({ question, value, delayMs: n === 0 ? delayMs : undefined })),
    )
    if (rows.length > 0) await whileFull(db.transaction(() => rows.forEach(respond)))
    toAnswer.push(...laterOn)
    return rows.length
  },
  /**
   * Copies terminal acks, as a host does once in a while. An outbound.db that cannot be read now is read
   * another time.
   */
  async sync() {
    const ended = terminalAcks()
    const settle = db.prepare("update messages_in set status = ? where id = ? and status = 'pending'")
    await whileFull(db.transaction(() => ended.forEach(([id, status]) => settle.run(status, id))))
  },
  /** Half a transaction, some of it in the file already; nothing but a kill ends it. */
  async spill() {
    await whileFull(() => {
      db.pragma(`cache_size = ${CACHE_PAGES}`)
      db.exec('begin immediate')
      try {
        db.exec(
          `update messages_in set status = 'cancelled', content = content || ' '
           where seq > (select max(seq) from messages_in) - ${2 * SPILLED_ROWS}`,
        )
        for (let n = 0; n < SPILLED_ROWS; n++) add(GHOST, 'x'.repeat(2_000))
      } catch (error) {
        if (db.inTransaction) db.exec('rollback')
        throw error
      }
    })
  },
  /** Keeps every other process out of inbound.db for a while, without writing. */
  async lock(ms: number) {
    db.exec('begin exclusive')
    await setTimeout(ms)
    db.exec('rollback')
  },
})

function add({ kind, task, thread, after }: Message, padding?: string): void {
  insertRow(kind, { ...task, padding }, thread, after)
}

function insertRow(kind: string, content: object, thread: string | null, after: string | null = null): void {
  const seq = nextSeq.get() as number
  const place = thread === null ? null : 'soak'
  const [at, text] = [new Date().toISOString(), JSON.stringify(content)]
  // As newer hosts write what is for no function to begin with.
  const trigger = kind === 'system' ? 0 : 1
  insert.run(`${prefix}${seq}`, seq, kind, at, after, trigger, place, place, thread, text)
}

interface Answers {
  /** In one transaction. */
  readonly values: readonly string[]
  /** The first of them is due later. */
  readonly delayMs?: number
  readonly later: boolean
}

interface Response {
  readonly question: Question
  readonly value: string
  readonly delayMs: number | undefined
}

const one = (random: Random): Answers => ({ values: [random.pick(OPTIONS)], later: false })

function some({ id }: Question, random: Random): Answers {
  const [value, other] = [random.pick(OPTIONS), random.pick(OPTIONS)]
  const chance = random.next()
  if (chance < 0.45) return { values: [value], later: false }
  if (chance < 0.6) return { values: [value, other], later: false }
  // A chat message that is due later must not keep the other one from being the answer.
  if (chance < (id === null ? 0.85 : 0.62))
    return { values: [value, other], delayMs: random.int(50, 800), later: false }
  if (chance < 0.75) return { values: [UNKNOWN_OPTION], later: true }
  if (chance < 0.85) return { values: [value], later: true }
  return { values: [], later: true }
}

/** A chat message is work like any other where it answers nothing. */
function respond({ question: { seq, id, thread }, value, delayMs }: Response): void {
  const after = delayMs === undefined ? null : new Date(Date.now() + delayMs).toISOString()
  const content = { type: 'question_response', questionId: id, selectedOption: value }
  if (id !== null) return insertRow('system', content, null, after)
  const task: Task = { type: 'reply', replies: 1 }
  insertRow('chat', { ...task, text: `${value} to ${seq}` }, thread, after)
}

function newQuestions(outbound: Database.Database): Question[] {
  const questions = questionsIn(outbound, seenUpTo ?? 0)
  const isFirst = seenUpTo === undefined
  seenUpTo = questions.at(-1)?.seq ?? seenUpTo ?? 0
  return isFirst ? questions.slice(-REMEMBERED_QUESTIONS) : questions
}

function openQuestions(outbound: Database.Database): Question[] {
  const questions = questionsIn(outbound, answeredUpTo)
  answeredUpTo = questions.at(-1)?.seq ?? answeredUpTo
  return questions
}

/** Of messages that have not ended, oldest first. */
function questionsIn(outbound: Database.Database, after: number): Question[] {
  const rows = outbound
    .prepare(
      `select seq, thread_id as thread, content from messages_out
       where seq > ? and content like '% asks w%' and not exists (select 1 from processing_ack
         where message_id = in_reply_to and status in ('completed', 'failed'))
       order by seq`,
    )
    .all(after) as { seq: number; thread: string | null; content: string }[]
  return rows.map(({ seq, thread, content }) => {
    const { questionId = null } = JSON.parse(content) as { questionId?: string }
    return { seq, id: questionId, thread }
  })
}

function terminalAcks(): [string, string][] {
  return read(
    (outbound) =>
      outbound
        .prepare(
          "select message_id, status from processing_ack where status in ('completed', 'failed') order by rowid desc limit 500",
        )
        .raw()
        .all() as [string, string][],
  )
}

/** Of an outbound.db that cannot be read now, nothing. */
function read<T>(rows: (outbound: Database.Database) => T[]): T[] {
  let outbound: Database.Database | undefined
  try {
    outbound = new Database(outboundPath, { readonly: true, timeout: BUSY_MS })
    return rows(outbound)
  } catch {
    return []
  } finally {
    outbound?.close()
  }
}

/** A full disk passes. */
async function whileFull(write: () => void): Promise<void> {
  for (;;) {
    try {
      return write()
    } catch (error) {
      if (!(error instanceof Database.SqliteError && error.code === 'SQLITE_FULL')) throw error
      await setTimeout(FULL_DISK_MS)
    }
  }
}
