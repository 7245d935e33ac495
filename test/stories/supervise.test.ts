// A host that supervises: the compiled runtime in a process of its own is started and stopped with the work.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Host, openHost } from 'nanoclaw-functions/host'
import { expect, onTestFinished, test } from 'vitest'
import { project, until } from '../support/runtime.ts'
import { supervised } from '../support/supervise.ts'

const CLI = fileURLToPath(new URL('../../dist/bin/main.js', import.meta.url))

/**
 * The first run says that it lives, and never ends; the second one fails; the third one, after a while,
 * answers.
 */
const CUT_SHORT = `import { existsSync, writeFileSync } from 'node:fs'
import { RetryAfterError } from 'nanoclaw-functions'
export default async ({ content: { begun } }) => {
  if (existsSync(begun + '-again')) return { run: 'third' }
  if (existsSync(begun)) {
    writeFileSync(begun + '-again', '')
    throw new RetryAfterError('later', '2s')
  }
  writeFileSync(begun, '')
  await new Promise(() => {})
}`

const start = (root: string, ...flags: string[]) => ({
  argv: [process.execPath, CLI, 'start', '--log-level', 'error', ...flags],
  cwd: root,
})

function open(dir: string): Host {
  const host = openHost(dir)
  onTestFinished(() => host.close())
  return host
}

test('the end of a runtime is detected when it dies; an idle one is stopped, also while a message waits for a retry [W26]', async () => {
  const root = project([], { 'cut-short.js': CUT_SHORT })
  const folder = join(root, 'workspace')
  const host = open(folder)
  const begun = join(root, 'begun')
  const { supervisor, path, becomes } = supervised({
    command: start(root, '--drain', '100ms'),
    limits: { idleMs: 100, pauseMinMs: 20 },
  })
  supervisor.add(folder)
  const { id } = host.enqueue({ kind: 'cut-short', content: { begun } })
  supervisor.nudge(folder)
  const { pid } = await becomes(folder, 'running')
  await until(() => existsSync(begun))
  process.kill(pid!, 'SIGKILL')

  const { reason } = await becomes(folder, 'backing-off')
  expect(reason).toMatch(/ended by SIGKILL/)
  expect(await becomes(folder, 'stopping')).toMatchObject({ reason: 'it has nothing to do' })
  await becomes(folder, 'idle')
  expect(host.status(id)?.state).toBe('pending')
  await until(() => host.status(id)?.state === 'completed')
  expect((await host.replies().next()).value?.content).toEqual({ run: 'third' })
  expect(path(folder).filter((state) => state === 'running')).toHaveLength(3)
})

test('a message that no function takes keeps neither a process nor the slot of another folder [W24]', async () => {
  const root = project(['echo'])
  const [held, served] = [join(root, 'held'), join(root, 'served')]
  const [holder, server] = [open(held), open(served)]
  holder.enqueue({ kind: 'nobody', content: {} })
  const { supervisor, becomes, path } = supervised({
    command: start(root),
    instancesMax: 1,
    limits: { leftAloneMs: 1_500, spareMs: 50 },
  })
  supervisor.add(held)
  await becomes(held, 'running')
  const { id } = server.enqueue({ kind: 'echo', content: {} })
  supervisor.add(served)

  await becomes(served, 'waiting')
  expect(await becomes(held, 'stopping')).toMatchObject({ reason: 'it takes nothing of what is due' })
  await until(() => server.status(id)?.state === 'completed')
  expect(path(held).at(-1)).toBe('idle')

  const { id: later } = holder.enqueue({ kind: 'echo', content: {} })
  supervisor.nudge(held)
  expect(await becomes(served, 'stopping')).toMatchObject({
    reason: expect.stringMatching(/another folder waits/),
  })
  await until(() => holder.status(later)?.state === 'completed')
})
