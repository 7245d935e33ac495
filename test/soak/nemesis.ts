// What befalls a runtime beside its death, and passes again: it is stopped and goes on, inbound.db is locked
// or gone for a while, the disk is full.
import { execFileSync } from 'node:child_process'
import { renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Peer } from './peer.ts'
import type { Nemesis } from './plan.ts'
import type { RuntimeProcess } from './runtime-process.ts'

export interface Victims {
  readonly runtime: RuntimeProcess
  /** Undefined: dead at the moment. */
  readonly host: Peer | undefined
  readonly workspace: string
}

/** Begins now; resolves when it is over. */
export async function befall(nemesis: Nemesis, ms: number, victims: Victims): Promise<void> {
  const { runtime, host, workspace } = victims
  switch (nemesis) {
    case 'stop':
      runtime.signal('SIGSTOP')
      await setTimeout(ms)
      return runtime.signal('SIGCONT')
    case 'lock':
      return host?.call('lock', ms)
    case 'rename': {
      const [here, away] = [join(workspace, 'inbound.db'), join(workspace, 'inbound.db.away')]
      renameSync(here, away)
      await setTimeout(ms)
      return renameSync(away, here)
    }
    case 'full disk': {
      const filler = join(workspace, 'filler')
      fill(filler)
      await setTimeout(ms)
      return rmSync(filler)
    }
    default:
      return nemesis satisfies never
  }
}

/**
 * A disk of its own for a folder, so small that filling it costs nothing. Undefined: the system does not let
 * us.
 */
export function mountTinyDisk(folder: string, megabytes: number): (() => void) | undefined {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  return () => void execFileSync('umount', ['--lazy', folder], { stdio: 'ignore' })
}

function fill(path: string): void {
  const { bavail, bsize } = statfsSync(join(path, '..'))
  try {
    writeFileSync(path, Buffer.alloc(bavail * bsize))
  } catch (error) {
    // Another process took the last page first: the disk is full all the same.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
  }
}
