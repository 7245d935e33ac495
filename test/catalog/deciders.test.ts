// Everything that decided a build is its input: after a change, the next process of a function runs the new
// code.
import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { bundleFunction, gives, type Project, project, releaseBundler } from './project.ts'

afterAll(releaseBundler)

const LONG_AGO = new Date('2026-01-01T00:00:00Z')
const READ = `import it from 'dep'\nexport default () => it`

const link = (at: Project, file: string, target: string) => {
  mkdirSync(dirname(at.at(file)), { recursive: true })
  rmSync(at.at(file), { force: true })
  symlinkSync(target, at.at(file))
}
/** The target of the link changes, which only a watch of the link detects. */
const relink = (at: Project, file: string, target: string) => {
  symlinkSync(target, at.at(`${file}.new`))
  renameSync(at.at(`${file}.new`), at.at(file))
}
const installed = (version: string, folder: string) => ({
  [`${folder}/package.json`]: `{ "name": "dep", "version": "${version}", "main": "main.js" }`,
  [`${folder}/main.js`]: `module.exports = '${version}'`,
})
const paths = (folder: string) => `{
  // As editors write it.
  "compilerOptions": { "paths": { "@/*": ["./${folder}/*"], }, },
}`

interface Case {
  readonly files: Readonly<Record<string, string>>
  readonly before?: (at: Project) => void
  readonly change: (at: Project) => void
  readonly external?: readonly string[]
}

const STORE = {
  ...installed('one', 'store/dep@1/node_modules/dep'),
  ...installed('two', 'store/dep@2/node_modules/dep'),
}
const ONE = '../store/dep@1/node_modules/dep'
const TWO = '../store/dep@2/node_modules/dep'
const LIBS = { 'one/x.ts': `export default 'one'`, 'two/x.ts': `export default 'two'` }

const cases: Record<string, Case> = {
  'the link of a package': {
    files: { ...STORE, 'functions/f.ts': READ },
    before: (at) => link(at, 'node_modules/dep', ONE),
    change: (at) => relink(at, 'node_modules/dep', TWO),
  },
  'a link on the way of a link': {
    files: { ...STORE, 'functions/f.ts': READ },
    before: (at) => {
      link(at, 'node_modules/dep', '../current/dep')
      link(at, 'current', 'store/dep@1/node_modules')
    },
    change: (at) => relink(at, 'current', 'store/dep@2/node_modules'),
  },
  'node_modules, as a link': {
    files: { ...STORE, 'functions/f.ts': READ },
    before: (at) => link(at, 'node_modules', 'store/dep@1/node_modules'),
    change: (at) => relink(at, 'node_modules', 'store/dep@2/node_modules'),
  },
  'the link of an external package': {
    files: { ...STORE, 'functions/f.ts': READ },
    before: (at) => link(at, 'node_modules/dep', ONE),
    change: (at) => relink(at, 'node_modules/dep', TWO),
    external: ['dep'],
  },
  'the link of a package that a package imports': {
    files: {
      ...STORE,
      'functions/f.ts': `import it from 'outer'\nexport default () => it`,
      'store/outer@1/node_modules/outer/package.json': '{ "name": "outer", "main": "main.js" }',
      'store/outer@1/node_modules/outer/main.js': `module.exports = require('dep')`,
    },
    before: (at) => {
      link(at, 'node_modules/outer', '../store/outer@1/node_modules/outer')
      link(at, 'store/outer@1/node_modules/dep', '../../dep@1/node_modules/dep')
    },
    change: (at) => relink(at, 'store/outer@1/node_modules/dep', '../../dep@2/node_modules/dep'),
  },
  'a link of the project': {
    files: { ...LIBS, 'functions/f.ts': `import it from '../lib/x.ts'\nexport default () => it` },
    before: (at) => link(at, 'lib', 'one'),
    change: (at) => relink(at, 'lib', 'two'),
  },
  'a link to a file': {
    files: {
      ...LIBS,
      'functions/f.ts': `import it from '../lib/y'\nexport default () => it`,
      'lib/other': '',
    },
    before: (at) => link(at, 'lib/y.ts', '../one/x.ts'),
    change: (at) => relink(at, 'lib/y.ts', '../two/x.ts'),
  },
  'a nearer package that has come': {
    files: { ...installed('one', 'node_modules/dep'), 'functions/f.ts': READ },
    change: (at) => {
      for (const [file, text] of Object.entries(installed('two', 'functions/node_modules/dep')))
        at.write(file, text)
    },
  },
  'an optional package that has come': {
    files: {
      'functions/f.ts': `let it = 'one'; try { it = require('dep') } catch {}\nexport default () => it`,
      'node_modules/.package-lock.json': '{}',
    },
    change: (at) => {
      for (const [file, text] of Object.entries(installed('two', 'node_modules/dep'))) at.write(file, text)
    },
  },
  'an optional file that has come': {
    files: {
      'functions/f.ts': `let it = 'one'; try { it = require('../lib/deep/x') } catch {}\nexport default () => it`,
    },
    change: (at) => at.write('lib/deep/x.js', `module.exports = 'two'`),
  },
  'the exports of a package': {
    files: {
      'functions/f.ts': READ,
      'node_modules/dep/package.json': '{ "name": "dep", "exports": "./dist/one.js" }',
      'node_modules/dep/dist/one.js': `module.exports = 'one'`,
      'node_modules/dep/dist/two.js': `module.exports = 'two'`,
    },
    change: (at) =>
      at.write('node_modules/dep/package.json', '{ "name": "dep", "exports": "./dist/two.js" }'),
  },
  'the exports of a package whose files have a package.json of their own': {
    files: {
      'functions/f.ts': READ,
      'node_modules/dep/package.json': '{ "name": "dep", "exports": "./dist/one.js" }',
      'node_modules/dep/dist/package.json': '{ "type": "commonjs" }',
      'node_modules/dep/dist/one.js': `module.exports = 'one'`,
      'node_modules/dep/dist/two.js': `module.exports = 'two'`,
    },
    change: (at) =>
      at.write('node_modules/dep/package.json', '{ "name": "dep", "exports": "./dist/two.js" }'),
  },
  'a package.json that was not there, for how an import is read': {
    files: {
      'functions/f.ts': `export { default } from '../lib/a/b/f.js'`,
      'lib/package.json': '{ "type": "module" }',
      'lib/a/b/f.js': `import it from './x.cjs'\nexport default () => (typeof it === 'object' ? 'one' : 'two')`,
      'lib/a/b/x.cjs': `exports.__esModule = true; exports.default = () => 1`,
    },
    change: (at) => at.write('lib/a/package.json', '{ "type": "commonjs" }'),
  },
  'a tsconfig.json between a file and the project': {
    files: {
      ...LIBS,
      'functions/f.ts': `import it from '@/x'\nexport default () => it`,
      'tsconfig.json': paths('one'),
    },
    change: (at) => at.write('functions/tsconfig.json', paths('../two')),
  },
  'a tsconfig that another extends': {
    files: {
      ...LIBS,
      'functions/f.ts': `import it from '@/x'\nexport default () => it`,
      'tsconfig.json': '{ "extends": ["./config/a"] }',
      'config/a.json': '{ "extends": "./b.json" } // and so on',
      'config/b.json': paths('../one'),
    },
    change: (at) => at.write('config/b.json', paths('../two')),
  },
  'a tsconfig of a package': {
    files: {
      ...LIBS,
      'functions/f.ts': `import it from '@/x'\nexport default () => it`,
      'tsconfig.json': '{ "extends": "@team/config" }',
      'node_modules/@team/config/package.json': '{ "name": "@team/config", "tsconfig": "base.json" }',
      'node_modules/@team/config/base.json': paths('../../../one'),
    },
    change: (at) => at.write('node_modules/@team/config/base.json', paths('../../../two')),
  },
  'a link behind an alias': {
    files: {
      ...LIBS,
      'functions/f.ts': `import it from '@/lib/x'\nexport default () => it`,
      'tsconfig.json': paths('src'),
      'src/other': '',
    },
    before: (at) => link(at, 'src/lib', '../one'),
    change: (at) => relink(at, 'src/lib', '../two'),
  },
}

test.each(Object.entries(cases))(
  'a change of %s is detected [160]',
  async (_what, { files, before, change, external }) => {
    const at = project(files)
    before?.(at)
    for (const file of [...Object.keys(files), 'stand-in/shim.mjs'])
      utimesSync(at.at(file), LONG_AGO, LONG_AGO)
    expect(await gives(at, 'functions/f.ts', external)).toEqual({ gave: 'one' })
    const memory = readdirSync(at.options.cache).filter((file) => file.endsWith('.json'))
    expect(memory, 'the build is remembered').toHaveLength(1)
    change(at)
    expect(await gives(at, 'functions/f.ts', external)).toEqual({ gave: 'two' })
  },
)

test('tsconfig files that the author wrote are watched like sources, also when a build fails', async () => {
  const at = project({
    'functions/f.ts': 'export default () => 1',
    'functions/g.ts': `import '@/missing'`,
    'tsconfig.json': '{ "extends": "./base.json" }',
    'base.json': paths('lib'),
    'lib/other': '',
  })
  const { inputs } = await bundleFunction(at.source('functions/f.ts'), at.options)
  const settings = [at.at('base.json'), at.at('tsconfig.json')]
  expect(inputs).toEqual([settings[0], at.at('functions/f.ts'), settings[1]])
  const failed = bundleFunction(at.source('functions/g.ts'), at.options)
  await expect(failed).rejects.toMatchObject({
    causes: {
      inputs: [settings[0], at.at('functions/g.ts'), settings[1]],
      awaited: expect.arrayContaining([join(at.root, 'lib')]),
    },
  })
})
