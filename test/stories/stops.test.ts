// A handler that stops its own runtime is treated like one during a deploy: it is not charged, and does not
// block others.
import { expect, it } from 'vitest'
import { headInbound, insertMessage, openDb } from '../support/files.ts'
import { project, testConfig, until } from '../support/runtime.ts'
import { acksAt, serve } from '../support/serve.ts'

const STOPS = `export default { timeout: '10m', handler: () => { process.kill(process.ppid, 'SIGTERM'); return new Promise(() => undefined) } }`

it('a handler that sends its runtime SIGTERM waits longer after each stop, so that messages behind it run [167]', async () => {
  const root = project(['echo'], { 'stops.js': STOPS })
  const { workspace, paths } = testConfig(root)
  const inbound = headInbound(paths.inbound)
  insertMessage(inbound, { kind: 'stops' })
  const args = ['--drain', '100ms', '--abort-grace', '50ms']
  const stops = 4
  const waits: (number | null)[] = []
  for (let stop = 0; stop < stops; stop++) {
    expect(await serve(root, workspace, { args }).ended).toBe(0)
    const outbound = openDb(paths.outbound, { readonly: true })
    const ended = outbound
      .prepare('select outcome, reason, next_at - ended_at as wait from nanoclaw_run order by run desc')
      .get() as { outcome: string; reason: string; wait: number | null }
    expect(ended).toMatchObject({ outcome: 'cancelled', reason: 'shutdown' })
    waits.push(ended.wait)
  }
  // None after the first one, which may well be a deploy; then 1, 2, 4 s, and of that a point in the upper
  // half.
  expect(waits[0]).toBeNull()
  for (const [n, fullMs] of [1_000, 2_000, 4_000].entries()) {
    expect(waits[n + 1]).toBeGreaterThanOrEqual(fullMs / 2)
    expect(waits[n + 1]).toBeLessThanOrEqual(fullMs)
  }
  const next = serve(root, workspace, { args })
  const { id: behind } = insertMessage(inbound, { kind: 'echo' })
  await until(() => acksAt(paths.outbound)[behind] === 'completed', next.text)
  expect(await next.ended).toBe(0)
})
