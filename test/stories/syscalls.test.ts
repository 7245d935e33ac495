// A disk that fails repeatedly under a running runtime: real failures of real system calls.
import { readFileSync } from 'node:fs'
import { expect, it, onTestFinished } from 'vitest'
import { headInbound, insertMessage, openDb } from '../support/files.ts'
import { project, testConfig, until } from '../support/runtime.ts'
import { acksAt, serve } from '../support/serve.ts'
import { canTrace, signalTraced, tracer } from '../support/strace.ts'

const MESSAGES = 16
const WORK = `export default async (message, ctx) => {
  ctx.reply('one')
  await new Promise((resolve) => setTimeout(resolve, 20))
  return 'two'
}`

it.skipIf(!canTrace())(
  'syncs, writes and reads that fail now and then cost time, but no message and no second run (needs strace) [71, 72, 73]',
  async () => {
    const root = project([], { 'work.js': WORK })
    const { paths, workspace } = testConfig(root)
    const inbound = headInbound(paths.inbound)
    const trace = `${root}/trace`
    const runtime = serve(root, workspace, {
      before: tracer(
        paths.outbound,
        [
          // The start makes some ten syncs, forty writes, twenty reads.
          { call: 'fsync', failure: 'EIO', when: '24+23' },
          { call: 'pwrite64', failure: 'ENOSPC', when: '90+61' },
          { call: 'pread64', failure: 'EIO', when: '60+97' },
        ],
        trace,
      ),
      args: ['--concurrency', '2'],
    })
    onTestFinished(() => signalTraced(runtime.process.pid!, 'SIGKILL'))
    await until(() => runtime.lines().some(({ msg }) => msg === 'started'))
    const ids = Array.from({ length: MESSAGES }, (_, n) =>
      insertMessage(inbound, { kind: 'work', thread_id: `t${n % 5}` }),
    )
    await until(
      () => Object.values(acksAt(paths.outbound)).filter((ack) => ack === 'completed').length === ids.length,
      () => JSON.stringify([acksAt(paths.outbound), runtime.lines().slice(-3)]),
    )
    signalTraced(runtime.process.pid!, 'SIGTERM')
    await runtime.ended
    const failed = readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => line.includes('INJECTED'))
    expect(failed.length).toBeGreaterThan(5)
    for (const call of ['fsync', 'pwrite64', 'pread64']) expect(failed.join('\n')).toContain(` ${call}(`)
    expect(runtime.lines().filter(({ msg }) => msg.startsWith('outbound.db takes no writes'))).not.toEqual([])
    const outbound = openDb(paths.outbound)
    expect(outbound.pragma('integrity_check', { simple: true })).toBe('ok')
    expect(
      outbound.prepare('select count(*), count(distinct message_id) from nanoclaw_run').raw().get(),
    ).toEqual([MESSAGES, MESSAGES])
    expect(outbound.prepare('select count(*) from messages_out').pluck().get()).toBe(2 * MESSAGES)
  },
)
