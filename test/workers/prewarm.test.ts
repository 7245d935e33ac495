// A prewarmed process serves a function like any other, and its loss affects no function. Real processes.
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { realClock } from '../../runtime/protocol/clock.ts'
import type { Dispatch } from '../../runtime/protocol/ipc.ts'
import type { Outcome } from '../../runtime/protocol/outcome.ts'
import { childEnv } from '../../runtime/workers/child-env.ts'
import { Prewarm } from '../../runtime/workers/prewarm.ts'
import { nodeSpawner, type Process } from '../../runtime/workers/process.ts'
import { Worker } from '../../runtime/workers/worker.ts'
import { bundleFunction, project, releaseBundler } from '../catalog/project.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { project as projectOf, testConfig, until } from '../support/runtime.ts'
import { serve } from '../support/serve.ts'

afterAll(releaseBundler)

const SOURCES = {
  'functions/add.ts': `export default () => 40 + 2`,
  'functions/fails.ts': `export default () => { throw new Error('here') }`,
  // A script has no top-level await.
  'functions/module.ts': `const answer = await Promise.resolve(43)\nexport default () => answer`,
  'functions/says.ts': `console.log('loading ' + process.argv[1]); export default () => 1`,
}

async function bundles() {
  const at = project(SOURCES)
  const { shim: _standIn, ...options } = at.options
  const bundle = async (name: string) =>
    (await bundleFunction(at.source(`functions/${name}.ts`), options)).path
  return { root: options.root, bundle }
}

function pool(root: string, keep = true, nodeArgs: readonly string[] = []) {
  const clock = new FakeClock()
  const made: { process: Process; ended: boolean }[] = []
  const node = nodeSpawner(realClock)
  const prewarm = new Prewarm({
    clock,
    keep,
    spawn(options) {
      const each = { process: node(options), ended: false }
      each.process.onEnd(() => (each.ended = true), 0)
      onTestFinished(() => each.process.kill('SIGKILL'))
      made.push(each)
      return each.process
    },
  })
  const start = (bundle: string) => startChild(root, bundle, prewarm, nodeArgs)
  return { prewarm, made, start, calm: () => clock.advance(1_000) }
}

async function startChild(root: string, bundle: string, spawner: Prewarm, nodeArgs: readonly string[]) {
  const said: string[] = []
  const limits = { ...LIMITS, nodeArgs, env: childEnv([]), cwd: root }
  const child = await new Promise<Worker>((resolve, reject) => {
    new Worker(
      'it',
      bundle,
      { clock: realClock, limits, spawner },
      {
        loaded: resolve,
        free: () => undefined,
        gone: (_child, { why }) => reject(new Error(why)),
        output: (_child, _id, _stream, line) => said.push(line),
        log: () => undefined,
      },
    )
  })
  const outcome = () =>
    new Promise<Outcome>((resolve) =>
      child.run([DISPATCH], {
        workspace: 'w',
        ended: ([ended]) => resolve(ended!.outcome),
        step: () => undefined,
      }),
    )
  return { child, said, outcome }
}

const LIMITS = {
  loadTimeoutMs: 10_000,
  abortGraceMs: 200,
  killGraceMs: 200,
  maxMemoryMb: 64,
  maxReplyBytes: 1_000,
  maxLogBytes: 1_000,
  maxMessagesPerWorker: 100,
}

const DISPATCH = {
  n: 1,
  lane: '',
  attempt: 1,
  alone: true,
  timeoutMs: 5_000,
  message: { id: 'm-1', kind: 'it', content: '{}' },
} as unknown as Dispatch

test('the next function that needs a process gets the prewarmed one, and runs in it as in any other', async () => {
  const { root, bundle } = await bundles()
  const { made, start, calm } = pool(root)
  await start(await bundle('add'))
  for (const [name, result] of [
    ['module', { type: 'replied', replies: [{ content: '43' }] }],
    ['add', { type: 'replied', replies: [{ content: '42' }] }],
    ['fails', { type: 'threw', error: { stack: expect.stringContaining(`${root}/functions/fails.ts:1`) } }],
  ] as const) {
    calm()
    const waiting = made.at(-1)!.process
    const { child, outcome } = await start(await bundle(name))
    expect(child.pid).toBe(waiting.pid)
    if (process.platform === 'linux')
      expect(readFileSync(`/proc/${child.pid}/cmdline`, 'utf8')).toContain(`/${name}-`)
    expect(await outcome()).toMatchObject(result)
  }
  expect(made).toHaveLength(4)
})

test('its code sees the same argv and execArgv as under node, and its output is read', async () => {
  const { root, bundle } = await bundles()
  const { start, calm } = pool(root)
  const path = await bundle('says')
  const { said: before } = await start(path)
  calm()
  const { said } = await start(path)
  await until(() => said.length > 0)
  expect(said).toEqual(before)
  expect(said).toEqual([`loading ${path.replace(/cjs$/, 'js')}`])
})

test('a dead prewarmed process is not used', async () => {
  const { root, bundle } = await bundles()
  const { made, start, calm } = pool(root)
  const path = await bundle('add')
  await start(path)
  calm()
  made[1]!.process.kill('SIGKILL')
  await until(() => made[1]!.ended)
  calm()
  expect(made).toHaveLength(2)
  const { outcome } = await start(path)
  expect(made).toHaveLength(3)
  expect(await outcome()).toMatchObject({ type: 'replied' })
})

test('a prewarmed process without a channel is ended and not used [132]', async () => {
  const { root, bundle } = await bundles()
  const cut = `${root}/cut.cjs`
  writeFileSync(
    cut,
    `if (process.argv[2] === 'prewarmed') { setInterval(() => undefined, 1_000); setTimeout(() => require('fs').closeSync(3), 10) }`,
  )
  const { made, start, calm } = pool(root, true, [`--require=${cut}`])
  const path = await bundle('add')
  await start(path)
  calm()
  await until(() => !made[1]!.process.alive)
  const { outcome } = await start(path)
  expect(await outcome()).toMatchObject({ type: 'replied' })
  await until(() => made[1]!.ended)
  calm()
  await until(() => made[3]!.ended)
})

test('a late listener is called with its end', async () => {
  const { root, bundle } = await bundles()
  const { made, start, calm } = pool(root)
  await start(await bundle('add'))
  calm()
  const { process } = made[1]!
  process.kill('SIGKILL')
  await until(() => made[1]!.ended)
  expect(await new Promise((resolve) => process.onEnd((_code, signal) => resolve(signal), 0))).toBe('SIGKILL')
})

test('with a debugger no process is prewarmed, since its port is in use', async () => {
  const { root, bundle } = await bundles()
  const { made, start, calm } = pool(root, true, ['--inspect=0'])
  await start(await bundle('add'))
  calm()
  expect(made).toHaveLength(1)
})

test('a stop waits for its end, and starts no other', async () => {
  const { root, bundle } = await bundles()
  const { prewarm, made, start, calm } = pool(root)
  await start(await bundle('add'))
  calm()
  await prewarm.stop()
  expect(made[1]!.ended).toBe(true)
  calm()
  expect(made).toHaveLength(2)
})

test('without the setting no process is prewarmed', async () => {
  const { root, bundle } = await bundles()
  const { made, start, calm } = pool(root, false)
  await start(await bundle('add'))
  calm()
  expect(made).toHaveLength(1)
})

test.skipIf(process.platform !== 'linux')('it dies with a runtime that is killed [35]', async () => {
  const root = projectOf(['echo'])
  const runtime = serve(root, testConfig(root).workspace)
  const { pid } = runtime.process
  const prewarm = () =>
    readOrNone(`/proc/${pid}/task/${pid}/children`)
      .split(' ')
      .find((one) => readOrNone(`/proc/${one}/cmdline`).split('\0').includes('prewarmed'))
  await until(() => prewarm() !== undefined)
  const made = prewarm()
  runtime.process.kill('SIGKILL')
  await until(() => readOrNone(`/proc/${made}/cmdline`) === '')
})

/** Of a process that is gone. */
function readOrNone(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
