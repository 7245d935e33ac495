// The pen for the note beside the lock (protocol/note): written whole or not at all, and only when it says something new;
// otherwise it is touched, so that its time says when this runtime was last alive.
// That outbound.db takes no writes goes before whatever else the runtime waits for.
import {
  closeSync,
  constants,
  lutimesSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import type { Events } from '../protocol/events.ts'
import { type RuntimeStatus, statusPath } from '../protocol/status-file.ts'

export class StatusFile {
  readonly #path: string
  #written = ''
  #holdsFor: string | undefined

  constructor(lockPath: string, events: Events) {
    this.#path = statusPath(lockPath)
    events.on('commit-failed', ({ code, message }) => {
      this.#holdsFor = `outbound.db takes no writes: ${code}, ${message}`
    })
    events.on('commit-healed', () => {
      this.#holdsFor = undefined
    })
  }

  /** Failing to write is no reason to stop. */
  write(note: Omit<RuntimeStatus, 'pid' | 'host'>, nowMs: number): void {
    const holds = this.#holdsFor !== undefined && { state: 'holding', waitingFor: this.#holdsFor }
    const text = `${JSON.stringify({ pid: process.pid, host: hostname(), ...note, ...holds }, null, 2)}\n`
    try {
      if (text === this.#written) return this.#setTime(nowMs)
      // A new file each time: a link in its place would be followed.
      rmSync(`${this.#path}.new`, { force: true })
      writeFileSync(`${this.#path}.new`, text, { mode: 0o600, flag: 'wx' })
      renameSync(`${this.#path}.new`, this.#path)
      this.#written = text
    } catch {
      return
    }
  }

  /** It says what it is to say. False: it is to be written again. */
  touch(nowMs: number): boolean {
    try {
      this.#setTime(nowMs)
      return true
    } catch {
      return false
    }
  }

  /** Not what a link points to. */
  #setTime(nowMs: number): void {
    lutimesSync(this.#path, nowMs / 1000, nowMs / 1000)
  }

  /** For people: who holds the lock. */
  holder(): string {
    try {
      const { pid, host, startedAt } = JSON.parse(readOwn(this.#path)) as RuntimeStatus
      return `process ${pid} on ${host}, since ${startedAt}`
    } catch {
      return 'a process that left no note'
    }
  }
}

/** A link is not followed, and a FIFO does not hang the process. */
function readOwn(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    return readFileSync(fd, 'utf8')
  } finally {
    closeSync(fd)
  }
}
