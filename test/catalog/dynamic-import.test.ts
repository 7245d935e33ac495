// A dynamic import in a bundle resolves alike in each process, relative to its source file.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { tmpdir } from 'node:os'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { bundleFunction, gives, type Project, project, releaseBundler } from './project.ts'

afterAll(releaseBundler)

/** As the stand-in of project.ts, but it stays alive like a child, which writes the code cache. */
const STAYS = `
export function serve(load) {
  process.on('disconnect', () => process.exit(0))
  load()
    .then(async ({ default: handler }) => ({ gave: await handler() }))
    .catch((error) => ({ threw: error.message }))
    .then((report) => process.send(report))
}
`

interface Started {
  readonly report: unknown
  readonly printed: () => string
  readonly child: ChildProcess
}

async function start(path: string): Promise<Started> {
  const child = fork(path, { cwd: tmpdir(), silent: true })
  onTestFinished(() => void child.kill('SIGKILL'))
  let printed = ''
  child.stderr?.on('data', (chunk) => (printed += chunk))
  const [report] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => [`ended: ${printed}`]),
  ])
  return { report, printed: () => printed, child }
}

const cacheOf = (path: string) => path.replace(/cjs$/, 'js.cache')

interface Twice {
  readonly path: string
  readonly reports: readonly unknown[]
  readonly printed: string
}

/** The output of the first process of a function, and of one that starts from V8's cache. */
async function twice(at: Project, kept: boolean): Promise<Twice> {
  const options = { ...at.options, shim: at.at('stays.mjs') }
  const { path } = await bundleFunction(at.source('functions/f.ts'), options)
  const first = await start(path)
  if (kept) await vi.waitFor(() => expect(existsSync(cacheOf(path))).toBe(true), { timeout: 20_000 })
  first.child.disconnect()
  await once(first.child, 'exit')
  const second = await start(path)
  second.child.disconnect()
  await once(second.child, 'exit')
  return { path, reports: [first.report, second.report], printed: first.printed() + second.printed() }
}

function withFunction(text: string): Project {
  return project({
    'stays.mjs': STAYS,
    'functions/f.ts': text,
    'functions/_beside.mjs': 'export default import.meta.url',
    'functions/_data.json': '{ "answer": 42 }',
    'lib/deep/_near.mjs': 'export default "near deep"',
    'lib/deep/load.ts': `export const load = (name: string): Promise<any> => import(name)`,
    'node_modules/only-esm/package.json':
      '{ "name": "only-esm", "exports": { "import": "./main.mjs" }, "type": "module" }',
    'node_modules/only-esm/main.mjs': 'export default "only-esm"',
    'node_modules/picky/package.json': '{ "name": "picky", "type": "module", "main": "main.js" }',
    'node_modules/picky/main.js': 'export const pick = (name) => import(name)',
    'node_modules/picky/_own.js': 'export default "picky’s own"',
    'node_modules/picky/node_modules/inner/package.json': '{ "name": "inner", "main": "main.js" }',
    'node_modules/picky/node_modules/inner/main.js': 'module.exports = "inner"',
  })
}

const beside = (at: Project) => pathToFileURL(at.at('functions/_beside.mjs')).href

describe('a dynamic import finds the same in the first process and in one that starts from V8’s cache [100]', () => {
  test.each<[string, string, (at: Project) => unknown]>([
    ['a module of node', `(await import('node:path')).sep`, () => '/'],
    [
      'a module of node, as the same namespace that it always is',
      `(await import('node:path')) === (await import(name('node:path')))`,
      () => true,
    ],
    ['a computed module of node', `(await import(name('node:path'))).sep`, () => '/'],
    ['a computed file, from the file that says it', `(await import(name('./_beside.mjs'))).default`, beside],
    ['a file URL', `(await import(new URL('./_beside.mjs', import.meta.url).href)).default`, beside],
    [
      'a computed file, said in another folder',
      `(await load(name('./_near.mjs'))).default`,
      () => 'near deep',
    ],
    ['a computed package', `(await import(name('only-esm'))).default`, () => 'only-esm'],
    ['a computed file, said by a package', `(await pick(name('./_own.js'))).default`, () => 'picky’s own'],
    ['a computed package, said by a package', `(await pick(name('inner'))).default`, () => 'inner'],
    [
      'data, by an attribute',
      `(await import(name('./_data.json'), { with: { type: 'json' } })).default.answer`,
      () => 42,
    ],
    [
      'a missing package, caught',
      `await import('not-installed').catch((error) => error.code)`,
      () => 'ERR_MODULE_NOT_FOUND',
    ],
    [
      'nothing, where words about it stand in texts and comments',
      `[name('import("x")'), \`import(\${name('y')})\`, /import(.)/.source, { import(x: string) { return x } }.import('z'), /* import(q) */ (await import(name('node:path'))).sep]`,
      () => ['import("x")', 'import(y)', 'import(.)', 'z', '/'],
    ],
  ])('%s', async (what, expression, expected) => {
    const at = withFunction(`
      import { load } from '../lib/deep/load.ts'
      import { pick } from 'picky'
      const name = (text: string) => [...text].join('')
      export default async () => [${expression}, typeof load, typeof pick][0]`)
    // A text that may be run as code costs the function its cache.
    const kept = !what.startsWith('nothing')
    const { reports, printed } = await twice(at, kept)
    const gave = expected(at)
    expect(reports).toEqual([{ gave }, { gave }])
    expect(printed, 'no warning').toBe('')
  })

  test.each([
    ['new Function', `new Function('name', 'return import(name)')('node:path')`],
    ['eval', `(0, eval)('import("node:path")')`],
  ])('in a string that %s runs as code', async (_what, expression) => {
    const at = withFunction(`export default async () => (await ${expression}).sep`)
    const { reports, path } = await twice(at, false)
    expect(reports).toEqual([{ gave: '/' }, { gave: '/' }])
    // Another function, started later, has written its own by now; so this one will not.
    const first = await start(path)
    await twice(withFunction('export default () => 1'), true)
    expect(first.child.connected).toBe(true)
    expect(existsSync(cacheOf(path))).toBe(false)
  })
})

test('a function with top-level await imports relative to its source file, too', async () => {
  const at = withFunction(`
    import { load } from '../lib/deep/load.ts'
    const name = await Promise.resolve((text: string) => text)
    export default async () => [(await import(name('./_beside.mjs'))).default, (await load(name('./_near.mjs'))).default]`)
  expect(await gives(at, 'functions/f.ts')).toEqual({ gave: [beside(at), 'near deep'] })
})

test('code after a dynamic import keeps its column in the source map', async () => {
  const text = `export default async () => { await import('node:path'); throw new Error(typeof (await import('node:os'))) }`
  const at = withFunction(text)
  const { path } = await bundleFunction(at.source('functions/f.ts'), at.options)
  const read = (ending: string) => readFileSync(path.replace(/cjs$/, ending), 'utf8')
  const lines = read('js').split('\n')
  const line = lines.findIndex((each) => each.includes('new Error(typeof'))
  const found = new SourceMap(JSON.parse(read('js.map'))).findEntry(line, lines[line]!.indexOf('new Error'))
  expect(found).toMatchObject({ originalLine: 0, originalColumn: text.indexOf('new Error') })
})
