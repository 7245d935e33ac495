// How many messages run at the same time: independent of the cores, and without processes that have no work.
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { headInbound, insertMessage } from '../support/files.ts'
import { project, testConfig, until, workbench } from '../support/runtime.ts'
import { acksAt, serve } from '../support/serve.ts'

/** Each waits until as many as `together` have begun. */
const meets = (together: number, more = '') => `import { mkdirSync, readdirSync } from 'node:fs'
  export default { ${more} timeout: '10m', async handler({ id }) {
    mkdirSync('here/' + id, { recursive: true })
    while (readdirSync('here').length < ${together}) await new Promise((resolve) => setTimeout(resolve, 5))
  } }`

it("with the project's own settings, six waiting messages run at the same time, on any machine [134]", async () => {
  const root = project([], { 'meets.js': meets(6, 'concurrency: 8,') })
  mkdirSync(join(root, 'here'))
  const { workspace, paths } = testConfig(root)
  const inbound = headInbound(paths.inbound)
  const ids = Array.from({ length: 6 }, () => insertMessage(inbound, { kind: 'meets', content: {} }).id)
  const served = serve(root, workspace)
  await until(
    () => ids.every((id) => acksAt(paths.outbound)[id] === 'completed'),
    () => `${ids.filter((id) => existsSync(join(root, 'here', id))).length} of 6 have begun`,
  )
  expect(served.lines().filter(({ msg }) => msg.includes('concurrency'))).toEqual([])
  served.process.kill('SIGTERM')
  expect(await served.ended).toBe(0)
})

it('a function with more concurrency than the setting is named at the start, with the setting [135]', async () => {
  const root = project([], { 'wide.js': `export default { concurrency: 40, handler: () => 1 }` })
  const { workspace, paths } = testConfig(root)
  headInbound(paths.inbound)
  const served = serve(root, workspace, { args: ['--concurrency', '3'] })
  await until(() => served.lines().some(({ msg }) => msg === 'started'))
  expect(served.lines()).toContainEqual(
    expect.objectContaining({ level: 'warn', functionName: 'wide', concurrency: 40, setting: 3 }),
  )
})

it('ten messages of one conversation start one process only', async () => {
  const bench = await workbench(
    [],
    { concurrency: 8 },
    { 'slow.js': `export default () => new Promise((resolve) => setTimeout(resolve, 30))` },
  )
  const started: number[] = []
  bench.events.on('worker-started', ({ pid }) => started.push(pid))
  const ids = Array.from({ length: 10 }, () => bench.send('slow', {}, { thread_id: 'one' }))
  await bench.ended(...ids)
  expect(started.length).toBeLessThan(2)
  expect(new Set(ids.map((id) => bench.runs(id)[0]!.worker)).size).toBe(1)
})
