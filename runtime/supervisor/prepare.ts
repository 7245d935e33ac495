// The step before a start: the host's hook, with a time limit, and the command line built from its result.

import { FolderHandle } from '../host/folder-handle.ts'
import type { Clock } from '../protocol/clock.ts'
import { type Command, type Launch, launchOf, type Mount, READONLY, runName } from './containers.ts'
import type { Limits } from './liveness.ts'

/** What a runtime of this folder gets in addition to the command. */
export interface Prepared {
  readonly env?: Readonly<Record<string, string>>
  /** For containers. */
  readonly mounts?: readonly Mount[]
  /** For containers: `name:address` pairs. */
  readonly hosts?: readonly string[]
}

/** Throws when this folder cannot have a runtime at the moment; it is called again after a pause. */
export type Prepare = (folder: string, signal: AbortSignal) => Prepared | Promise<Prepared>

export interface PrepareParts {
  readonly folder: string
  readonly clock: Clock
  readonly command: Command
  readonly prepare: Prepare
  readonly limits: Limits
}

/** @throws the hook's error, the signal's reason, a timeout, or that the inbox is not a directory */
export async function prepareLaunch(parts: PrepareParts, stopping: AbortSignal): Promise<Launch> {
  const { folder, command } = parts
  const { env = {}, mounts = [], hosts = [] } = await inTime(parts, stopping)
  // Engines mount the target of a link. No process of this folder runs now that could replace it after this
  // check.
  if ('engine' in command) FolderHandle.made(folder, READONLY).close()
  return launchOf(command, { folder, name: runName(folder), env, mounts, hosts })
}

async function inTime(
  { clock, limits, prepare, folder }: PrepareParts,
  stopping: AbortSignal,
): Promise<Prepared> {
  const late = new AbortController()
  const signal = AbortSignal.any([late.signal, stopping])
  const gone = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  const timer = clock.after(limits.prepareMs, () =>
    late.abort(new Error(`prepare did not finish within ${limits.prepareMs} ms`)),
  )
  try {
    return await Promise.race([(async () => prepare(folder, signal))(), gone])
  } finally {
    timer.cancel()
  }
}
