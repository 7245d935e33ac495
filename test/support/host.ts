// A host on a fresh folder, both files open beside it, and a clock that only a test moves.
import { join } from 'node:path'
import { type Host, type HostOptions, openHost } from 'nanoclaw-functions/host'
import { onTestFinished } from 'vitest'
import { type Clock, realClock } from '../../runtime/protocol/clock.ts'
import { type Db, insertRow, openDb, tempDir } from './files.ts'

export interface HostFixture {
  readonly dir: string
  readonly host: Host
  readonly inbound: Db
  readonly outbound: Db
  /** What a runtime writes when it claims or ends a message; the newest status replaces the one before. */
  ack(id: string, status: 'processing' | 'completed' | 'failed'): void
  /** Moves the wall clock to an instant; timers go on in real time. */
  setTime(iso: string): void
  /** How often the host has found nothing to do and gone to sleep for a moment. */
  waits(): number
}

export const START_TIME = '2026-11-24T06:02:20.123Z'

export function hostFixture(options: HostOptions = {}): HostFixture {
  const dir = tempDir()
  let nowMs = Date.parse(START_TIME)
  let waits = 0
  const clock: Clock = {
    ...realClock,
    now: () => nowMs,
    after: (delayMs, fn) => {
      waits++
      return realClock.after(delayMs, fn)
    },
  }
  const host = openHost(dir, { clock, timeZone: 'UTC', ...options })
  onTestFinished(() => host.close())
  const outbound = openDb(join(dir, 'outbound.db'))
  return {
    dir,
    host,
    inbound: openDb(join(dir, 'inbound.db')),
    outbound,
    ack: (id, status) => {
      outbound.prepare('delete from processing_ack where message_id = ?').run(id)
      insertRow(outbound, 'processing_ack', { message_id: id, status, status_changed: START_TIME })
    },
    setTime: (iso) => {
      nowMs = Date.parse(iso)
    },
    waits: () => waits,
  }
}
