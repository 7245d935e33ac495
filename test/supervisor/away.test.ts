// A supervisor that was suspended together with its runtime, as when a machine sleeps.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { compiled } from '../support/compiled.ts'
import { insertRow, openDb } from '../support/files.ts'
import { until } from '../support/runtime.ts'
import { session } from '../support/supervise.ts'

const CHILD = fileURLToPath(new URL('../support/supervise-child.ts', import.meta.url))

interface Said {
  readonly atMs: number
  readonly state: string
  readonly pid?: number
  readonly reason?: string
}

/** A host in a process of its own, and its output. */
async function host(folder: string, limits: Record<string, number>) {
  const child = spawn(process.execPath, [await compiled(CHILD), folder, JSON.stringify(limits)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  const said = () =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Said)
  const latest = (state: string) => said().findLast((event) => event.state === state)
  onTestFinished(async () => {
    child.kill('SIGCONT')
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
  })
  return { child, latest }
}

test('after a suspension its runtime gets the whole time again, and the usual rules apply afterwards [156]', async () => {
  const folder = session()
  const claimMs = 1_000
  const { child, latest } = await host(folder, { claimMs, awayMs: 300, staleGraceMs: 50, pauseMinMs: 60_000 })
  await until(() => latest('starting')?.pid !== undefined)
  const runtime = latest('starting')!.pid!
  const claimedAtMs = Date.now()
  insertRow(openDb(join(folder, 'outbound.db')), 'processing_ack', {
    message_id: 'm-0',
    status: 'processing',
    status_changed: new Date(claimedAtMs).toISOString(),
  })
  await until(() => latest('running') !== undefined)
  process.kill(runtime, 'SIGSTOP')
  child.kill('SIGSTOP')
  await until(() => Date.now() - claimedAtMs > 2 * claimMs)
  const backAtMs = Date.now()
  process.kill(runtime, 'SIGCONT')
  child.kill('SIGCONT')

  await until(() => latest('stopping') !== undefined)
  const { atMs, reason } = latest('stopping')!
  expect(reason).toMatch(/message "m-0" was claimed .* no heartbeat followed/)
  expect(atMs - backAtMs).toBeGreaterThan(claimMs)
})

test('messages that became due in its absence do not count as messages without a function [156]', async () => {
  const folder = session()
  const leftAloneMs = 1_000
  const { child, latest } = await host(folder, {
    leftAloneMs,
    idleMs: leftAloneMs,
    awayMs: 300,
    pauseMinMs: 60_000,
  })
  await until(() => latest('starting')?.pid !== undefined)
  writeFileSync(join(folder, '.heartbeat'), '')
  await until(() => latest('running') !== undefined)
  const stoppedAtMs = Date.now()
  child.kill('SIGSTOP')
  await until(() => Date.now() - stoppedAtMs > 2 * leftAloneMs)
  const backAtMs = Date.now()
  child.kill('SIGCONT')

  await until(() => latest('stopping') !== undefined)
  const { atMs, reason } = latest('stopping')!
  expect(reason).toBe('it takes nothing of what is due')
  expect(atMs - backAtMs).toBeGreaterThan(leftAloneMs)
})
