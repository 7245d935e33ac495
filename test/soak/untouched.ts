// Whether a process has touched inbound.db: its bytes and what lies beside it, seen by a process that has no
// handle on it.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Violation } from './violation.ts'

/** Reading all of a file that grows, in every round, would cost more than the round. */
const BYTES_EVERY_ROUNDS = 10

export type InboundState = Readonly<Record<string, string | number>>

export function lookAt(workspace: string, round: number): InboundState {
  const path = join(workspace, 'inbound.db')
  if (!existsSync(path)) return {}
  const { ino, size, mtimeMs } = statSync(path)
  const beside = readdirSync(workspace).filter((name) => name.startsWith('inbound.db-'))
  const bytes = round % BYTES_EVERY_ROUNDS === 0 ? sha256(path) : ''
  return { ino, size, mtimeMs, bytes, beside: beside.join() }
}

export function changesOf(before: InboundState, after: InboundState): Violation[] {
  return Object.keys(before)
    .filter((name) => before[name] !== after[name])
    .map((name) => ({
      invariant: 'I5',
      text: `inbound.db, ${name}: was ${before[name]}, is ${after[name]}, and the host was quiet`,
    }))
}

/** A journal that will be played back: one that was never synced begins with zeros. */
export function isHot(path: string): boolean {
  const journal = `${path}-journal`
  return (
    existsSync(journal) &&
    readFileSync(journal)
      .subarray(0, 8)
      .some((byte) => byte !== 0)
  )
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}
