// Copies acks from the runtime's file into the host's, and inserts the next occurrence of recurring messages.
// No state is kept between two calls: pending messages are read by index, in pages, and each page's acks are
// looked up, so history costs nothing.
import { endOf } from '../protocol/ack.ts'
import { parseTime, sqliteTime } from '../protocol/time.ts'
import type { FieldContext } from './fields.ts'
import { decideNextOccurrence, STOPPED } from './recurrence.ts'
import type { HostFile } from './sqlite/file.ts'
import { finishPending, pendingAfter, type TerminalAck } from './sqlite/inbox.ts'
import type { AckRow, HostOutbox } from './sqlite/outbox.ts'
import { type EndedOccurrence, endedOccurrences, insertSuccessor, markStopped } from './sqlite/series.ts'

export interface SyncReport {
  /** False: outbound.db cannot be read at the moment, see `reason`; call again later. */
  readonly readable: boolean
  readonly reason?: string
  /** Messages that this call updated. */
  readonly completed: number
  readonly failed: number
  /** Messages that are still pending. */
  readonly pending: number
  /** Next occurrences made by this call. */
  readonly recurred: number
  /** Series without a next occurrence; each is reported once, and tasks.list() shows it from then on. */
  readonly stopped: readonly StoppedSeries[]
}

export interface StoppedSeries {
  readonly seriesId: string
  readonly recurrence: string
  readonly reason: string
}

type AckReport = Omit<SyncReport, 'recurred' | 'stopped'>
type RecurReport = Pick<SyncReport, 'recurred' | 'stopped'>

/**
 * A page is one transaction: long enough to be cheap, short enough that the runtime's reads do not wait for
 * it.
 */
const PAGE_ROWS = 1_000

export function sync(file: HostFile, outbox: HostOutbox, intake: FieldContext): SyncReport {
  return { ...carryAcks(file, outbox), ...makeSuccessors(file, intake) }
}

function carryAcks(file: HostFile, outbox: HostOutbox): AckReport {
  let completed = 0
  let failed = 0
  let pending = 0
  for (let cursor = 0; ; ) {
    const page = pendingAfter(file, cursor, PAGE_ROWS)
    if (page.length === 0) return { readable: true, completed, failed, pending }
    cursor = page.at(-1)!.cursor
    const acks = outbox.acks(page.map(({ id }) => id)).either(
      (all) => ({ terminal: all.flatMap(terminalAck) }),
      (reason) => ({ reason }),
    )
    if ('reason' in acks)
      return { readable: false, ...acks, completed, failed, pending: pending + page.length }
    const { terminal } = acks
    const settled = terminal.length > 0 ? finishPending(file, terminal) : []
    const failures = settled.filter(({ status }) => status === 'failed').length
    completed += settled.length - failures
    failed += failures
    pending += page.length - settled.length
    if (page.length < PAGE_ROWS) return { readable: true, completed, failed, pending }
  }
}

function terminalAck({ id, status }: AckRow): TerminalAck[] {
  const end = endOf(status)
  return end ? [{ id, status: end }] : []
}

/** A failed occurrence does not end its series. */
function makeSuccessors(file: HostFile, { nowMs, now, timeZone, newId }: FieldContext): RecurReport {
  let recurred = 0
  const stopped: StoppedSeries[] = []
  for (const ended of endedOccurrences(file, STOPPED)) {
    const { seriesId, recurrence } = ended
    const zone = ended.timeZone ?? timeZone
    const decision = decideNextOccurrence(recurrence, scheduledMs(ended, nowMs), nowMs, zone)
    if (decision.type === 'next') {
      const successor = { id: newId(), processAfter: sqliteTime(decision.atMs), timestamp: now }
      if (insertSuccessor(file, ended, successor)) recurred++
    } else if (markStopped(file, ended, STOPPED + recurrence)) {
      stopped.push({ seriesId, recurrence, reason: decision.reason })
    }
  }
  return { recurred, stopped }
}

/** The scheduled time of the occurrence; its creation time where it has none. */
function scheduledMs({ processAfter, timestamp }: EndedOccurrence, nowMs: number): number {
  return parseTime(processAfter ?? '') ?? parseTime(timestamp) ?? nowMs
}
