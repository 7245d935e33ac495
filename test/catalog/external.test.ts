import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { bundleFunction, gives, project, releaseBundler } from './project.ts'

afterAll(releaseBundler)

const files = {
  'functions/ext.ts': `
    import { twice } from 'native-thing'
    import deep from 'native-thing/deep.js'
    import { sep } from 'node:path'
    export default () => [twice(21), deep, sep.length]`,
  'node_modules/native-thing/package.json': '{ "name": "native-thing", "main": "main.js" }',
  'node_modules/native-thing/main.js': 'exports.twice = (n) => n * 2',
  'node_modules/native-thing/deep.js': 'module.exports = __filename',
}

test.each([['native-thing'], ['native-*'], ['*']])(
  'a package named as %s is not bundled and is found from any cache',
  async (name) => {
    const at = project(files)
    expect(await gives(at, 'functions/ext.ts', [name])).toEqual({
      gave: [42, at.at('node_modules/native-thing/deep.js'), 1],
    })
    const [bundle] = readdirSync(at.options.cache).filter((file) => /\.m?js$/.test(file))
    expect(readFileSync(`${at.options.cache}/${bundle}`, 'utf8')).not.toContain('n * 2')
  },
)

test('a name covers its package, not packages whose names begin alike', async () => {
  const at = project(files)
  expect(await gives(at, 'functions/ext.ts', ['native'])).toMatchObject({
    gave: [42, expect.any(String), 1],
  })
  const [bundle] = readdirSync(at.options.cache).filter((file) => /\.m?js$/.test(file))
  expect(readFileSync(`${at.options.cache}/${bundle}`, 'utf8')).toContain('n * 2')
})

test('one that is not installed is an error of the build', async () => {
  const at = project({ 'functions/ext.ts': `import 'native-thing'\nexport default () => 1` })
  const options = { ...at.options, external: ['native-thing'] }
  await expect(bundleFunction(at.source('functions/ext.ts'), options)).rejects.toMatchObject({
    code: 'bad_function',
    message: expect.stringMatching(/ext\.ts:1:8: Could not resolve "native-thing".*install/),
  })
})

test.each([
  ['a plain import', `import data from 'native-thing/package.json'\nexport default () => data.main`],
  [
    'one for node',
    `import data from 'native-thing/package.json' with { type: 'json' }\nexport default () => data.main`,
  ],
  ['a dynamic import', `export default async () => (await import('native-thing/package.json')).default.main`],
  ['require', `export default () => require('native-thing/package.json').main`],
])('its JSON is bundled: %s gets it', async (_how, code) => {
  const at = project({ ...files, 'functions/ext.ts': code })
  expect(await gives(at, 'functions/ext.ts', ['native-thing'])).toEqual({ gave: 'main.js' })
})

test('a missing package is legal where the author catches the error', async () => {
  const at = project({
    'functions/ext.ts': `export default () => import('native-thing').catch((error) => error.code)`,
    'functions/old.cjs': `let it; try { it = require('native-thing') } catch (error) { it = error.code }\nmodule.exports = () => it`,
  })
  expect(await gives(at, 'functions/ext.ts', ['native-thing'])).toEqual({ gave: 'ERR_MODULE_NOT_FOUND' })
  expect(await gives(at, 'functions/old.cjs', ['native-thing'])).toEqual({ gave: 'MODULE_NOT_FOUND' })
})
