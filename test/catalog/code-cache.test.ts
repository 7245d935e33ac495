// V8's code cache of a bundle is written for the next process, and used only by the same V8.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, truncateSync, watch, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { bundleFunction, project, releaseBundler } from './project.ts'

afterAll(releaseBundler)

async function bundled() {
  const at = project({
    'functions/add.ts': `export const add = (a: number, b: number) => a + b\nexport default () => add(40, 2)`,
  })
  const { shim: _standIn, ...options } = at.options
  const { path } = await bundleFunction(at.source('functions/add.ts'), options)
  return { path, folder: options.cache, cache: path.replace(/cjs$/, 'js.cache') }
}

/** The child as the runtime starts it, loaded. */
async function load(path: string, execArgv: readonly string[] = []): Promise<ChildProcess> {
  const setup = { functionName: 'add', parent: process.pid, maxReplyBytes: 1000, maxLogBytes: 1000 }
  const child = fork(path, [JSON.stringify(setup)], { execArgv: [...execArgv] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [report] = await once(child, 'message')
  expect(report).toMatchObject({ type: 'loaded' })
  return child
}

/** Resolves when the file exists or was replaced. */
function comes(folder: string, file: string): Promise<void> {
  const ino = () => (existsSync(file) ? statSync(file).ino : 0)
  const before = ino()
  return new Promise((resolve) => {
    const watcher = watch(folder, () => {
      if (ino() === before || ino() === 0) return
      watcher.close()
      resolve()
    })
  })
}

async function kept(): Promise<Awaited<ReturnType<typeof bundled>>> {
  const made = await bundled()
  const coming = comes(made.folder, made.cache)
  await load(made.path)
  await coming
  return made
}

test('the first process writes it, later ones use it and do not change it', async () => {
  const { path, cache } = await kept()
  const before = statSync(cache)
  const child = await load(path)
  // It would have written its own by then.
  await setTimeout(1_000)
  child.disconnect()
  await once(child, 'exit')
  expect(statSync(cache).ino).toBe(before.ino)
})

test.each<[string, (cache: string) => void]>([
  ['half of it', (cache) => truncateSync(cache, 100)],
  ['nothing', (cache) => truncateSync(cache)],
  ['something else', (cache) => writeFileSync(cache, Buffer.alloc(5_000, 7))],
])('a cache with %s is written again, and the function loads', async (_what, spoil) => {
  const { path, folder, cache } = await kept()
  const whole = readFileSync(cache).length
  spoil(cache)
  const coming = comes(folder, cache)
  await load(path)
  await coming
  expect(readFileSync(cache).length).toBeGreaterThan(whole / 2)
})

// Not the size of the heap: since Node 24 it does not count.
test('another V8 does not use it: here, one with other flags', async () => {
  const { path, folder, cache } = await kept()
  const before = statSync(cache)
  const coming = comes(folder, cache)
  await load(path, ['--stack-size=900'])
  await coming
  expect(statSync(cache).ino).not.toBe(before.ino)
})
