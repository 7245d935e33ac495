// The host's writes to inbound.db during a test. Between two writes it compares the bytes of the file: no
// other process may have changed them.

import { HostFile } from '../host/sqlite/file.ts'
import { finishPending, insertMessages, type NewMessageRow, type TerminalAck } from '../host/sqlite/inbox.ts'
import { pauseSeries, resumeSeries } from '../host/sqlite/tasks.ts'
import type { Clock } from '../protocol/clock.ts'
import { isoTime } from '../protocol/time.ts'
import { fingerprint, lockOut } from '../store/sqlite/fault-injection.ts'
import { sleep } from './sleep.ts'

export type TestMessage = Partial<Omit<NewMessageRow, 'id' | 'seriesId'>> & {
  readonly id: string
  /** False: it may end without a reply. */
  readonly answered?: boolean
  /** When it may run at the earliest, on the wall clock. */
  readonly dueAtMs?: number
}

export class InboundWriter {
  readonly #path: string
  readonly #kind: string
  readonly #clock: Clock
  /** Files that changed between two writes of the host. */
  readonly touched: string[] = []
  /** Duration of the host's last write. */
  lastWriteMs = 0
  #host: HostFile | undefined
  #print: string | undefined

  constructor(path: string, kind: string, clock: Clock) {
    this.#path = path
    this.#kind = kind
    this.#clock = clock
  }

  makeFile(): void {
    this.#write(() => {
      this.#host = new HostFile(this.#path, false)
    })
  }

  /** Inserts in one transaction. Each message is a conversation of its own unless it sets a thread. */
  send(messages: readonly TestMessage[]): void {
    const timestamp = isoTime(this.#clock.now())
    const rows = messages.map(({ answered: _, dueAtMs: __, ...message }) => {
      return {
        ...DEFAULTS,
        kind: this.#kind,
        timestamp,
        threadId: message.id,
        ...message,
        seriesId: message.id,
      }
    })
    this.#write((host) => insertMessages(host, rows))
  }

  pause(id: string): void {
    this.#write((host) => pauseSeries(host, id))
  }

  resume(id: string): void {
    this.#write((host) => resumeSeries(host, id))
  }

  settle(acks: readonly TerminalAck[]): void {
    this.#write((host) => finishPending(host, acks))
  }

  /** Locks the file against readers for this long. */
  async lock(lockedMs: number): Promise<void> {
    this.compare()
    const lock = lockOut(this.#path)
    try {
      await sleep(this.#clock, lockedMs)
    } finally {
      lock.release()
    }
    this.accept()
  }

  /** Takes the current bytes as the expected ones: another process of the host has written. */
  accept(): void {
    this.#print = fingerprint(this.#path)
  }

  /** Whether the file is unchanged since the host's last write. */
  compare(): void {
    const now = fingerprint(this.#path)
    if (this.#print !== undefined && now !== this.#print) this.touched.push(changeOf(this.#print, now))
    this.#print = now
  }

  #write(work: (host: HostFile) => unknown): void {
    this.compare()
    const beganMs = this.#clock.monotonic()
    work(this.#host!)
    this.lastWriteMs = this.#clock.monotonic() - beganMs
    this.accept()
  }
}

const DEFAULTS = {
  processAfter: null,
  recurrence: null,
  trigger: 1,
  platformId: 'conform',
  channelType: 'test',
  content: '{"text":"hello"}',
  sourceSessionId: null,
  onWake: 0,
} as const

function changeOf(before: string, after: string): string {
  const was = new Set(before.split('\n'))
  const changed = after.split('\n').filter((line) => !was.has(line))
  return changed.map((line) => line.split(' ')[0]).join(', ') || 'a file beside it was removed'
}
