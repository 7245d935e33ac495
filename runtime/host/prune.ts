// Deletes messages that ended long ago, with their files. Keeps at any age: messages that have not ended by
// both files, the last message of a running series, files that a later message names.
import { DURATION_FORMS, type Duration, parseDuration } from '../protocol/duration.ts'
import { errorText, NanoclawError } from '../protocol/errors.ts'
import { parseTime } from '../protocol/time.ts'
import { didYouMean, isInstant } from './fields.ts'
import { FolderHandle } from './folder-handle.ts'
import type { HostFile } from './sqlite/file.ts'
import type { AckRow, HostOutbox } from './sqlite/outbox.ts'
import { deleteDelivered, deleteEnded, deliveredAfter, type EndedRow, endedAfter } from './sqlite/upkeep.ts'

export interface PruneOptions {
  /** A duration since the end of a message, or the instant before which it must have ended. */
  readonly olderThan: Duration | Date | string
}

export interface PruneReport {
  /** False: outbound.db cannot be read at the moment, so no further message was deleted; see `reason`. */
  readonly readable: boolean
  readonly reason?: string
  readonly messages: number
  /** Deleted delivery records of replies that the runtime no longer has. */
  readonly deliveries: number
  /**
   * Messages that stay because their files could not be removed now; the next prune tries again. At most 100
   * are named.
   */
  readonly stuck?: readonly StuckMessage[]
}

export interface StuckMessage {
  readonly id: string
  readonly reason: string
}

/** @throws NanoclawError `bad_usage` */
export function instantBefore(olderThan: unknown, nowMs: number): number {
  const ageMs = parseDuration(olderThan)
  const atMs = olderThan instanceof Date ? olderThan.getTime() : parseTime(String(olderThan))
  const beforeMs = atMs ?? (ageMs === undefined ? Number.NaN : nowMs - ageMs)
  if (Number.isNaN(beforeMs) || isInstant(olderThan))
    throw new NanoclawError(
      'bad_usage',
      `prune: olderThan is ${olderThan}; expected a Date, ISO 8601 text, or ${DURATION_FORMS}${isInstant(olderThan) ? `. ${didYouMean(olderThan)}` : ''}`,
    )
  return beforeMs
}

/** A page is one transaction, so that other processes wait only briefly for the lock. */
const PAGE_ROWS = 1_000

/** Enough for a diagnosis; the report must not grow with what an untrusted process leaves behind. */
const STUCK_MAX = 100

/** @throws NanoclawError `bad_config` when the inbox may not be opened */
export function prune(file: HostFile, outbox: HostOutbox, dir: string, beforeMs: number): PruneReport {
  const inbox = FolderHandle.below(dir, 'inbox')
  try {
    return pruneWith(file, outbox, new Files(inbox), beforeMs)
  } finally {
    inbox?.close()
  }
}

function pruneWith(file: HostFile, outbox: HostOutbox, files: Files, beforeMs: number): PruneReport {
  const messages = pruneMessages(file, outbox, files, beforeMs)
  const deliveries = messages.readable
    ? pruneDeliveries(file, outbox, beforeMs)
    : { readable: true, value: 0 }
  const reason = messages.reason ?? deliveries.reason
  const readable = messages.readable && deliveries.readable
  return {
    readable,
    ...(reason !== undefined && { reason }),
    messages: messages.value,
    deliveries: deliveries.value,
    ...(files.stuck.length > 0 && { stuck: files.stuck }),
  }
}

/** Removes the files of messages, as far as possible. */
class Files {
  readonly stuck: StuckMessage[] = []
  readonly #inbox: FolderHandle | undefined

  constructor(inbox: FolderHandle | undefined) {
    this.#inbox = inbox
  }

  of(id: string): boolean {
    return this.#inbox?.has(id) ?? false
  }

  /** False: some files are left, so their message stays, too, and the next prune retries. */
  removed(id: string): boolean {
    try {
      if (this.of(id)) this.#inbox?.remove(id)
      return true
    } catch (error) {
      if (this.stuck.length < STUCK_MAX) this.stuck.push({ id, reason: errorText(error) })
      return false
    }
  }
}

interface Pruned {
  readonly readable: boolean
  readonly reason?: string
  readonly value: number
}

function pruneMessages(file: HostFile, outbox: HostOutbox, files: Files, beforeMs: number): Pruned {
  let value = 0
  for (let cursor = 0; ; ) {
    const page = endedAfter(file, cursor, PAGE_ROWS)
    if (page.length === 0) return { readable: true, value }
    cursor = page.at(-1)!.cursor
    const acks = outbox.acks(page.map(({ id }) => id)).either(
      (all) => ({ of: new Map(all.map((ack) => [ack.id, ack])) }),
      (reason) => ({ reason }),
    )
    if ('reason' in acks) return { readable: false, ...acks, value }
    const old = page.filter((message) => mayForget(message, acks.of.get(message.id), beforeMs))
    // Files first: a crash in between leaves a message without them, never files that belong to no message.
    const free = old.filter(({ id, seriesLives }) => (seriesLives ? !files.of(id) : files.removed(id)))
    if (free.length > 0)
      value += deleteEnded(
        file,
        free.map(({ id }) => id),
      )
  }
}

/** While a reply is in outbound.db its delivery record must stay, or it would be sent again. */
function pruneDeliveries(file: HostFile, outbox: HostOutbox, beforeMs: number): Pruned {
  let value = 0
  for (let cursor = 0; ; ) {
    const page = deliveredAfter(file, cursor, PAGE_ROWS)
    if (page.length === 0) return { readable: true, value }
    cursor = page.at(-1)!.cursor
    const existing = outbox.existing(page.map(({ id }) => id)).either(
      (ids) => ({ ids }),
      (reason) => ({ reason }),
    )
    if ('reason' in existing) return { readable: false, ...existing, value }
    const old = page.filter(({ id, at }) => !existing.ids.has(id) && (parseTime(at) ?? beforeMs) < beforeMs)
    if (old.length > 0)
      value += deleteDelivered(
        file,
        old.map(({ id }) => id),
      )
  }
}

/** The time of the runtime's ack; for a message that the host ended itself, its creation time. */
function mayForget({ timestamp }: EndedRow, ack: AckRow | undefined, beforeMs: number): boolean {
  if (ack?.status === 'processing') return false
  const endedMs = parseTime(ack?.changedAt ?? timestamp)
  return endedMs !== undefined && endedMs < beforeMs
}
