// A runtime that watches its sources: each change below must be detected by itself.
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { benchOf, project, testConfig, until } from '../support/runtime.ts'

const answer = (text: string) => `export default () => '${text}'`

it.each<[string, (root: string) => void]>([
  ['a source is written', (root) => put(root, 'functions/talk.js', answer('new'))],
  [
    'a source is replaced by a rename, as editors do',
    (root) => {
      put(root, 'functions/.talk.js.tmp', answer('new'))
      renameSync(join(root, 'functions/.talk.js.tmp'), join(root, 'functions/talk.js'))
    },
  ],
  [
    'the folder is swapped by two renames',
    (root) => {
      put(root, 'next/talk.js', answer('new'))
      renameSync(join(root, 'functions'), join(root, 'old'))
      renameSync(join(root, 'next'), join(root, 'functions'))
    },
  ],
  [
    'the folder is removed, and made again',
    (root) => {
      rmSync(join(root, 'functions'), { recursive: true })
      put(root, 'functions/talk.js', answer('new'))
    },
  ],
])('%s, and once more [120]', async (_, change) => {
  const bench = await watched({ 'talk.js': answer('old') })
  await bench.isSeeing()
  change(bench.root)
  await bench.until('new')
  rmSync(join(bench.root, 'old'), { recursive: true, force: true })
  put(bench.root, 'functions/talk.js', answer('last'))
  await bench.until('last')
})

it('a source changes to content of the same size and time [120]', async () => {
  const putOld = (root: string, text: string) => {
    put(root, 'functions/aged.js', answer(text))
    utimesSync(join(root, 'functions/aged.js'), 1_000_000_000, 1_000_000_000)
  }
  const bench = await watched({ 'talk.js': answer('old') }, (root) => putOld(root, 'one'))
  await bench.isSeeing()
  putOld(bench.root, 'two')
  await bench.until('two', 'aged')
})

it('the folder is a link whose target changes [120]', async () => {
  const bench = await watched({ 'talk.js': answer('old') }, (root) => {
    renameSync(join(root, 'functions'), join(root, 'one'))
    symlinkSync('one', join(root, 'functions'))
  })
  await bench.isSeeing()
  put(bench.root, 'two/added.js', answer('new'))
  symlinkSync('two', join(bench.root, 'functions.next'))
  renameSync(join(bench.root, 'functions.next'), join(bench.root, 'functions'))
  await bench.until('new', 'added')
  put(bench.root, 'two/added.js', answer('last'))
  await bench.until('last', 'added')
})

it('a link in the folder is broken at first, then leads to a file, and then to another [121]', async () => {
  const bench = await watched({ 'talk.js': answer('old') }, (root) => link(root, 'lib/one.js'))
  await bench.isSeeing()
  put(bench.root, 'lib/one.js', answer('one'))
  await bench.until('one', 'link')
  put(bench.root, 'lib/two.js', answer('two'))
  link(bench.root, 'lib/two.js')
  await bench.until('two', 'link')
})

const imports = (from: string) => `import text from '${from}'\nexport default () => text`
const text = (value: string) => `export default '${value}'`

it.each<[string, string, (root: string) => void]>([
  ['a file beside the folder', '../lib/x.js', (root) => put(root, 'lib/x.js', text('new'))],
  [
    'a file below folders that are missing too',
    '../lib/deep/er/x.js',
    (root) => put(root, 'lib/deep/er/x.js', text('new')),
  ],
  ['a file in a hidden folder', './.shared/x.js', (root) => put(root, 'functions/.shared/x.js', text('new'))],
  [
    'a package',
    'leftpad',
    (root) => {
      put(root, 'node_modules/leftpad/index.js', text('new'))
      put(root, 'node_modules/leftpad/package.json', '{ "type": "module", "main": "index.js" }')
    },
  ],
  [
    'a package of a scope',
    '@us/leftpad',
    (root) => {
      put(root, 'node_modules/@us/leftpad/package.json', '{ "type": "module", "main": "index.js" }')
      put(root, 'node_modules/@us/leftpad/index.js', text('new'))
    },
  ],
])('%s is missing at first, and appears [122]', async (_, from, change) => {
  const bench = await watched({ 'talk.js': imports(from), 'other.js': answer('other') })
  expect(bench.broken()).toContain('talk')
  change(bench.root)
  await bench.until('new')
})

it.each<[string, string, string]>([
  ['beside the folder', '../lib/x.js', 'lib/x.js'],
  ['in a hidden folder', './.shared/x.js', 'functions/.shared/x.js'],
  ['in a package', 'leftpad', 'node_modules/leftpad/index.js'],
])('a file %s is changed, replaced, and swapped with its folder [120]', async (_, from, file) => {
  const bench = await watched({ 'talk.js': imports(from) }, (root) => put(root, file, text('one')))
  await bench.until('one')
  put(bench.root, file, text('two'))
  await bench.until('two')
  put(bench.root, 'aside.js', text('three'))
  renameSync(join(bench.root, 'aside.js'), join(bench.root, file))
  await bench.until('three')
  const folder = dirname(file)
  put(bench.root, `next/${file.split('/').at(-1)}`, text('four'))
  renameSync(join(bench.root, folder), join(bench.root, 'before'))
  renameSync(join(bench.root, 'next'), join(bench.root, folder))
  await bench.until('four')
})

it('a start of dev leaves out faulty functions, names them, and loads them when they are fixed [123]', async () => {
  const bench = await watched({ 'talk.js': 'export default (', 'other.js': answer('other') })
  expect(bench.broken()).toEqual(['talk'])
  put(bench.root, 'functions/talk.js', answer('right'))
  await bench.until('right')
})

it('sources are read although a file beside them is written without a pause', async () => {
  const bench = await watched({ 'talk.js': answer('old') })
  const noise = setInterval(() => put(bench.root, 'functions/noise.txt', String(Math.random())), 20)
  onTestFinished(() => clearInterval(noise))
  put(bench.root, 'functions/talk.js', answer('new'))
  await bench.until('new')
})

/** A runtime that watches. `until` sends a message after each change, until one is answered so. */
async function watched(sources: Readonly<Record<string, string>>, prepare = (_root: string) => {}) {
  const root = project([], sources)
  prepare(root)
  const bench = benchOf(testConfig(root), undefined, { tolerant: true })
  const broken: string[] = []
  bench.events.on('function-broken', ({ functionName }) => broken.push(functionName))
  let changes = 0
  bench.events.on('functions-changed', () => changes++)
  onTestFinished(() => bench.runtime.stop())
  await bench.runtime.start()
  bench.runtime.watchSources()
  return {
    root,
    broken: () => broken,
    /** It has noticed one change, so it looks by now. */
    async isSeeing() {
      put(root, 'functions/talk.js', answer('seen'))
      await this.until('seen')
    },
    async until(answer: string, kind = 'talk') {
      const answers = new Set<string>()
      let last: { readonly id: string; readonly changes: number } | undefined
      await until(
        () => {
          if (last?.changes !== changes) last = { id: bench.send(kind), changes }
          if (bench.ack(last.id) !== 'completed') return false
          answers.add(bench.replies(last.id)[0]?.content.text)
          return answers.has(answer)
        },
        () => `answers: ${[...answers].join(', ')}; broken: ${broken.join(', ')}`,
      )
    },
  }
}

function link(root: string, to: string): void {
  symlinkSync(join('..', to), join(root, 'link.next'))
  renameSync(join(root, 'link.next'), join(root, 'functions/link.js'))
}

function put(root: string, file: string, content: string): void {
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), content)
}
