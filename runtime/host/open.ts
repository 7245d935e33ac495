// Opens a session folder for a host: creates what is missing, upgrades what is old.
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
   * Keep inbound.db open between calls. Faster, and safe when host and runtime share one kernel. Leave it off
   * when the folder is a mount between machines (VirtioFS, NFS): there only closing the file makes a change
   * visible to the other side.
   */
  readonly keepOpen?: boolean
  readonly clock?: Clock
  /**
   * Time zone of recurrences that name none; each task keeps the zone that it was made with. Default: the
   * machine's.
   */
  readonly timeZone?: string
}

/**
 * Opens a session folder and creates what is missing: the folder (for its owner alone), inbound.db in the
 * newest shape (an older file gains what it lacks), an absent outbound.db.
 * @throws NanoclawError `bad_config` when the folder cannot be created, `inbound_unusable` when inbound.db is
 *   not a database, or
 * is not writable.
 */
export function openHost(
  dir: string,
  { keepOpen = false, clock = realClock, timeZone }: HostOptions = {},
): Host {
  return openFolder(dir, { keepOpen, clock, zone: hostZone(timeZone) }).host
}

/** A host together with its parts. */
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
 * The host's time zone; reading the system's zone is slow.
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
