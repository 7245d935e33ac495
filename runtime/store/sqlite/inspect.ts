// Looking at a workspace from outside, for `status` and `show`: both files are opened read-only, read in
// short steps and closed again; nothing is locked for long, nothing is changed, and no state of the files is
// an error. What cannot be read at the moment (missing, a dead writer's journal, damaged) is said with its
// reason.
import { closeSync, constants, openSync, readFileSync, statSync } from 'node:fs'
import { endOf } from '../../protocol/ack.ts'
import type { Paths } from '../../protocol/files.ts'
import { type RuntimeStatus, statusPath } from '../../protocol/status-file.ts'
import { type Backlog, countBacklog, readRecords } from './backlog.ts'
import { FileProbe, type FileState } from './file-probe.ts'
import { type RunError, runError } from './inspect-message.ts'
import { isLocked } from './lock.ts'
import { columnsOf, type ReadonlyDb } from './open.ts'

/** `running`: a process holds the lock. If none does, the note is that of a runtime that has ended. */
export interface RuntimeSeen {
  readonly running: boolean
  readonly note: RuntimeStatus | null
  /** Its last sign of life: the heartbeat, or the note that it touches while idle too. */
  readonly heartbeatAtMs: number | null
}

export interface Status {
  readonly runtime: RuntimeSeen
  readonly inbound: FileState
  readonly outbound: FileState
  /** Null while it is not known: a file is not readable. */
  readonly backlog: Backlog | null
  readonly ended: { readonly completed: number; readonly failed: number } | null
  /** The newest first. */
  readonly failures: readonly Failure[]
  /** How often a runtime has started on this workspace. */
  readonly epoch: number | null
}

export interface Failure {
  readonly id: string
  readonly failedAt: string
  readonly functionName: string | null
  readonly reason: string | null
  readonly error: RunError | null
}

export function readStatus(
  paths: Paths,
  options: { readonly nowMs: number; readonly failuresMax?: number },
): Status {
  const [inbound, outbound] = [new FileProbe(paths.inbound), new FileProbe(paths.outbound)]
  try {
    const ended = outbound.read(countEnded)
    const failures = outbound.read((db) => lastFailures(db, options.failuresMax ?? 5)) ?? []
    const epoch = outbound.read(epochOf)
    const recordsOf = (ids: readonly string[]) =>
      outbound.missing ? new Map() : outbound.read((db) => readRecords(db, ids))
    const backlog = inbound.read((db) => countBacklog(db, recordsOf, options.nowMs))
    const runtime = readRuntime(paths)
    return { runtime, inbound: inbound.state, outbound: outbound.state, backlog, ended, failures, epoch }
  } finally {
    inbound.close()
    outbound.close()
  }
}

export function readRuntime(paths: Paths): RuntimeSeen {
  return {
    running: isLocked(paths.lock),
    note: readNote(statusPath(paths.lock)),
    heartbeatAtMs: newestMs([paths.heartbeat, statusPath(paths.lock)]),
  }
}

function newestMs(paths: readonly string[]): number | null {
  const times = paths.flatMap((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? [])
  return times.length > 0 ? Math.max(...times) : null
}

/** Null when there is none, or none that can be read: it only helps, so it may be missing. */
function readNote(path: string): RuntimeStatus | null {
  try {
    // A link is not followed, and a FIFO does not hang the process.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const note: unknown = JSON.parse(readFileSync(fd, 'utf8'))
      return typeof note === 'object' && note !== null && 'pid' in note ? (note as RuntimeStatus) : null
    } finally {
      closeSync(fd)
    }
  } catch {
    return null
  }
}

function countEnded(db: ReadonlyDb): { completed: number; failed: number } {
  if (columnsOf(db, 'processing_ack').size === 0) return { completed: 0, failed: 0 }
  const rows = db.prepare('select status, count(*) from processing_ack group by status').all() as [
    string,
    number,
  ][]
  const counts = { completed: 0, failed: 0 }
  for (const [status, count] of rows) {
    const end = endOf(status)
    if (end) counts[end] += count
  }
  return counts
}

function lastFailures(db: ReadonlyDb, limit: number): Failure[] {
  if (columnsOf(db, 'processing_ack').size === 0) return []
  const acks = db
    .prepare(
      `select message_id, status_changed from processing_ack
       where status not in ('processing', 'completed') order by status_changed desc limit ?`,
    )
    .all(limit) as [id: string | Buffer, failedAt: string][]
  const lastRun =
    columnsOf(db, 'nanoclaw_run').size > 0
      ? db.prepare(
          'select function, reason, error from nanoclaw_run where message_id = ? order by run desc limit 1',
        )
      : undefined
  return acks.map(([key, failedAt]) => {
    // An ack has the id as the host wrote it, which may be a blob; the run beside it has the text made of
    // those bytes.
    const id = key.toString()
    const [functionName, reason, error] = (lastRun?.get(id) ?? []) as (string | null)[]
    return {
      id,
      failedAt,
      functionName: functionName || null,
      reason: reason ?? null,
      error: runError(error ?? null),
    }
  })
}

function epochOf(db: ReadonlyDb): number | null {
  if (columnsOf(db, 'nanoclaw_runtime').size === 0) return null
  return (
    (db.prepare('select epoch from nanoclaw_runtime where id = 1').get() as [number] | undefined)?.[0] ?? null
  )
}
