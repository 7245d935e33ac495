// A bundle in script form behaves like the author's ES module, and the builder leaves nothing behind.
import type { ChildProcess } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setImmediate } from 'node:timers/promises'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { Bundler } from '../../runtime/catalog/bundle.ts'
import { gives, project, releaseBundler } from './project.ts'

afterAll(releaseBundler)

test.each([
  ['where a try would hide the lack of it', `try { what = typeof import.meta.resolve } catch {}`],
  ['in a package', `what = (await import('dep')).default`],
  ['taken apart', `const { resolve } = import.meta; what = typeof resolve`],
])('import.meta has the values of an ES module, %s', async (_where, text) => {
  const at = project({
    'functions/meta.ts': `export default async () => { let what; ${text}; return what }`,
    'node_modules/dep/package.json': '{ "name": "dep", "type": "module", "main": "main.js" }',
    'node_modules/dep/main.js': 'export default typeof import.meta.resolve',
  })
  expect(await gives(at, 'functions/meta.ts')).toEqual({ gave: 'function' })
})

test('variables of CommonJS are absent in an ES module: no module takes itself for the main program', async () => {
  const at = project({
    'functions/main.ts': `
      import old from './_old.cjs'
      const main = typeof module !== 'undefined' && require.main === module
      export default () => [main, typeof exports, old]`,
    'functions/_old.cjs': `module.exports = require.main === module`,
  })
  expect(await gives(at, 'functions/main.ts')).toEqual({ gave: [false, 'undefined', false] })
})

test('releasing the bundler during a build leaves no process behind', async () => {
  const at = project({ 'functions/a.ts': 'export default () => 1' })
  const helpers: ChildProcess[] = []
  const keep = (message: unknown) => helpers.push((message as { process: ChildProcess }).process)
  subscribe('child_process', keep)
  onTestFinished(() => void unsubscribe('child_process', keep))
  await releaseBundler()
  const bundler = new Bundler()
  const going = bundler.function(at.source('functions/a.ts'), at.options)
  await bundler.release()
  await going
  expect(helpers.map(({ killed }) => killed)).toEqual([true])
})

test('releasing the bundler does not disturb another build in the same process', async () => {
  const lines = Array.from({ length: 3_000 }, (_, n) => `export const a${n} = () => ${n}`)
  const at = project({
    'functions/one.ts': 'export default () => 1',
    'functions/long.ts': `import * as all from './_all.ts'\nexport default () => Object.keys(all).length`,
    'functions/_all.ts': lines.join('\n'),
  })
  const [one, other] = [new Bundler(), new Bundler()]
  onTestFinished(() => other.release())
  await one.function(at.source('functions/one.ts'), at.options)
  const going = other.function(at.source('functions/long.ts'), at.options)
  // Some of these turns are inside esbuild.
  for (let turn = 0; turn < 100; turn++) {
    await one.release()
    await setImmediate()
  }
  expect((await going).inputs).toHaveLength(2)
})
