// A process without its channel to the runtime can neither receive work nor report results: the runtime ends
// it.
import { readFileSync } from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { benchOf, project, testConfig, until, workbench } from '../support/runtime.ts'
import { isAlive } from '../support/supervise.ts'

const LIVES_ON = `process.removeAllListeners('disconnect'); setInterval(() => undefined, 1_000)`
const WAYS = {
  'closes descriptor 3': `${LIVES_ON}; fs.closeSync(3)`,
  disconnects: `${LIVES_ON}; process.disconnect()`,
}

describe.each(Object.entries(WAYS))('a process that %s and lives on', (_way, cut) => {
  const functions = {
    'after.js': `import fs from 'node:fs'
    export default () => { setTimeout(() => { ${cut} }, 20); return { pid: process.pid } }`,
    'during.js': `import fs from 'node:fs'
    export default { retry: { attempts: 1 }, timeout: '10m', handler() { ${cut}; return new Promise(() => undefined) } }`,
    'other.js': `export default () => 'well'`,
  }

  it('after its result is ended and named, and other functions are not affected [129]', async () => {
    const bench = await workbench([], { concurrency: 1, warmMax: 1 }, functions)
    const ended: { pid: number; why: string; unexpected: boolean }[] = []
    bench.events.on('worker-ended', (about) => ended.push(about))
    const id = bench.send('after')
    await bench.ended(id)
    const { pid } = bench.replies(id)[0]!.content
    await until(() => ended.some((each) => each.pid === pid))
    expect(ended.find((each) => each.pid === pid)).toMatchObject({
      why: expect.stringContaining('closed its channel to the runtime'),
      unexpected: true,
    })
    await until(() => !isAlive(pid))
    const other = bench.send('other')
    await bench.ended(other)
    expect(bench.ack(other)).toBe('completed')
  })

  it('while a message runs is ended at once, long before the timeout, and the run has the reason [130]', async () => {
    const bench = await workbench([], {}, functions)
    const id = bench.send('during')
    await bench.ended(id)
    expect(bench.runs(id)).toMatchObject([
      {
        outcome: 'exited',
        reason: 'worker_exit',
        error: { message: expect.stringContaining('closed its channel to the runtime') },
      },
    ])
    await until(() => !isAlive(bench.runs(id)[0]!.worker))
  })
})

it('a module that closes the channel while it loads is detected long before the load timeout [131]', async () => {
  const root = project([], {
    'loads.js': `${WAYS.disconnects}; await new Promise(() => undefined); export default () => 1`,
  })
  const bench = benchOf(testConfig(root, { loadTimeoutMs: 600_000 }))
  onTestFinished(() => bench.runtime.stop())
  const why: string[] = []
  bench.events.on('function-broken', ({ message }) => why.push(message))
  await bench.runtime.start()
  expect(why[0]).toContain('closed its channel to the runtime')
})

it.skipIf(process.platform !== 'linux')(
  'a process that is stopped while it is idle costs one timeout at most, and a stop of the runtime nothing [168]',
  async () => {
    const bench = await workbench(
      [],
      { concurrency: 1, warmMax: 1 },
      {
        'stops.js': `export default { retry: { attempts: 2, minDelay: 1, maxDelay: 1 }, timeout: '300ms', handler: ({ content }) => {
        if (content.stop) setTimeout(() => process.kill(process.pid, 'SIGSTOP'), 10)
        return { pid: process.pid }
      } }`,
      },
    )
    const stopped = async () => {
      const id = bench.send('stops', { stop: true })
      await bench.ended(id)
      const { pid } = bench.replies(id)[0]!.content as { pid: number }
      await until(() => /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
      return pid
    }
    const first = await stopped()
    const next = bench.send('stops')
    await bench.ended(next)
    expect(bench.runs(next)).toMatchObject([{ outcome: 'timed-out', worker: first }, { outcome: 'replied' }])
    await until(() => !isAlive(first))
    const second = await stopped()
    await bench.runtime.stop()
    expect(isAlive(second)).toBe(false)
  },
)
