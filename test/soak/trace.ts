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
}

export class Trace {
  readonly #path: string
  readonly #about: (id: string) => About | undefined
  #offset = 0
  readonly #lanes = new Map<string, Lane>()
  readonly #starts = new Map<string, { readonly pid: string; readonly attempt: number }[]>()
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
      if (line.word === 'start') {
        started.add(line.id)
        this.#start(line, violations)
      } else this.#end(line)
    }
    return started
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
    if (about.key !== null) this.#startInLane(line, about.key, about.seq, violations)
  }

  /**
   * Order holds within one life of a runtime, and of a process. Messages of a key may travel to a process
   * together; when it dies, the first of them start again although the next had started, too. None of them
   * had ended on disk.
   */
  #startInLane(line: Line, key: string, seq: number, violations: Violation[]): void {
    const { id, life } = line
    const lane = this.#lanes.get(key)
    const same = lane?.last.life === life ? lane : undefined
    if (same && seq < same.seq)
      violations.push({ invariant: 'I4', text: `${id} starts after ${key} has come to seq ${same.seq}` })
    if (same?.open)
      violations.push({ invariant: 'I4', text: `${id} starts while ${same.open.id} of ${key} runs` })
    this.#lanes.set(key, { seq: Math.max(seq, same?.seq ?? 0), last: line, open: line })
  }

  #end({ id, pid, word }: Line): void {
    for (const [key, { last, open }] of this.#lanes) {
      if (word === 'die' && last.pid === pid) this.#lanes.delete(key)
      else if (open?.id === id && open.pid === pid)
        this.#lanes.set(key, { ...this.#lanes.get(key)!, open: undefined })
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
