// Processes under pressure: backlogs, timeouts in batches, reloads during runs, invalid bytes on the channel.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { project, until, workbench } from '../support/runtime.ts'

/** Quick for all but the messages that say otherwise; `block` keeps the event loop, `ms` does not. */
const MIXED = `export default { timeout: '600ms', retry: { attempts: 1 }, handler({ content }) {
  if (content.block) { const end = Date.now() + content.block; while (Date.now() < end); return 'blocked' }
  if (content.ms) return new Promise((resolve) => setTimeout(resolve, content.ms))
  return 'quick'
} }`

describe('a handler that hangs', () => {
  it('times out although fast messages keep arriving', async () => {
    const bench = await workbench([], { concurrency: 1 }, { 'mixed.js': MIXED })
    const quick = Array.from({ length: 50 }, () => bench.send('mixed'))
    await bench.ended(...quick)
    const hung = bench.send('mixed', { ms: 60_000 })
    const behind = Array.from({ length: 40 }, () => bench.send('mixed'))
    await bench.ended(hung, ...behind)
    expect(bench.runs(hung).map(({ reason }) => reason)).toEqual(['timeout'])
    expect(behind.map((id) => bench.ack(id))).not.toContain('failed')
    const released = bench.outbound.prepare('select count(*) from nanoclaw_run').pluck().get() as number
    expect(released).toBeLessThan(200)
  })

  it('times out although its function was reloaded meanwhile', async () => {
    const bench = await workbench([], { concurrency: 1 }, { 'mixed.js': MIXED })
    await bench.ended(bench.send('mixed', { ms: 300 }))
    const hung = bench.send('mixed', { ms: 60_000 })
    await until(() => bench.ack(hung) === 'processing')
    writeFileSync(`${bench.config.functions}/mixed.js`, `${MIXED}\n// changed`)
    await bench.runtime.reload()
    await bench.ended(hung)
    expect(bench.runs(hung)[0]?.reason).toBe('timeout')
  })

  it('charges no other message in the same process', async () => {
    const bench = await workbench([], { concurrency: 1 }, { 'mixed.js': MIXED })
    await bench.ended(...Array.from({ length: 50 }, () => bench.send('mixed')))
    const before = bench.send('mixed', {}, { thread_id: 't' })
    const blocker = bench.send('mixed', { block: 1_500 }, { thread_id: 't' })
    const behind = [1, 2, 3].map(() => bench.send('mixed', {}, { thread_id: 't' }))
    await bench.ended(before, blocker, ...behind)
    expect([before, ...behind].map((id) => bench.ack(id))).toEqual([
      'completed',
      'completed',
      'completed',
      'completed',
    ])
  })
})

describe('a function that changes', () => {
  it('runs a message again on its new code', async () => {
    const source = (answer: string) =>
      // Attempts enough for a reload that takes its time.
      `export default { retry: { attempts: 6, minDelay: 400 }, async handler() { await new Promise((r) => setTimeout(r, 300)); ${answer} } }`
    const bench = await workbench([], {}, { 'talk.js': source("throw new Error('old')") })
    const id = bench.send('talk')
    await until(() => bench.ack(id) === 'processing')
    writeFileSync(`${bench.config.functions}/talk.js`, source("return 'new'"))
    await bench.runtime.reload()
    await bench.ended(id)
    expect(bench.replies(id).map(({ content }) => content)).toEqual([{ text: 'new' }])
  })

  it('may be in an unreadable folder for a while: the fault is reported, and the next reload works', async () => {
    const bench = await workbench([], {}, { 'talk.js': `export default () => 'old'` })
    const told: string[] = []
    bench.events.on('function-broken', ({ message }) => told.push(message))
    writeFileSync(`${bench.config.functions}/talk.ts`, `export default () => 'twin'`)
    await bench.runtime.reload()
    expect(told.join()).toContain('talk')
    writeFileSync(`${bench.config.functions}/talk.js`, `export default () => 'new'`)
    rmSync(`${bench.config.functions}/talk.ts`)
    await bench.runtime.reload()
    const id = bench.send('talk')
    await bench.ended(id)
    expect(bench.replies(id)[0]?.content).toEqual({ text: 'new' })
  })
})

describe('several functions', () => {
  it('together keep to the concurrency of the runtime, and a long backlog of one does not block others', async () => {
    const source = `export default async () => { const from = Date.now(); await new Promise((r) => setTimeout(r, 60)); return { from, to: Date.now() } }`
    const bench = await workbench([], { concurrency: 1 }, { 'a.js': source, 'b.js': source, 'c.js': source })
    const ids = [...Array.from({ length: 20 }, () => bench.send('a')), bench.send('b'), bench.send('c')]
    await bench.ended(...ids)
    const spans = ids.map((id) => bench.replies(id)[0]?.content as { from: number; to: number })
    const overlapping = spans.filter((one) =>
      spans.some((other) => other !== one && other.from < one.to && one.from < other.to),
    )
    expect(overlapping).toEqual([])
    const after = spans.slice(0, 20).filter(({ from }) => from >= Math.max(spans[20]!.to, spans[21]!.to))
    expect(after.length).toBeGreaterThan(5)
  })
})

describe('the channel', () => {
  it('an invalid report on it ends the process that wrote it only [19]', async () => {
    const bench = await workbench(['raw-reports', 'echo'])
    const ids = Array.from({ length: 10 }, (_, report) => bench.send('raw-reports', { report }))
    const other = bench.send('echo')
    await bench.ended(...ids, other)
    expect(bench.ack(other)).toBe('completed')
    expect(ids.map((id) => bench.replies(id).map(({ content }) => content.text))).toEqual(
      ids.map(() => ['honest now']),
    )
  })

  it('bytes on it that are not a message end the process that wrote them only [19]', async () => {
    const bench = await workbench(['raw-bytes', 'echo'])
    const ids = Array.from({ length: 6 }, (_, bytes) => bench.send('raw-bytes', { bytes }))
    const other = bench.send('echo')
    await bench.ended(...ids, other)
    expect(bench.ack(other)).toBe('completed')
    expect(ids.map((id) => bench.replies(id)[0]?.content.text)).toEqual(ids.map(() => 'honest now'))
  })
})

describe('a start', () => {
  it.each([50, 150, 300, 600])('that gets SIGTERM after %i ms ends with 0', async (afterMs) => {
    const root = project(['echo', 'slow', 'throw'])
    const cli = fileURLToPath(new URL('../../dist/bin/main.js', import.meta.url))
    const child = spawn(process.execPath, [cli, 'start', '--log-level', 'silent'], {
      cwd: root,
      stdio: 'ignore',
    })
    await new Promise((resolve) => setTimeout(resolve, 350 + afterMs))
    child.kill('SIGTERM')
    const [code, signal] = await once(child, 'exit')
    // A signal before the handlers are there ends a process as signals do.
    expect([0, null]).toContain(code)
    expect(['SIGTERM', null]).toContain(signal)
  })
})
