// Writes the status file beside the lock (protocol/status-file.ts): atomically, and only when its content has
// changed; otherwise touches it, so that its time is the runtime's last sign of life. An unwritable
// outbound.db takes precedence over anything else that the runtime waits for.
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
    events.on('commit-recovered', () => {
      this.#holdsFor = undefined
    })
  }

  /** A failed write does not stop the runtime. */
  write(note: Omit<RuntimeStatus, 'pid' | 'host'>, nowMs: number): void {
    const holds = this.#holdsFor !== undefined && { state: 'holding', waitingFor: this.#holdsFor }
    const text = `${JSON.stringify({ pid: process.pid, host: hostname(), ...note, ...holds }, null, 2)}\n`
    try {
      if (text === this.#written) return this.#setTime(nowMs)
      // Replaces the file each time: writing in place would follow a link.
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

  /** lutimes: does not follow a link. */
  #setTime(nowMs: number): void {
    lutimesSync(this.#path, nowMs / 1000, nowMs / 1000)
  }

  /** Text about the holder of the lock, for error messages. */
  holder(): string {
    try {
      const { pid, host, startedAt } = JSON.parse(readOwn(this.#path)) as RuntimeStatus
      return `process ${pid} on ${host}, since ${startedAt}`
    } catch {
      return 'a process without a status file'
    }
  }
}

/** Does not follow a link, and does not block on a FIFO. */
function readOwn(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    return readFileSync(fd, 'utf8')
  } finally {
    closeSync(fd)
  }
}
