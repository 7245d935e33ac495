// The pen for the note beside the lock (protocol/note): written whole or not at all, and only when it says something new.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { type Note, notePath } from './protocol/note.ts'

export class NoteFile {
  readonly #path: string
  #written = ''

  constructor(lockPath: string) {
    this.#path = notePath(lockPath)
  }

  /** Failing to write is no reason to stop. */
  write(note: Omit<Note, 'pid' | 'host'>): void {
    const text = `${JSON.stringify({ pid: process.pid, host: hostname(), ...note }, null, 2)}\n`
    if (text === this.#written) return
    try {
      writeFileSync(`${this.#path}.new`, text, { mode: 0o600 })
      renameSync(`${this.#path}.new`, this.#path)
      this.#written = text
    } catch {
      return
    }
  }

  /** For people: who holds the lock. */
  holder(): string {
    try {
      const { pid, host, startedAt } = JSON.parse(readFileSync(this.#path, 'utf8')) as Note
      return `process ${pid} on ${host}, since ${startedAt}`
    } catch {
      return 'a process that left no note'
    }
  }
}
