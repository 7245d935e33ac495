// The log without a reader: the runtime never waits for one. Real processes with real pipes.
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { headInbound, insertMessage } from '../support/files.ts'
import { project, testConfig, until } from '../support/runtime.ts'
import { acksAt, serve } from '../support/serve.ts'

/** Logs some 50 kB for each message. */
const TALKS = `export default (message, ctx) => {
  for (let n = 0; n < 50; n++) ctx.log.info('x'.repeat(1000))
  return 'said'
}`
const MESSAGES = 40

it('a stalled reader does not block the runtime; further lines are dropped, and the next line has their number [96]', async () => {
  const root = project([], { 'talks.js': TALKS })
  const { paths, workspace } = testConfig(root)
  const inbound = headInbound(paths.inbound)
  const runtime = serve(root, workspace)
  await until(() => runtime.lines().some(({ msg }) => msg === 'started'))
  const stderr = runtime.process.stderr!
  stderr.pause()
  for (let n = 0; n < MESSAGES; n++) insertMessage(inbound, { kind: 'talks' })
  await until(() => completed(paths.outbound) === MESSAGES)
  stderr.resume()
  await until(() => runtime.lines().some(({ msg }) => /dropped/.test(msg)))
  const dropped = runtime.lines().find(({ msg }) => /dropped/.test(msg))
  expect(dropped).toMatchObject({ level: 'warn', lines: expect.any(Number) })
  const said = runtime.lines().filter(({ msg }) => msg.startsWith('xxx')).length
  expect(said + dropped!.lines).toBe(MESSAGES * 50)

  stderr.pause()
  for (let n = 0; n < MESSAGES; n++) insertMessage(inbound, { kind: 'talks' })
  await until(() => completed(paths.outbound) === 2 * MESSAGES)
  const exited = once(runtime.process, 'exit')
  runtime.process.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})

it('a closed log does not end the runtime; the end of the terminal is a graceful stop [43]', async () => {
  const root = project([], { 'talks.js': TALKS })
  const { paths, workspace } = testConfig(root)
  const inbound = headInbound(paths.inbound)
  const runtime = serve(root, workspace)
  await until(() => runtime.lines().some(({ msg }) => msg === 'started'))
  runtime.process.stderr!.destroy()
  for (let n = 0; n < 5; n++) insertMessage(inbound, { kind: 'talks' })
  await until(() => completed(paths.outbound) === 5)
  runtime.process.kill('SIGHUP')
  expect(await runtime.ended).toBe(0)
})

function completed(path: string): number {
  return Object.values(acksAt(path)).filter((status) => status === 'completed').length
}
