// When a message runs: now, at its time, or never because its time cannot be read.
import { describe, expect, it } from 'vitest'
import { isoTime, sqliteTime } from '../../runtime/protocol/time.ts'
import { sharedBench } from '../support/runtime.ts'

const shared = sharedBench(['echo'])

describe('process_after', () => {
  it.each([
    ['SQLite form', sqliteTime],
    ['ISO form', isoTime],
    ['with an offset', (at: number) => isoTime(at + 2 * 3_600_000).replace('Z', '+02:00')],
  ])('in %s: runs when its time comes, within 50 ms, not before', async (_form, write) => {
    const bench = shared()
    const dueMs = Date.now() + 700
    const id = bench.send('echo', {}, { process_after: write(dueMs) })
    await bench.ended(id)
    const started = bench.outbound
      .prepare('select started_at from nanoclaw_run where message_id = ?')
      .pluck()
      .get(id) as number
    expect(started).toBeGreaterThanOrEqual(dueMs)
    expect(started - dueMs).toBeLessThan(50)
  })

  it.each(['2020-01-01 00:00:00', '2020-01-01T00:00:00Z', '', null])(
    'in the past or absent (%s): runs at once',
    async (text) => {
      const bench = shared()
      const id = bench.send('echo', {}, { process_after: text })
      await bench.ended(id)
      expect(bench.ack(id)).toBe('completed')
    },
  )

  it.each(['not-a-date', '1795442399', '2026-02-30 00:00:00'])(
    'W23, 80: that cannot be read (%s): fails with the reason',
    async (text) => {
      const bench = shared()
      const id = bench.send('echo', {}, { process_after: text })
      await bench.ended(id)
      expect(bench.ack(id)).toBe('failed')
      const run = bench.outbound
        .prepare('select outcome, reason, error from nanoclaw_run where message_id = ?')
        .get(id)
      expect(run).toMatchObject({
        outcome: 'refused',
        reason: 'bad_process_after',
        error: expect.stringContaining(text),
      })
    },
  )

  it('79: 50 days ahead waits quietly', async () => {
    const bench = shared()
    const id = bench.send('echo', {}, { process_after: isoTime(Date.now() + 50 * 86_400_000) })
    const marker = bench.send('echo')
    await bench.ended(marker)
    expect(bench.ack(id)).toBeUndefined()
  })

  it('moved by the host while it waits: the new time counts, earlier or later', async () => {
    const bench = shared()
    const sooner = bench.send('echo', {}, { process_after: isoTime(Date.now() + 3_600_000) })
    const later = bench.send('echo', {}, { process_after: isoTime(Date.now() + 600) })
    await bench.ended(bench.send('echo'))
    bench.inbound.prepare('update messages_in set process_after = null where id = ?').run(sooner)
    bench.inbound
      .prepare('update messages_in set process_after = ? where id = ?')
      .run(isoTime(Date.now() + 3_600_000), later)
    await bench.ended(sooner)
    const probe = bench.send('echo', {}, { process_after: isoTime(Date.now() + 900) })
    await bench.ended(probe)
    expect(bench.ack(later)).toBeUndefined()
  })

  it('a message that the host pauses or cancels in time does not run; a resumed one does', async () => {
    const bench = shared()
    const at = isoTime(Date.now() + 500)
    const [paused, cancelled] = [
      bench.send('echo', {}, { process_after: at }),
      bench.send('echo', {}, { process_after: at }),
    ]
    await bench.ended(bench.send('echo'))
    bench.inbound.prepare("update messages_in set status = 'paused' where id = ?").run(paused)
    bench.inbound.prepare("update messages_in set status = 'completed' where id = ?").run(cancelled)
    const probe = bench.send('echo', {}, { process_after: isoTime(Date.now() + 800) })
    await bench.ended(probe)
    expect([bench.ack(paused), bench.ack(cancelled)]).toEqual([undefined, undefined])
    bench.inbound.prepare("update messages_in set status = 'pending' where id = ?").run(paused)
    await bench.ended(paused)
    expect(bench.ack(paused)).toBe('completed')
  })
})
