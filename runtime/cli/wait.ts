// Until one message has ended. Replies are committed together with the ack that ends it, so they are read once, then; until
// then only the ack is looked up, by its key.

import { endOf } from '../protocol/ack.ts'
import type { Clock } from '../protocol/clock.ts'
import type { Paths } from '../protocol/files.ts'
import { readRuntime } from '../store/sqlite/inspect.ts'
import { type RunError, readAck, readMessage, type StoredReply } from '../store/sqlite/inspect-message.ts'
import { whyItWaits } from './held.ts'

export interface End {
  readonly state: 'completed' | 'failed' | 'waiting'
  readonly reason: string | null
  readonly error: RunError | null
  readonly replies: readonly StoredReply[]
  /** Why it has not ended, where that is known. */
  readonly why: string | undefined
}

const LOOK_MS = 25

/** `waiting` when the time is up before the message has ended. */
export async function waitForEnd(paths: Paths, id: string, waitMs: number, clock: Clock): Promise<End> {
  const until = clock.monotonic() + waitMs
  for (;;) {
    const ended = endOf(readAck(paths, id)?.status ?? 'processing')
    if (ended) return end(paths, id, ended, clock)
    const leftMs = until - clock.monotonic()
    if (leftMs <= 0) return end(paths, id, 'waiting', clock)
    await new Promise<void>((resolve) => {
      clock.after(Math.min(LOOK_MS, leftMs), resolve)
    })
  }
}

function end(paths: Paths, id: string, state: End['state'], clock: Clock): End {
  const report = readMessage(paths, id)
  const { runs, replies } = report
  const why = state === 'waiting' ? whyItWaits(report, readRuntime(paths), clock.now()) : undefined
  const last = state === 'completed' ? undefined : runs.at(-1)
  return { state, reason: last?.reason ?? null, error: last?.error ?? null, replies, why }
}
