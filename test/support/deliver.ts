// Delivery in a test: replies as a runtime writes them, an adapter that keeps what it got, and what the host
// noted.
import type { Adapter, DeliverOptions, DeliveryEvent } from 'nanoclaw-functions/host'
import { expect, onTestFinished, vi } from 'vitest'
import { insertRow } from './files.ts'
import type { HostFixture } from './host.ts'

export function reply({ outbound }: HostFixture, id: string, columns: Record<string, unknown> = {}): void {
  const last = outbound.prepare('select coalesce(max(seq), -1) from messages_out').pluck().get() as number
  const row = {
    id,
    seq: last + 2,
    timestamp: '2026-11-24 06:02:20',
    kind: 'chat',
    platform_id: 'p',
    content: '{}',
  }
  insertRow(outbound, 'messages_out', { ...row, ...columns })
}

export interface Started {
  /** Ids in the order in which the adapter got them. */
  readonly sent: string[]
  readonly events: DeliveryEvent[]
  stop(): Promise<void>
}

export function start(
  { host }: HostFixture,
  adapter: Adapter = () => undefined,
  options: DeliverOptions = {},
): Started {
  const sent: string[] = []
  const events: DeliveryEvent[] = []
  const delivery = host.deliver(
    (out, context) => {
      sent.push(out.id)
      return adapter(out, context)
    },
    { pollMs: 5, onEvent: (event) => events.push(event), ...options },
  )
  onTestFinished(() => delivery.stop())
  return { sent, events, stop: () => delivery.stop() }
}

export const delivered = ({ inbound }: HostFixture) =>
  inbound
    .prepare('select message_out_id, status, platform_message_id from delivered order by rowid')
    .raw()
    .all()

export const settled = (probe: () => void) => vi.waitFor(probe, { timeout: 60_000, interval: 5 })

/**
 * Waits for so many, as long as they go on: each is a commit of its own, and what thousands take together is
 * the disk's business.
 */
export async function settledAll(fixture: HostFixture, count: number): Promise<void> {
  const had = fixture.inbound.prepare('select count(*) from delivered').pluck()
  for (let before = -1; before < count; before = had.get() as number)
    await settled(() => expect(had.get()).toBeGreaterThan(before))
}
