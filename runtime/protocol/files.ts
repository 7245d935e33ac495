// The file names of a session folder, for both sides (docs/protocol.md).
import { join } from 'node:path'

export const FILES = { inbound: 'inbound.db', outbound: 'outbound.db', heartbeat: '.heartbeat' } as const

export type FileName = keyof typeof FILES

/** Their paths in this folder. */
export function filesIn(folder: string): Record<FileName, string> {
  return {
    inbound: join(folder, FILES.inbound),
    outbound: join(folder, FILES.outbound),
    heartbeat: join(folder, FILES.heartbeat),
  }
}
