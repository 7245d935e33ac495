// When a message runs: now, at its time, or never because its time cannot be read.
import { describe, expect, it, onTestFinished } from 'vitest'
import { isoTime, sqliteTime } from '../../runtime/protocol/time.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { benchOf, project, sharedBench, testConfig, until } from '../support/runtime.ts'

const MINUTE_MS = 60_000

const shared = sharedBench(['echo'])

describe('process_after', () => {
  it.each([
    ['SQLite form', sqliteTime],
    ['ISO form', isoTime],
    ['with an offset', (at: number) => isoTime(at + 2 * 3_600_000).replace('Z', '+02:00')],
  ])('in %s: runs when its time comes, in that millisecond, not before', async (_form, write) => {
    const { bench, clock, ended } = await onOwnTime()
    const dueMs = clock.now() + MINUTE_MS
    const id = bench.send('echo', {}, { process_after: write(dueMs) })
    await ended(bench.send('echo'))
    clock.advance(dueMs - 1 - clock.now())
    expect(bench.ack(id)).toBeUndefined()
    clock.advance(1)
    expect(bench.ack(id)).toBe('processing')
    await ended(id)
    const started = bench.outbound.prepare('select started_at from nanoclaw_run where message_id = ?')
    expect(started.pluck().get(id)).toBe(dueMs)
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
    'with an invalid time (%s): fails with the reason [W23, 80]',
    async (text) => {
      const bench = shared()
      const id = bench.send('echo', {}, { process_after: text })
      await bench.ended(id)
      expect(bench.ack(id)).toBe('failed')
      const run = bench.outbound
        .prepare('select outcome, reason, error from nanoclaw_run where message_id = ?')
        .get(id)
      expect(run).toMatchObject({
        outcome: 'rejected',
        reason: 'bad_process_after',
        error: expect.stringContaining(text),
      })
    },
  )

  it('50 days ahead waits without a run [79]', async () => {
    const bench = shared()
    const id = bench.send('echo', {}, { process_after: isoTime(Date.now() + 50 * 86_400_000) })
    const marker = bench.send('echo')
    await bench.ended(marker)
    expect(bench.ack(id)).toBeUndefined()
  })

  it('moved by the host while it waits: the new time counts, earlier or later', async () => {
    const { bench, clock, ended } = await onOwnTime()
    const dueMs = clock.now() + MINUTE_MS
    const sooner = bench.send('echo', {}, { process_after: isoTime(dueMs + 60 * MINUTE_MS) })
    const later = bench.send('echo', {}, { process_after: isoTime(dueMs) })
    await ended(bench.send('echo'))
    bench.inbound.prepare('update messages_in set process_after = null where id = ?').run(sooner)
    bench.inbound
      .prepare('update messages_in set process_after = ? where id = ?')
      .run(isoTime(dueMs + MINUTE_MS), later)
    await ended(sooner)
    clock.advance(dueMs + MINUTE_MS - 1 - clock.now())
    expect(bench.ack(later)).toBeUndefined()
    await ended(later)
    expect(bench.runs(later)).toHaveLength(1)
  })

  it('a message that the host pauses or cancels in time does not run; a resumed one does', async () => {
    const { bench, clock, ended } = await onOwnTime()
    const dueMs = clock.now() + MINUTE_MS
    const [paused, cancelled] = [1, 2].map(() =>
      bench.send('echo', {}, { process_after: isoTime(dueMs) }),
    ) as [string, string]
    await ended(bench.send('echo'))
    bench.inbound.prepare("update messages_in set status = 'paused' where id = ?").run(paused)
    bench.inbound.prepare("update messages_in set status = 'completed' where id = ?").run(cancelled)
    clock.advance(dueMs + 1_000 - clock.now())
    expect([bench.ack(paused), bench.ack(cancelled)]).toEqual([undefined, undefined])
    bench.inbound.prepare("update messages_in set status = 'pending' where id = ?").run(paused)
    await ended(paused)
    expect(bench.ack(cancelled)).toBeUndefined()
  })
})

/** A runtime whose clock the test controls; while the test waits, each poll advances it by a millisecond. */
async function onOwnTime() {
  const clock = new FakeClock()
  const bench = benchOf(testConfig(project(['echo'])), undefined, { clock })
  onTestFinished(() => bench.runtime.kill())
  await bench.runtime.start()
  const ended = (id: string) =>
    until(() => {
      clock.advance(1)
      return bench.ack(id) === 'completed'
    })
  return { bench, clock, ended }
}
