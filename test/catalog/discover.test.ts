import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { discover } from '../../runtime/catalog/discover.ts'
import { project } from './project.ts'

const filesOf = (...files: string[]) =>
  project(Object.fromEntries(files.map((file) => [`functions/${file}`, ''])))

async function found(...files: string[]): Promise<string[]> {
  const { functions, root } = filesOf(...files)
  return (await discover(functions, root)).sources.map(({ name, file }) => `${name} ${file}`)
}

describe('a function is', () => {
  test.each(['ts', 'mts', 'js', 'mjs', 'cts', 'cjs', 'tsx', 'jsx'])(
    'a file NAME.%s, or an index file of that kind',
    async (ending) => {
      expect(await found(`greet.${ending}`, `other/index.${ending}`)).toEqual([
        `greet functions/greet.${ending}`,
        `other functions/other/index.${ending}`,
      ])
    },
  )

  test.each([
    '_shared.ts',
    '.hidden.ts',
    'types.d.ts',
    'types.d.mts',
    'greet.test.ts',
    'greet.spec.js',
    'notes.md',
    'data.json',
    'node_modules/index.js',
    '_lib/index.ts',
    '.cache/index.js',
    'helpers/text.ts',
    'helpers/deep/index.ts',
    'helpers/index.d.ts',
    'helpers/index.test.ts',
  ])('not %s', async (file) => {
    expect(await found(file, 'real.ts')).toEqual(['real functions/real.ts'])
  })

  test('a link to a file or to a folder', async () => {
    const { functions, root, write, at } = filesOf('real.ts')
    write('lib/echo.ts', '')
    write('lib/talk/index.ts', '')
    symlinkSync(at('lib/echo.ts'), join(functions, 'echo.ts'))
    symlinkSync(at('lib/talk'), join(functions, 'talk'))
    expect((await discover(functions, root)).sources.map(({ file }) => file)).toEqual([
      'functions/echo.ts',
      'functions/real.ts',
      'functions/talk/index.ts',
    ])
  })
})

test('functions are sorted by name, with their full path', async () => {
  const { functions, root, at } = filesOf('push.opened.ts', 'b.ts', 'a-1/index.ts', 'B2.ts')
  const { sources } = await discover(functions, root)
  expect(sources.map(({ name }) => name)).toEqual(['B2', 'a-1', 'b', 'push.opened'])
  expect(sources[1]).toEqual({
    name: 'a-1',
    file: 'functions/a-1/index.ts',
    path: at('functions/a-1/index.ts'),
  })
})

test('an empty folder has no functions and is not an error', async () => {
  const { functions, root } = project({})
  mkdirSync(functions)
  expect(await discover(functions, root)).toEqual({ sources: [], refusals: [] })
})

test.each([
  { files: ['a.ts', 'a/index.ts'], names: ['functions/a.ts', 'functions/a/index.ts'] },
  { files: ['a.js', 'a.ts'], names: ['functions/a.js', 'functions/a.ts'] },
  { files: ['a/index.js', 'a/index.ts'], names: ['functions/a/index.js', 'functions/a/index.ts'] },
])(
  '$files have one name: neither is taken, both are named, and others are found',
  async ({ files, names }) => {
    const { functions, root } = filesOf(...files, 'other.ts')
    const { sources, refusals } = await discover(functions, root)
    expect(sources.map(({ name }) => name)).toEqual(['other'])
    expect(refusals.map(({ source, text }) => [source.name, text])).toEqual([
      ['a', `${names.join(' and ')} are both named "a"; leave one of them and rename or remove the other.`],
    ])
  },
)

test('three files with one name are named in one sentence', async () => {
  const { functions, root } = filesOf('a.ts', 'a.js', 'a/index.ts')
  const { refusals } = await discover(functions, root)
  expect(refusals.map(({ text }) => text)).toEqual([
    'functions/a.js, functions/a.ts and functions/a/index.ts are all named "a"; leave one of them and rename or remove the others.',
  ])
})

test.each(['two words.ts', 'größe.ts', '-flag.ts', 'a@b/index.ts', `${'x'.repeat(65)}.ts`])(
  'the name of %s is rejected, with the rule',
  async (file) => {
    const { functions, root } = filesOf(file)
    expect(await discover(functions, root)).toMatchObject({
      sources: [],
      refusals: [
        {
          text: expect.stringMatching(
            /^functions\/.* expected a letter or digit, then up to 63 letters, digits/,
          ),
        },
      ],
    })
  },
)

test('all illegal names are reported at once', async () => {
  const { functions, root, at } = filesOf('a b.ts', 'x.ts', 'x.js')
  symlinkSync(at('gone.ts'), join(functions, 'dead.ts'))
  const { refusals } = await discover(functions, root)
  expect(refusals.map(({ text }) => text)).toEqual([
    expect.stringContaining('functions/a b.ts: "a b" cannot be'),
    expect.stringContaining('functions/dead.ts is a broken link'),
    expect.stringContaining('functions/x.js and functions/x.ts are both named "x"'),
  ])
})

test('the error of a missing folder has the remedy', async () => {
  const { functions, root } = project({})
  await expect(discover(functions, root)).rejects.toMatchObject({
    code: 'bad_config',
    message: `the functions folder ${functions} does not exist; create it, or run \`nanoclaw init\``,
  })
})

test('the error of a file in place of the folder names it as a file', async () => {
  const { functions, root } = project({ functions: 'not a folder' })
  await expect(discover(functions, root)).rejects.toMatchObject({
    code: 'bad_config',
    message: expect.stringContaining('cannot be read (ENOTDIR)'),
  })
})
