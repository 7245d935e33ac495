import {
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import type { Bundle } from '../../runtime/catalog/bundle.ts'
import { parseDefinition } from '../../runtime/catalog/definition.ts'
import {
  bundleFunction,
  gives,
  type Project,
  project,
  releaseBundler,
  run,
  runUntilFirstMessage,
} from './project.ts'

afterAll(releaseBundler)

const setup = (functionName: string) =>
  JSON.stringify({ functionName, parent: process.pid, maxReplyBytes: 1000, maxLogBytes: 1000 })

/** The file of V8's code cache. */
const cacheOf = ({ path }: Bundle) => `${path.replace(/cjs$/, 'js')}.cache`

const pathOf = async (at: Project, file: string) => (await bundleFunction(at.source(file), at.options)).path

describe('a bundle runs on its own', () => {
  test('from TypeScript, with imports bundled and types removed', async () => {
    const at = project({
      'functions/add.ts': `
        import { sum, type Pair } from '../lib/sum.ts'
        import type { Nothing } from './no-such-file.ts'
        export default { handler: (): number => sum({ a: 40, b: 2 } satisfies Pair) as Nothing }`,
      'lib/sum.ts':
        'export interface Pair { a: number; b: number }\nexport const sum = ({ a, b }: Pair): number => a + b',
    })
    expect(await gives(at, 'functions/add.ts')).toEqual({ gave: 42 })
  })

  test('importing nanoclaw-functions without any node_modules', async () => {
    const at = project({
      'functions/hi.ts': `
        import { defineFunction, NonRetryableError } from 'nanoclaw-functions'
        export default defineFunction({ handler: () => new NonRetryableError('no').name })`,
    })
    expect(await gives(at, 'functions/hi.ts')).toEqual({ gave: 'NonRetryableError' })
  })

  test('with top-level await, in the handler and in what it imports', async () => {
    const at = project({
      'functions/wait.mts': `
        import { slow } from './_slow.ts'
        const mine = await new Promise<string>((done) => setTimeout(done, 5, 'mine'))
        export default () => [mine, slow]`,
      'functions/_slow.ts': `export const slow = await new Promise((done) => setImmediate(done, 'slow'))`,
    })
    expect(await gives(at, 'functions/wait.mts')).toEqual({ gave: ['mine', 'slow'] })
  })

  test('with a CommonJS dependency that requires node modules', async () => {
    const at = project({
      'functions/read.ts': `import { size } from 'old-style'\nexport default () => size(process.execPath) > 0`,
      'node_modules/old-style/package.json': '{ "name": "old-style", "main": "main.js" }',
      'node_modules/old-style/main.js': `
        const fs = require('fs')
        const { resolve } = require('node:path')
        exports.size = (path) => fs.statSync(resolve(path)).size`,
    })
    expect(await gives(at, 'functions/read.ts')).toEqual({ gave: true })
  })

  test.each([
    ['module.exports = { handler: () => 7 }', 'cjs'],
    ['module.exports = () => 7', 'js'],
    ['module.exports.handler = () => require("node:os") && 7', 'cjs'],
    [
      'Object.defineProperty(exports, "__esModule", { value: true }); exports.default = { handler: () => 7 }',
      'cjs',
    ],
    ['export = { handler: () => 7 }', 'cts'],
  ])('as CommonJS: %s', async (text, ending) => {
    const at = project({ [`functions/old.${ending}`]: text })
    expect(await gives(at, `functions/old.${ending}`)).toEqual({ gave: 7 })
  })

  test('with JSON, also by import attribute', async () => {
    const at = project({
      'functions/data.ts': `
        import data from './data.json' with { type: 'json' }
        import plain from './data.json'
        export default () => [data.answer, plain.answer]`,
      'functions/data.json': '{ "answer": 42 }',
    })
    expect(await gives(at, 'functions/data.ts')).toEqual({ gave: [42, 42] })
  })

  test('when the handler defines its own require and __dirname', async () => {
    const at = project({
      'functions/own.mjs': `
        import { createRequire } from 'node:module'
        import { dirname } from 'node:path'
        import { fileURLToPath } from 'node:url'
        const require = createRequire(import.meta.url)
        const __dirname = dirname(fileURLToPath(import.meta.url))
        export default () => [require('./beside.json').beside, __dirname]`,
      'functions/beside.json': '{ "beside": "handler" }',
    })
    expect(await gives(at, 'functions/own.mjs')).toEqual({ gave: ['handler', at.functions] })
  })

  test('and the paths of every file are those in the project and not in the cache', async () => {
    const at = project({
      'functions/where.ts': `#!/usr/bin/env node
        import lib from '../lib/where.cjs'
        export default () => [import.meta.url, import.meta.dirname, import.meta.filename, ...lib]`,
      'lib/where.cjs': `'use strict'\nmodule.exports = [__dirname, __filename]`,
    })
    const here = at.at('functions/where.ts')
    expect(await gives(at, 'functions/where.ts')).toEqual({
      gave: [pathToFileURL(here).href, at.functions, here, at.at('lib'), at.at('lib/where.cjs')],
    })
  })

  test.each([
    ['st*r'],
    ['*'],
    ['wh?t'],
    ['br[a]ck'],
    ['ha#sh'],
    ['pe%20r'],
    ['sp ace'],
    [`quo't"e`],
    ['{a,b}!(c)'],
  ])('from a project in a folder %s, into a cache in another one of that name [161]', async (name) => {
    const at = project({
      [`${name}/functions/f.ts`]: `
          import { near } from './_near.ts'
          import dep from 'dep'
          import outside from 'outside'
          const file = () => './_late.mjs'
          export default async () => [near, dep, outside, (await import(file())).default, import.meta.dirname]`,
      [`${name}/functions/_near.ts`]: `export { near } from '../lib/far.ts'`,
      [`${name}/functions/_late.mjs`]: `export default 'late'`,
      [`${name}/lib/far.ts`]: `export const near = 'far'`,
      [`${name}/node_modules/dep/index.js`]: `module.exports = 'dep'`,
      [`${name}/node_modules/outside/index.js`]: `module.exports = 'outside'`,
    })
    const path = at.at(`${name}/functions/f.ts`)
    const options = {
      ...at.options,
      root: at.at(name),
      cache: at.at(`caches/${name}`),
      external: ['outside'],
    }
    const made = await bundleFunction({ name: 'f', file: 'functions/f.ts', path }, options)
    const { messages, printed } = await run(made.path)
    expect(messages, printed).toEqual([
      { gave: ['far', 'dep', 'outside', 'late', at.at(`${name}/functions`)] },
    ])
    expect(made.inputs).toContain(at.at(`${name}/lib/far.ts`))
  })

  test('names of functions and classes survive', async () => {
    const at = project({
      'functions/names.ts': `
        import { Twin } from './_twin.ts'
        const mine = Twin
        { class Twin {}; globalThis.other = Twin }
        export default () => [mine.name, globalThis.other.name]`,
      'functions/_twin.ts': 'export class Twin {}',
    })
    expect(await gives(at, 'functions/names.ts')).toEqual({ gave: ['Twin', 'Twin'] })
  })
})

describe('the shim catches an error at load', () => {
  test.each([
    ['the handler', `throw new Error('no token')\nexport default () => 1`],
    ['the handler, after an await', `await null\nthrow new Error('no token')\nexport default () => 1`],
    ['a module that it imports', `import './_deep.ts'\nexport default () => 1`],
    ['a CommonJS module that it imports', `import './_old.cjs'\nexport default () => 1`],
  ])('when %s throws', async (_who, text) => {
    const at = project({
      'functions/bad.ts': text,
      'functions/_deep.ts': `throw new Error('no token')`,
      'functions/_old.cjs': `throw new Error('no token')`,
    })
    expect(await gives(at, 'functions/bad.ts')).toMatchObject({ threw: 'no token' })
  })

  test.each([
    ['a script', '', 'cache'],
    ['a module', 'await null', 'cache'],
    ['a script in a folder of any name', '', 'my cache (ü, 1)/100%20'],
    ['a module in a folder of any name', 'await null', 'my cache (ü, 1)/100%20'],
    ['a script behind a symbolic link', '', 'link/cache'],
    ['a module behind a symbolic link', 'await null', 'link/cache'],
  ])('and its stack names the file and line of the source, as %s', async (_form, before, cache) => {
    const at = project({
      'functions/bad.ts': `interface Unused { a: 1 }\n\n${before}\nthrow new Error('line 4')\nexport default () => 1`,
    })
    mkdirSync(at.at('far/away'), { recursive: true })
    symlinkSync(at.at('far/away'), at.at('link'))
    const { shim: _standIn, ...options } = at.options
    const { path } = await bundleFunction(at.source('functions/bad.ts'), { ...options, cache: at.at(cache) })
    const { messages } = await runUntilFirstMessage(path, [setup('bad')])
    const stack = expect.stringContaining(`(${at.at('functions/bad.ts')}:4:7)`)
    expect(messages[0]).toMatchObject({ type: 'not-loaded', error: { stack } })
    expect(JSON.stringify(messages[0]), 'nothing of ours is in it').not.toMatch(/nanoclaw-entry|__\w+ \(/)
  })
})

describe('a build that fails', () => {
  test.each([
    ['a syntax error', `export default () => {\n  const a = b c\n}`, '2:15: Expected ";" but found "c"'],
    ['a missing file', `\n\nimport './gone.ts'`, '3:8: Could not resolve "./gone.ts"'],
    ['a missing package', `import 'leftpad'`, '1:8: Could not resolve "leftpad" (not installed?'],
    [
      'line 1 of a file that asks where it is',
      `const ü = 1; import './gone'; import.meta.url`,
      '1:22: Could not resolve',
    ],
    [
      'a dependency that no strict code may contain',
      `import './_sloppy.cjs'`,
      '_sloppy.cjs:1:1: With statements',
    ],
    ['a native module', `import './addon.node'`, 'name its package in `external`'],
  ])('names file, line, column and reason: %s', async (_what, text, told) => {
    const at = project({
      'functions/bad.ts': text,
      'functions/addon.node': '',
      'functions/_sloppy.cjs': 'with ({ a: 1 }) module.exports = a',
    })
    await expect(bundleFunction(at.source('functions/bad.ts'), at.options)).rejects.toMatchObject({
      code: 'bad_function',
      message: expect.stringContaining(told),
    })
  })

  test('reports all its errors at once', async () => {
    const imports = Array.from({ length: 15 }, (_, n) => `import './gone-${n}.ts'`)
    const at = project({
      'functions/bad.ts': [...imports, `import './_worse.ts'`].join('\n'),
      'functions/_worse.ts': 'const',
    })
    const error: Error = await bundleFunction(at.source('functions/bad.ts'), at.options).catch(
      (error) => error,
    )
    const [head, ...lines] = error.message.split('\n')
    expect(head).toBe('functions/bad.ts cannot be bundled:')
    expect(lines).toHaveLength(16)
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}functions\/_worse\.ts:1:6: /))
  })

  test.each<[string, Record<string, string>, string[], string[]]>([
    [
      'a file, in a folder that is there',
      { 'functions/a.ts': `import '../lib/x.ts'`, 'lib/y.ts': '' },
      ['functions/a.ts'],
      ['lib'],
    ],
    [
      'a file, in a folder that is missing as well',
      { 'functions/a.ts': `import './_b.ts'`, 'functions/_b.ts': `import '../lib/deep/x'` },
      ['functions/_b.ts', 'functions/a.ts'],
      [''],
    ],
    [
      'a package',
      { 'functions/a.ts': `import '@scope/leftpad/deep.js'`, 'node_modules/@scope/other/package.json': '{}' },
      ['functions/a.ts'],
      ['functions', 'node_modules/@scope'],
    ],
    [
      'a package of which a part is there',
      { 'functions/a.ts': `import 'leftpad'`, 'node_modules/leftpad/readme': '' },
      ['functions/a.ts'],
      ['functions', 'node_modules', 'node_modules/leftpad'],
    ],
    [
      'sense, in a file of data',
      { 'functions/a.ts': `import '../lib/d.json'`, 'lib/d.json': '{' },
      ['functions/a.ts', 'lib/d.json'],
      [],
    ],
  ])(
    'names the folder in which a missing import would appear when it lacks %s',
    async (_what, files, inputs, awaited) => {
      const at = project(files)
      const paths = (names: string[]) => names.map((name) => (name === '' ? at.root : at.at(name)))
      await expect(bundleFunction(at.source('functions/a.ts'), at.options)).rejects.toMatchObject({
        causes: { inputs: paths(inputs), awaited: paths(awaited) },
      })
    },
  )

  test('leaves nothing in the cache', async () => {
    const at = project({ 'functions/bad.ts': 'const' })
    await bundleFunction(at.source('functions/bad.ts'), at.options).catch(() => {})
    expect(existsSync(at.options.cache)).toBe(false)
  })
})

describe('the cache', () => {
  test('an unchanged source gives the same path, a changed one or a changed import another', async () => {
    const at = project({
      'functions/a.ts': `import { b } from '../lib/b.ts'\nexport default () => b`,
      'lib/b.ts': 'export const b = 1',
    })
    const first = await bundleFunction(at.source('functions/a.ts'), at.options)
    expect(await bundleFunction(at.source('functions/a.ts'), at.options)).toEqual(first)
    at.write('lib/b.ts', 'export const b = 2')
    const second = await bundleFunction(at.source('functions/a.ts'), at.options)
    at.write('functions/a.ts', `// a line more\nimport { b } from '../lib/b.ts'\nexport default () => b`)
    const third = await bundleFunction(at.source('functions/a.ts'), at.options)
    expect(new Set([first.path, second.path, third.path]).size).toBe(3)
    expect(basename(third.path)).toBe(`a-${third.hash}.cjs`)
    expect((await run(first.path)).messages).toEqual([{ gave: 1 }])
    expect((await run(second.path)).messages).toEqual([{ gave: 2 }])
  })

  test('a complete cache is not written to, so it may be read-only', async () => {
    const at = project({ 'functions/a.ts': 'export default () => 1' })
    const path = await pathOf(at, 'functions/a.ts')
    // A build of a file that was just written is cached by the second build only.
    await setTimeout(30)
    const { files } = await bundleFunction(at.source('functions/a.ts'), at.options)
    const before = [...files, at.options.cache].map((each) => statSync(each))
    expect(await pathOf(at, 'functions/a.ts')).toBe(path)
    const after = [...files, at.options.cache].map((each) => statSync(each))
    expect(after.map(({ ino, mtimeMs }) => [ino, mtimeMs])).toEqual(
      before.map(({ ino, mtimeMs }) => [ino, mtimeMs]),
    )
  })

  test('inputs are the source files of the author, for watching', async () => {
    const at = project({
      'functions/a.ts': `import { defineFunction } from 'nanoclaw-functions'\nimport data from '../lib/d.json'\nexport default defineFunction({ handler: () => data })`,
      'lib/d.json': '{}',
    })
    const { inputs } = await bundleFunction(at.source('functions/a.ts'), at.options)
    expect(inputs).toEqual([at.at('functions/a.ts'), at.at('lib/d.json')])
  })

  test('an emptied bundle is written again', async () => {
    const at = project({ 'functions/a.ts': 'export default () => 1' })
    const { path, files } = await bundleFunction(at.source('functions/a.ts'), at.options)
    for (const file of files) truncateSync(file)
    expect(await pathOf(at, 'functions/a.ts')).toBe(path)
    expect((await run(path)).messages).toEqual([{ gave: 1 }])
  })

  test('two simultaneous builds of one function leave one complete bundle and no temporary files', async () => {
    const at = project({ 'functions/a.ts': 'export default () => 1' })
    const bundles = await Promise.all(
      Array.from({ length: 8 }, () => bundleFunction(at.source('functions/a.ts'), at.options)),
    )
    const files = new Set(bundles.flatMap(({ files }) => files.map((file) => basename(file))))
    const there = readdirSync(at.options.cache).filter((file) => !file.endsWith('.json'))
    expect(files.size).toBe(3)
    expect(there.sort()).toEqual([...files].sort())
  })

  test('the newest three bundles of a function stay; those of other functions and projects are not touched', async () => {
    const at = project({ 'functions/a.ts': '', 'functions/a-b.ts': 'export default () => 1' })
    const other = project({ 'functions/a.ts': 'export default () => "other"' })
    const kept = [
      await bundleFunction(at.source('functions/a-b.ts'), at.options),
      await bundleFunction(other.source('functions/a.ts'), { ...other.options, cache: at.options.cache }),
    ]
    const versions: Bundle[] = []
    for (let n = 0; n < 5; n++) {
      at.write('functions/a.ts', `${n === 3 ? 'await null\n' : ''}export default () => ${n}`)
      versions.push(await bundleFunction(at.source('functions/a.ts'), at.options))
      // Removes its code cache as well.
      writeFileSync(cacheOf(versions[n]!), '')
    }
    const expected = [...kept, ...versions.slice(2)].flatMap(({ files }) => files)
    const caches = versions.slice(2).map(cacheOf)
    const files = readdirSync(at.options.cache).filter((file) => !file.endsWith('.json'))
    expect(files.sort()).toEqual([...expected, ...caches].map((path) => basename(path)).sort())
  })

  test('a cache that is not writable is a configuration error', async () => {
    const at = project({ 'functions/a.ts': 'export default () => 1', blocked: 'a file' })
    const cache = at.at('blocked/cache')
    await expect(bundleFunction(at.source('functions/a.ts'), { ...at.options, cache })).rejects.toMatchObject(
      {
        code: 'bad_config',
        message: expect.stringMatching(/blocked\/cache is not writable \(E\w+\).*`cache`.*NANOCLAW_CACHE/),
      },
    )
  })
})

test('the definition that the child reports becomes the spec of the function', async () => {
  const at = project({
    'functions/greet.ts': `
      import { defineFunction } from 'nanoclaw-functions'
      await null
      export default defineFunction({ on: { kind: ['hi', 'hello'] }, timeout: '2s', key: null, handler: () => 'hi' })`,
  })
  const { shim: _standIn, ...options } = at.options
  const source = at.source('functions/greet.ts')
  const { path } = await bundleFunction(source, options)
  const { messages, printed } = await runUntilFirstMessage(path, [setup('greet')])
  expect(messages, printed).toEqual([{ type: 'loaded', definition: expect.anything() }])
  const { definition } = messages[0] as { definition: unknown }
  const retry = { attempts: 5, minDelayMs: 1000, maxDelayMs: 300_000, factor: 2 }
  expect(parseDefinition(definition, source, path, { timeoutMs: 1, retry, concurrency: 1 })).toMatchObject({
    name: 'greet',
    rule: { kind: ['hi', 'hello'] },
    timeoutMs: 2000,
    key: 'none',
    bundle: path,
  })
})
