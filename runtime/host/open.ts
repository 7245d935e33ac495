// Opening a session folder from the host's side: what is missing is made, what is old is brought up to date.
import { resolve } from 'node:path'
import { makeFolder } from '../folder.ts'
import { type Clock, realClock } from '../protocol/clock.ts'
import { checkTimeZone } from '../protocol/cron.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { filesIn } from '../protocol/files.ts'
import { Host } from './host.ts'
import { createOutbound, HostFile } from './sqlite/file.ts'
import { HostOutbox } from './sqlite/outbox.ts'

export interface HostOptions {
  /**
   * Keep inbound.db open between calls. Faster, and right when host and runtime share one kernel. Leave it off when the
   * folder is a mount between machines (VirtioFS, NFS): there the other side sees a change for certain once the file is closed.
   */
  readonly keepOpen?: boolean
  readonly clock?: Clock
  /** For recurrences without a zone of their own; each task keeps the one that it was made with. Default: the machine's. */
  readonly timeZone?: string
}

/**
 * Opens a session folder, and makes what is missing: the folder (for its owner alone), inbound.db in the newest shape
 * (an older file gains what it lacks), outbound.db when there is none.
 * @throws NanoclawError `bad_config` when the folder cannot be made, `inbound_unusable` when inbound.db is no database, or
 * not one that can be written.
 */
export function openHost(
  dir: string,
  { keepOpen = false, clock = realClock, timeZone }: HostOptions = {},
): Host {
  return openFolder(dir, { keepOpen, clock, zone: hostZone(timeZone) }).host
}

/** A host with what it is made of. */
export interface OpenFolder {
  readonly host: Host
  readonly file: HostFile
  readonly outbox: HostOutbox
}

/** @throws NanoclawError `bad_config`, `inbound_unusable` */
export function openFolder(
  dir: string,
  { keepOpen, clock, zone }: { readonly keepOpen: boolean; readonly clock: Clock; readonly zone: string },
): OpenFolder {
  const folder = resolve(dir)
  makeFolder(folder, 'folder', 0o700)
  const { inbound, outbound } = filesIn(folder)
  const file = new HostFile(inbound, keepOpen)
  createOutbound(outbound)
  const outbox = new HostOutbox(outbound)
  return { host: new Host(folder, file, outbox, clock, zone), file, outbox }
}

/**
 * The zone that a host counts in; asking the system for its own is slow.
 * @throws NanoclawError `bad_usage`
 */
export function hostZone(timeZone: string | undefined): string {
  if (timeZone === undefined) return new Intl.DateTimeFormat().resolvedOptions().timeZone
  try {
    checkTimeZone(timeZone)
    return timeZone
  } catch (cause) {
    throw new NanoclawError('bad_usage', `openHost: timeZone ${(cause as RangeError).message}`, { cause })
  }
}
