// What a runtime says about itself in a small file beside its lock, for `status` and for the error of a second runtime.
// It only helps people: nothing decides by it, and a stale one does no harm. Written whole or not at all.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'

export interface Note {
  readonly pid: number
  readonly host: string
  readonly startedAt: string
  readonly epoch: number
  readonly functions: readonly { readonly name: string; readonly file: string; readonly broken?: string }[]
  readonly unroutable: Readonly<Record<string, number>>
  readonly state: 'running' | 'waiting' | 'draining'
  readonly waitingFor?: string
}

export class NoteFile {
  readonly #path: string
  #written = ''

  constructor(lockPath: string) {
    this.#path = join(dirname(lockPath), '.runtime.json')
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
