// How messages ended, carried from the runtime's file into the host's. Nothing is remembered between two calls: what is
// still pending is read by index, in pages, and each page's acks are looked up, so history costs nothing.
import type { HostFile } from '../store/host-file.ts'
import { pendingAfter, settlePending } from '../store/host-inbox.ts'
import type { HostOutbox } from '../store/host-outbox.ts'

export interface SyncReport {
  /** False: outbound.db cannot be read at the moment, see `reason`; call again later. */
  readonly readable: boolean
  readonly reason?: string
  /** Messages that this call marked; an end that was written earlier is not counted again. */
  readonly completed: number
  readonly failed: number
  /** Messages that are still to be done. */
  readonly pending: number
}

/** A page is one transaction: long enough to be cheap, short enough that the runtime's reads do not wait for it. */
const PAGE_ROWS = 1_000

export function syncAcks(file: HostFile, outbox: HostOutbox): SyncReport {
  let completed = 0
  let failed = 0
  let pending = 0
  for (let cursor = 0; ; ) {
    const page = pendingAfter(file, cursor, PAGE_ROWS)
    if (page.length === 0) return { readable: true, completed, failed, pending }
    cursor = page.at(-1)!.cursor
    const acks = outbox.terminalAcks(page.map(({ id }) => id))
    if (!acks.readable)
      return { readable: false, reason: acks.reason, completed, failed, pending: pending + page.length }
    const settled = acks.value.length > 0 ? settlePending(file, acks.value) : []
    const failures = settled.filter(({ status }) => status === 'failed').length
    completed += settled.length - failures
    failed += failures
    pending += page.length - settled.length
  }
}
