// The checker: a process of its own that neither writes the two files nor believes the driver. It sees what
// SQLite shows it, the handlers' trace, and which processes live; it remembers how messages had ended, so
// that an end which changes is seen.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Books } from './books.ts'
import { backedUp, see } from './files.ts'
import { type Found, processesOf } from './processes.ts'
import { serveCalls } from './serve.ts'
import { Trace } from './trace.ts'
import type { Violation } from './violation.ts'

const [workspace = '', tracePath = '', lane = ''] = process.argv.slice(2)

export interface Question {
  /** Pid of the last runtime; undefined: whom it has left is not asked now. */
  readonly life: number | undefined
  /** Whether that runtime has come as far as to raise the epoch. */
  readonly started: boolean
}

export interface Report {
  readonly violations: readonly Violation[]
  readonly messages: number
  readonly ended: number
  readonly runs: number
  readonly replies: number
  readonly questions: number
  readonly answers: number
  readonly late: number
  readonly unanswered: number
  readonly starts: number
  readonly failed: readonly string[]
  /** A transaction of the dead runtime had begun to be written. */
  readonly hotOutbound: boolean
}

/** What may lie in a workspace while no runtime runs. */
const FILES =
  /^((in|out)bound\.db(-journal)?|\.heartbeat|\.runtime\.(lock(-journal)?|json(\.new)?)|inbox|outbox)$/

const known = new Map<string, string>()
const waitEnds = new Map<string, string>()
const trace = new Trace(tracePath, (id) => books?.about(id))
/** Messages whose handlers have started since these starts were compared with the record. */
const unjudged = new Set<string>()
let books: Books | undefined
let ackWatermark = 0
let replyWatermark = 0
let epoch = 0

serveCalls({
  /**
   * After each kill, while the runtime is dead and the host does not write: what is new since the last call.
   */
  cheap: (question: Question) => look(question),
  /** All of it, from the beginning. */
  whole: (question: Question) => look(question, checkAll),
  /** All of it, and nothing may be open. */
  end: (question: Question) =>
    look(question, (all, violations) => {
      checkAll(all, violations)
      all.checkNothingOpen(known)
      checkNoProcessLeft(question.life, violations)
      const strays = readdirSync(workspace).filter((name) => !FILES.test(name))
      if (strays.length > 0)
        violations.push({ invariant: 'I9', text: `left in the workspace: ${strays.join(', ')}` })
    }),
})

type Deeper = (all: Books, violations: Violation[]) => void

/** @param deeper reads copies, so neither host nor runtime waits for it */
async function look({ life, started }: Question, deeper?: Deeper): Promise<Report> {
  const scratch = mkdtempSync(join(tmpdir(), 'nanoclaw-soak-look-'))
  const violations: Violation[] = []
  const inbound = see(join(workspace, 'inbound.db'), mkdtempSync(join(scratch, 'in-')))
  const outbound = see(join(workspace, 'outbound.db'), mkdtempSync(join(scratch, 'out-')))
  try {
    books = new Books(inbound.db, outbound.db, violations)
    // While a runtime lives, trace and record are read at two moments, and a process that dies between them
    // takes starts off the record.
    checkNews(books, violations, life !== undefined)
    checkEpoch(books.epoch(), started, violations)
    if (life !== undefined) checkOrphans(life, violations)
    if (deeper) {
      const copies = [
        await backedUp(inbound, join(scratch, 'inbound.db')),
        await backedUp(outbound, join(scratch, 'outbound.db')),
      ] as const
      deeper(new Books(...copies, violations), violations)
      for (const copy of copies) copy.close()
    }
    return {
      violations,
      ...books.counts(),
      failed: deeper ? books.failed() : [],
      starts: trace.starts,
      hotOutbound: outbound.hot,
    }
  } finally {
    inbound.db.close()
    outbound.db.close()
    rmSync(scratch, { recursive: true })
  }
}

/**
 * Rows up to the watermarks have been judged. An ack there is final, so it stays, and no later one gets a
 * number below it: numbers of claims that are given up come again.
 */
function checkNews(books: Books, violations: Violation[], hasEnded: boolean): void {
  const acks = books.acksAfter(ackWatermark)
  books.checkAcks(acks, known)
  const open = acks.findIndex(({ id }) => !known.has(id))
  ackWatermark = (open < 0 ? acks.at(-1) : acks[open - 1])?.rowid ?? ackWatermark
  replyWatermark = books.checkReplies(replyWatermark)
  books.checkWaits()
  // What is on disk now has been done before, so the trace has it already.
  const steps = books.steps()
  for (const id of trace.readOn(violations)) unjudged.add(id)
  if (hasEnded) {
    books.checkStarts(unjudged, trace)
    unjudged.clear()
  }
  trace.addKept(steps)
}

function checkEpoch(now: number, started: boolean, violations: Violation[]): void {
  if (now < epoch || (started && now === epoch))
    violations.push({ invariant: 'I10', text: `the epoch was ${epoch} and is ${now} after another start` })
  epoch = now
}

/**
 * Workers of earlier lives: their runtime was killed before the last start, so they have had their second.
 */
function checkOrphans(life: number, violations: Violation[]): void {
  for (const each of processesOf(lane)) if (each.isWorker && each.life !== life) violations.push(orphan(each))
}

/**
 * A runtime that stopped in order has left no process, and none that a handler had started.
 */
function checkNoProcessLeft(life: number | undefined, violations: Violation[]): void {
  for (const each of processesOf(lane)) if (each.isWorker || each.life === life) violations.push(orphan(each))
}

function orphan({ pid, life, command }: Found): Violation {
  return { invariant: 'I9', text: `of runtime ${life} lives ${pid}: ${command}` }
}

function checkAll(all: Books, violations: Violation[]): void {
  const ends = new Map<string, string>()
  all.checkIntegrity()
  all.checkAcks(all.acksAfter(0), ends)
  for (const [id, end] of known)
    if (ends.get(id) !== end)
      violations.push({ invariant: 'I1', text: `${id} was ${end}, is ${ends.get(id)}` })
  const waitsNow = all.waitEnds()
  for (const [wait, end] of waitEnds)
    if (waitsNow.get(wait) !== end)
      violations.push({ invariant: 'I13', text: `${wait} was ${end}, is ${waitsNow.get(wait)}` })
  for (const [wait, end] of waitsNow) waitEnds.set(wait, end)
  all.checkReplies(0)
  all.checkKeys()
  all.checkRuns()
}
