// Steps and waits in the store in memory, as outbound.db keeps them (store/sqlite/journal.ts).
import type {
  AnswerResult,
  Claim,
  CommitBatch,
  RunResult,
  StepResult,
} from '../../runtime/protocol/commit-batch.ts'
import { redrivenFrom } from '../../runtime/protocol/redrive.ts'
import { isoTime } from '../../runtime/protocol/time.ts'
import { addRun, type Contents, type StoredJournal, type StoredWait } from './memory-contents.ts'

/** Where its run is known to be under way. */
export function keep(of: Contents, { id, run, name, state, value, version }: StepResult): void {
  const claim = of.running.get(id)
  if (claim?.run !== run) return
  const journal = journalOf(of, id, version, claim.functionName)
  if (!journal.steps.some((step) => step.name === name)) journal.steps.push({ name, state, value })
}

/**
 * What waited waits no more; and what is done for a failed message is done for the one that is sent in its
 * place.
 */
export function wake(of: Contents, { id, run }: Claim, nowMs: number): void {
  of.answeredWhileRunning.delete(id)
  if (of.waiting.delete(id)) {
    const journal = of.journals.get(id)!
    const waits = journal.waits.map((wait): StoredWait => {
      if (wait.state !== 'open' || wait.wakeAtMs > nowMs) return wait
      return { ...wait, state: wait.kind === 'sleep' ? 'done' : 'timeout' }
    })
    of.journals.set(id, { ...journal, waits })
    const { unfinished } = of.checkpoint
    if (!unfinished.includes(id)) of.checkpoint = { ...of.checkpoint, unfinished: [...unfinished, id] }
  }
  const from = run === 1 ? redrivenFrom(id) : undefined
  if (from === undefined || of.acks.get(from)?.status !== 'failed') return
  const {
    origin = from,
    version = null,
    functionName = null,
    steps = [],
    waits = [],
  } = of.journals.get(from) ?? {}
  const done = ({ state }: { readonly state: string }) => state === 'done'
  const before = waits
    .filter(done)
    .map((wait) => ({ ...wait, questionId: undefined, address: null, replies: 0, said: [], isAlone: true }))
  of.journals.set(id, { origin, version, functionName, steps: steps.filter(done), waits: before })
}

function journalOf(of: Contents, id: string, version: number, functionName: string): StoredJournal {
  const journal = of.journals.get(id) ?? { origin: id, version, functionName, steps: [], waits: [] }
  of.journals.set(id, journal)
  return journal
}

/** Returns when it wakes: at once, where an answer came while it ran. */
export function suspend(
  of: Contents,
  { id, run, next }: RunResult,
  {
    nowMs,
    inboundSeq: afterSeq,
    functionName,
  }: Pick<CommitBatch, 'nowMs' | 'inboundSeq'> & {
    readonly functionName: string
  },
): number {
  if (next.type !== 'waiting') return nowMs
  const journal = journalOf(of, id, next.version, functionName)
  const replies = (next.from ?? 0) + next.replies.length
  for (const { name, kind, until, question, said, isAlone } of next.waits) {
    const wakeAtMs = 'forMs' in until ? nowMs + until.forMs : until.atMs
    const wait = { name, kind, state: 'open', value: null, run, replies, said, isAlone, wakeAtMs } as const
    if (!journal.waits.some((each) => each.name === name))
      journal.waits.push({
        ...wait,
        questionId: question?.id,
        values: question?.values ?? null,
        address: question?.address ?? null,
        afterSeq,
      })
  }
  const open = journal.waits.filter(({ state }) => state === 'open').map(({ wakeAtMs }) => wakeAtMs)
  const ready = of.answeredWhileRunning.delete(id)
  const wakeAtMs = Math.min(...(open.length > 0 ? open : [nowMs]))
  of.waiting.set(id, { wakeAtMs, ready, holds: next.holds })
  return ready ? nowMs : wakeAtMs
}

/** It has ended. */
export function closeWaits(of: Contents, id: string): void {
  of.waiting.delete(id)
  const journal = of.journals.get(id)
  if (journal) of.journals.set(id, { ...journal, waits: closed(journal.waits) })
}

function closed(waits: readonly StoredWait[]): StoredWait[] {
  return waits.map((wait) => (wait.state === 'open' ? { ...wait, state: 'closed' } : wait))
}

export function isAsked(of: Contents, questionId: string): boolean {
  return [...of.journals.values()].some(({ waits }) =>
    waits.some((wait) => wait.questionId === questionId && wait.state === 'open'),
  )
}

/** The host has ended it while it waited. */
export function withdraw(of: Contents, id: string, nowMs: number): void {
  const waited = of.waiting.has(id)
  closeWaits(of, id)
  if (!waited) return
  const run = Math.max(0, ...(of.runs.get(id) ?? []).map((each) => each.run)) + 1
  const ended = { run, alone: false, endedAtMs: nowMs, nextAtMs: null }
  addRun(of, id, { ...ended, outcome: 'cancelled', reason: 'host_cancelled' })
}

/** Returns the message that it wakes. */
export function takeAnswer(
  of: Contents,
  { id, questionId, value }: AnswerResult,
  nowMs: number,
): string | undefined {
  if (of.acks.has(id)) return undefined
  of.acks.set(id, { status: 'completed', changed: isoTime(nowMs) })
  if (value === null) return undefined
  for (const [messageId, journal] of of.journals) {
    const at = journal.waits.findIndex((wait) => wait.questionId === questionId && wait.state === 'open')
    if (at < 0) continue
    journal.waits[at] = { ...journal.waits[at]!, state: 'done', value }
    const waits = of.waiting.get(messageId)
    if (waits) waits.ready = true
    else of.answeredWhileRunning.add(messageId)
    return messageId
  }
  return undefined
}
