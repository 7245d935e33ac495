// The files of a session folder: what they are called, for both sides, and the one that is only touched (docs/protocol.md).
import { closeSync, constants, futimesSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'

export const FILES = { inbound: 'inbound.db', outbound: 'outbound.db', heartbeat: '.heartbeat' } as const

export type FileName = keyof typeof FILES

export interface Paths {
  readonly inbound: string
  readonly outbound: string
  readonly heartbeat: string
  readonly inbox: string
  readonly outbox: string
  /** Locked by the one runtime that serves this folder. */
  readonly lock: string
}

/** One session folder. */
export interface WorkspacePlace {
  readonly workspace: string
  readonly paths: Paths
}

/** Where they lie in this folder. */
export function filesIn(folder: string): Record<FileName, string> {
  return {
    inbound: join(folder, FILES.inbound),
    outbound: join(folder, FILES.outbound),
    heartbeat: join(folder, FILES.heartbeat),
  }
}

/** The file that the one runtime of a folder locks, beside outbound.db. */
export function lockPath(outbound: string): string {
  return join(dirname(outbound), '.runtime.lock')
}

/**
 * Makes the file where it is missing, and sets its modification time.
 * @throws Error when the file cannot be written, or is a symbolic link (it could point anywhere)
 */
export function touchHeartbeat(path: string, nowMs: number): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const file = openSync(path, flags, 0o600)
  try {
    futimesSync(file, nowMs / 1000, nowMs / 1000)
  } finally {
    closeSync(file)
  }
}
