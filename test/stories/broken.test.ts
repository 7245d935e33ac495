// Functions that cannot be used for a while under a running runtime: the reports, and that no message waits
// for ever.
import { readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import type { RuntimeEvents } from '../../runtime/protocol/events.ts'
import { benchOf, project, testConfig, until, type Workbench, workbench } from '../support/runtime.ts'

const answer = (text: string) => `export default () => ${JSON.stringify(text)}`

it('a function that breaks is reported once, in status too, and again when it is fixed', async () => {
  const bench = await workbench([], {}, { 'talk.js': answer('good') })
  const { broken, changed } = heard(bench)
  const talk = join(bench.config.functions, 'talk.js')
  writeFileSync(talk, 'export default (')
  await bench.runtime.reload()
  await bench.runtime.reload()
  expect(broken).toEqual([
    expect.objectContaining({ functionName: 'talk', retryMs: null, stillServed: true }),
  ])
  const note = () => JSON.parse(readFileSync(`${bench.config.workspace}/.runtime.json`, 'utf8'))
  await until(() => note().functions[0].stillServed)
  writeFileSync(talk, answer('good'))
  await bench.runtime.reload()
  expect(changed).toEqual([['talk']])
  expect(bench.runtime.functions).toHaveLength(1)
})

it('a faulty function beside one that did not load is not reported again with each attempt', async () => {
  const root = project([], {
    'wrong.js': answer('good'),
    'late.js': 'throw new Error("not yet " + process.pid)',
  })
  const bench = benchOf(testConfig(root))
  const { broken } = heard(bench)
  let ended = 0
  bench.events.on('worker-ended', () => ended++)
  onTestFinished(() => bench.runtime.stop())
  await bench.runtime.start()
  writeFileSync(join(root, 'functions', 'wrong.js'), 'export default (')
  await bench.runtime.reload()
  const before = ended
  await until(() => ended > before + 1)
  expect(broken.map(({ functionName, retryMs }) => [functionName, retryMs === null])).toEqual([
    ['late', false],
    ['wrong', true],
  ])
})

it('a function that did not load is tried again, although the folder could not be read meanwhile', async () => {
  const root = project(['echo'], { 'late.js': 'throw new Error("not yet")' })
  const bench = benchOf(testConfig(root))
  const { broken } = heard(bench)
  onTestFinished(() => bench.runtime.stop())
  await bench.runtime.start()
  const id = bench.send('late')
  const aside = join(root, 'aside')
  renameSync(join(root, 'functions'), aside)
  await until(() => broken.some(({ functionName }) => functionName === '*'))
  renameSync(aside, join(root, 'functions'))
  writeFileSync(join(root, 'functions', 'late.js'), answer('at last'))
  await bench.ended(id)
  expect(bench.ack(id)).toBe('completed')
})

it('a function that stops loading keeps its last good version until it loads again', async () => {
  const bench = await workbench([], {}, { 'talk.js': answer('good') })
  const { broken, changed } = heard(bench)
  const flag = join(bench.config.root, 'flag')
  writeFileSync(
    join(bench.config.functions, 'talk.js'),
    `import { existsSync } from 'node:fs'
    if (!existsSync(${JSON.stringify(flag)})) throw new Error('not yet')
    export default () => 'better'`,
  )
  await bench.runtime.reload()
  expect(broken).toEqual([expect.objectContaining({ retryMs: 500, stillServed: true })])
  writeFileSync(flag, '')
  await until(() => changed.length > 0)
  const id = bench.send('talk')
  await bench.ended(id)
  expect(bench.replies(id)[0]?.content).toEqual({ text: 'better' })
})

it('the reason of a parked message changes when its function is fixed, and is reported after the change', async () => {
  const bench = await workbench(
    [],
    {},
    { 'talk.js': `export default { on: { kind: 'a' }, handler: () => 'a' }` },
  )
  const told: string[] = []
  bench.events.on('unroutable', ({ kind }) => told.push(`held ${kind}`))
  bench.events.on('functions-changed', () => told.push('changed'))
  bench.send('b')
  await until(() => told.length > 0)
  writeFileSync(
    join(bench.config.functions, 'talk.js'),
    `export default { on: { kind: 'c' }, handler: () => 'c' }`,
  )
  await bench.runtime.reload()
  expect(told).toEqual(['held b', 'changed', 'held b'])
})

it.each<[string, (functions: string) => void, string, string]>([
  [
    'a name that is not legal',
    (dir) => writeFileSync(join(dir, 'talk copy.js'), ''),
    'talk copy',
    'functions/talk copy.js: "talk copy"',
  ],
  [
    'a name that another file has',
    (dir) => writeFileSync(join(dir, 'talk.ts'), ''),
    'talk',
    'functions/talk.js and functions/talk.ts are both',
  ],
  [
    'a broken link',
    (dir) => symlinkSync('/nowhere/x.js', join(dir, 'dead.js')),
    'dead',
    'functions/dead.js is a broken link',
  ],
  [
    'a rule that another function has',
    (dir) => writeFileSync(join(dir, 'twin.js'), `export default { on: { kind: 'talk' }, handler() {} }`),
    'twin',
    'functions/talk.js and functions/twin.js could both',
  ],
])('a file with %s is reported, and all others are reloaded [121]', async (_, spoil, name, text) => {
  const bench = await workbench([], {}, { 'talk.js': answer('talk'), 'other.js': answer('old') })
  const { broken, changed } = heard(bench)
  spoil(bench.config.functions)
  writeFileSync(join(bench.config.functions, 'other.js'), answer('new'))
  await bench.runtime.reload()
  expect(changed).toEqual([['other']])
  expect(broken).toEqual([
    expect.objectContaining({
      functionName: name,
      message: expect.stringContaining(text),
      stillServed: name === 'talk',
    }),
  ])
  const [talk, other] = [bench.send('talk'), bench.send('other')]
  await bench.ended(talk, other)
  expect([talk, other].map((id) => bench.replies(id)[0]?.content)).toEqual([
    { text: 'talk' },
    { text: 'new' },
  ])
})

it('two changed functions that clash keep their last good versions', async () => {
  const kind = (name: string) => `export default { on: { kind: '${name}' }, handler: () => '${name}' }`
  const bench = await workbench([], {}, { 'a.js': kind('a'), 'b.js': kind('b'), 'c.js': kind('c') })
  const { broken } = heard(bench)
  const write = (file: string, text: string) => writeFileSync(join(bench.config.functions, file), text)
  // b and c swap with a third: b wants a's kind, and a wants c's, which only c's own change would have made
  // free.
  write('a.js', kind('c'))
  write('b.js', kind('a'))
  await bench.runtime.reload()
  expect(broken.map(({ functionName, stillServed }) => [functionName, stillServed])).toEqual([
    ['a', true],
    ['b', true],
  ])
  const ids = ['a', 'b', 'c'].map((name) => bench.send(name))
  await bench.ended(...ids)
  expect(ids.map((id) => bench.replies(id)[0]?.content.text)).toEqual(['a', 'b', 'c'])
  write('c.js', kind('b'))
  await bench.runtime.reload()
  expect(bench.runtime.functions.map(({ rule }) => rule.kind)).toEqual([['c'], ['a'], ['b']])
})

it('a start names all faulty functions, each once', async () => {
  const kind = `export default { on: { kind: 'x' }, handler() {} }`
  const root = project([], { 'a.js': kind, 'b.js': kind, 'c d.js': '', 'e.js': 'export default {' })
  const bench = benchOf(testConfig(root))
  const error: Error = await bench.runtime.start().catch((error) => error)
  const found = (text: string) => error.message.split(text).length - 1
  expect(error).toMatchObject({ code: 'bad_function' })
  expect(['could both take', '"c d" cannot be', 'e.js cannot be bundled'].map(found)).toEqual([1, 1, 1])
})

it('a function whose bundle was removed is built again', async () => {
  const bench = await workbench([], { prewarm: false }, { 'goes.js': 'export default () => process.exit(1)' })
  for (const file of readdirSync(bench.config.cache)) rmSync(join(bench.config.cache, file))
  const id = bench.send('goes')
  await bench.ended(id)
  // The warm process has run it once; all others need the bundle.
  expect(bench.runs(id).length).toBeGreaterThan(1)
  expect(new Set(bench.runs(id).map(({ reason }) => reason))).toContain('worker_exit')
})

function heard({ events }: Workbench) {
  const broken: RuntimeEvents['function-broken'][0][] = []
  const changed: (readonly string[])[] = []
  events.on('function-broken', (fault) => broken.push(fault))
  events.on('functions-changed', ({ changed: names }) => changed.push(names))
  return { broken, changed }
}
