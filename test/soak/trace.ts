// The handlers' own account of what ran, independent of SQLite: a file of short lines, each
// appended whole. Read on from where the last reading ended; what lines say of order, overlap and time is
// judged as they come.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { Violation } from './violation.ts'
import { ATTEMPTS_MAX } from './workload.ts'

/** What inbound.db has of a message. */
export interface About {
  readonly seq: number
  readonly key: string | null
  readonly dueAtMs: number
  /** While it waits nothing of its key runs. */
  readonly holds: boolean
}

interface Line {
  /** Pid of the runtime. */
  readonly life: string
  readonly pid: string
  readonly id: string
  readonly attempt: number
  readonly atMs: number
  readonly word: string
}

interface Lane {
  /** The highest that has started, and by which line. */
  readonly seq: number
  readonly last: Line
  readonly open: Line | undefined
  /** What is open has come to a wait: its run may be over. */
  readonly isWaiting: boolean
  /** A message that has come to a wait and keeps the lane. */
  readonly held: { readonly id: string; readonly seq: number } | undefined
}

export class Trace {
  readonly #path: string
  readonly #about: (id: string) => About | undefined
  #offset = 0
  readonly #lanes = new Map<string, Lane>()
  readonly #starts = new Map<string, { readonly pid: string; readonly attempt: number }[]>()
  /** Steps whose promise has resolved, or that are on disk: message and step. */
  readonly #kept = new Set<string>()
  /** Messages that have come to a wait and let others of their key run meanwhile. */
  readonly #waited = new Set<string>()
  /** When a sleep may end at the earliest, by message and sleep. */
  readonly #sleeps = new Map<string, number>()
  /** What is given to others as idempotency key, by message and step. */
  readonly #stepIds = new Map<string, string>()
  /** Processes that a handler brought down. */
  readonly #died = new Set<string>()

  constructor(path: string, about: (id: string) => About | undefined) {
    this.#path = path
    this.#about = about
  }

  /** @returns the messages that have started since the last call */
  readOn(violations: Violation[]): ReadonlySet<string> {
    const started = new Set<string>()
    for (const line of this.#lines()) {
      const [what] = line.word.split(':')
      if (what === 'start') {
        started.add(line.id)
        this.#start(line, violations)
      } else if (what === 'body' || what === 'kept') this.#step(line, violations)
      else if (what === 'sleep' || what === 'slept') this.#sleep(line, violations)
      else if (what === 'wait' || what === 'past') this.#wait(line, what, violations)
      else this.#end(line)
    }
    return started
  }

  /** Steps that were on disk before the trace was read last. */
  addKept(steps: Iterable<readonly [id: string, name: string]>): void {
    for (const [id, name] of steps) this.#kept.add(`${id} step ${name.slice(1)}`)
  }

  /**
   * Starts of a message that must be on record. A process that a message ends takes the answers of other
   * messages with it, and a message that ran beside others is not charged: starts in such a process need not
   * be on record.
   */
  startsToAccountFor(id: string): number {
    return (this.#starts.get(id) ?? []).filter(({ pid }) => !this.#died.has(pid)).length
  }

  get starts(): number {
    let sum = 0
    for (const starts of this.#starts.values()) sum += starts.length
    return sum
  }

  #step({ id, word }: Line, violations: Violation[]): void {
    const [what, n, stepId = ''] = word.split(':')
    const step = `${id} step ${n}`
    if (what === 'kept') this.#kept.add(step)
    else {
      if (this.#kept.has(step))
        violations.push({ invariant: 'I12', text: `${step} begins though it is on disk` })
      const before = this.#stepIds.get(step) ?? stepId
      if (before !== stepId)
        violations.push({ invariant: 'I12', text: `${step} has the ids ${before} and ${stepId}` })
      this.#stepIds.set(step, before)
    }
  }

  #sleep({ id, word, atMs }: Line, violations: Violation[]): void {
    const [what, name, ms] = word.split(':')
    const sleep = `${id} ${name}`
    const endsAtMs = this.#sleeps.get(sleep)
    if (what === 'sleep') this.#sleeps.set(sleep, endsAtMs ?? atMs + Number(ms))
    else if (endsAtMs === undefined || atMs < endsAtMs)
      violations.push({ invariant: 'I8', text: `sleep ${sleep} ended at ${atMs}, its time was ${endsAtMs}` })
  }

  #wait({ id, life, pid }: Line, what: 'wait' | 'past', violations: Violation[]): void {
    const about = this.#about(id)
    if (!about?.key) return
    const lane = this.#lanes.get(about.key)
    if (!about.holds) this.#waited.add(id)
    if (!lane || lane.last.life !== life) return
    if (lane.open?.id !== id || lane.open.pid !== pid) {
      if (what === 'past')
        violations.push({ invariant: 'I4', text: `${id} goes on while ${lane.last.id} of ${about.key} runs` })
      return
    }
    const others = lane.held?.id === id ? undefined : lane.held
    const held = what === 'wait' && about.holds ? { id, seq: about.seq } : others
    this.#lanes.set(about.key, { ...lane, isWaiting: what === 'wait', held })
  }

  #start(line: Line, violations: Violation[]): void {
    const { id, pid, attempt, atMs } = line
    const about = this.#about(id)
    if (!about) {
      violations.push({ invariant: 'I1', text: `${id} has run; inbound.db has no such message` })
      return
    }
    const before = this.#starts.get(id) ?? []
    this.#starts.set(id, [...before, { pid, attempt }])
    const last = before.at(-1)
    if ((last && attempt < last.attempt) || attempt > ATTEMPTS_MAX)
      violations.push({
        invariant: 'I7',
        text: `${id} starts attempt ${attempt} of ${ATTEMPTS_MAX} after attempt ${last?.attempt}`,
      })
    if (atMs < about.dueAtMs)
      violations.push({ invariant: 'I8', text: `${id} started ${about.dueAtMs - atMs} ms before its time` })
    if (about.key !== null) this.#startInLane(line, about.key, about, violations)
  }

  /**
   * Order holds within one life of a runtime, and of a process. Messages of a key may travel to a process
   * together; when it dies, the first of them start again although the next had started, too. None of them
   * had ended on disk. A message that has waited stands before what has not begun, whatever has run
   * meanwhile; what was due later comes as it comes.
   */
  #startInLane(line: Line, key: string, { seq, dueAtMs }: About, violations: Violation[]): void {
    const { id, life } = line
    const say = (text: string) => violations.push({ invariant: 'I4', text: `${id} starts ${text}` })
    const lane = this.#lanes.get(key)
    const same = lane?.last.life === life ? lane : undefined
    const isInOrder = dueAtMs === 0 && !this.#waited.has(id)
    if (same && seq < same.seq && isInOrder) say(`after ${key} has come to seq ${same.seq}`)
    if (same?.open && !same.isWaiting) say(`while ${same.open.id} of ${key} runs`)
    const held = same?.held?.id === id ? undefined : same?.held
    if (held && seq > held.seq) say(`while ${held.id} waits and holds ${key}`)
    this.#lanes.set(key, {
      seq: Math.max(seq, same?.seq ?? 0),
      last: line,
      open: line,
      isWaiting: false,
      held,
    })
  }

  #end({ id, pid, word }: Line): void {
    for (const [key, lane] of this.#lanes) {
      const { last, open, held } = lane
      if (word === 'die' && last.pid === pid) this.#lanes.delete(key)
      else if (open?.id === id && open.pid === pid)
        this.#lanes.set(key, { ...lane, open: undefined, held: held?.id === id ? undefined : held })
    }
    if (word === 'die') this.#died.add(pid)
  }

  #lines(): Line[] {
    const file = openSync(this.#path, 'r')
    try {
      const bytes = Buffer.alloc(fstatSync(file).size - this.#offset)
      readSync(file, bytes, 0, bytes.length, this.#offset)
      const whole = bytes.lastIndexOf('\n') + 1
      this.#offset += whole
      return bytes.subarray(0, whole).toString().split('\n').filter(Boolean).map(lineOf)
    } finally {
      closeSync(file)
    }
  }
}

function lineOf(text: string): Line {
  const [life = '', pid = '', id = '', attempt, atMs, word = ''] = text.split(' ')
  // Process numbers come round again; a life is too short for that.
  return {
    life,
    pid: `${life}/${pid}`,
    id,
    attempt: Number(attempt),
    atMs: Number(atMs),
    word,
  }
}
