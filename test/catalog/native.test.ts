// Packages with a native addon: those that load it through `bindings` run in a bundle, and of the rest the
// build names the remedy.
import { mkdirSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { bundleFunction, gives, project, releaseBundler } from './project.ts'

afterAll(releaseBundler)

const INSTALLED = fileURLToPath(new URL('../../node_modules/', import.meta.url))

test('better-sqlite3 runs in a function without `external`, and with it [169]', async () => {
  const at = project({
    'functions/sql.ts': `
      import Database from 'better-sqlite3'
      export default () => new Database(':memory:').prepare('select 40 + 2 as n').pluck().get()`,
  })
  mkdirSync(at.at('node_modules'))
  symlinkSync(join(INSTALLED, 'better-sqlite3'), at.at('node_modules/better-sqlite3'))
  expect(await gives(at, 'functions/sql.ts')).toEqual({ gave: 42 })
  expect(await gives(at, 'functions/sql.ts', ['better-sqlite3'])).toEqual({ gave: 42 })
})

test('an addon that was not built is searched in its own package, from any importer', async () => {
  const bindings = dirname(join(INSTALLED, 'bindings/package.json'))
  const at = project({
    'functions/f.ts': `
      import { one } from 'one'
      import { two } from 'two'
      export default () => [one, two].map((load) => { try { load() } catch (error) { return error.tries[0] } })`,
    'node_modules/one/package.json': '{ "name": "one", "main": "lib/main.js" }',
    'node_modules/one/lib/main.js': `exports.one = () => require('bindings')('addon')`,
    'node_modules/two/package.json': '{ "name": "two", "main": "main.js" }',
    'node_modules/two/main.js': `exports.two = () => require('bindings')({ bindings: 'other.node' })`,
  })
  for (const name of ['bindings', 'file-uri-to-path'])
    symlinkSync(join(dirname(bindings), name), at.at(`node_modules/${name}`))
  expect(await gives(at, 'functions/f.ts')).toEqual({
    gave: [at.at('node_modules/one/build/addon.node'), at.at('node_modules/two/build/other.node')],
  })
})

test.each([
  [
    'whose addon is a file of its own',
    `require('./addon.node')`,
    /native module cannot be bundled: name 'dep' in `external`/,
  ],
  [
    'that needs what is not installed',
    `require('aws-sdk')`,
    /if dep works without it, name 'dep' in `external`/,
  ],
])('for a package %s the build names the remedy [169]', async (_what, code, told) => {
  const at = project({
    'functions/f.ts': `import 'dep'\nexport default () => 1`,
    'node_modules/dep/index.js': code,
    'node_modules/dep/addon.node': '',
  })
  await expect(bundleFunction(at.source('functions/f.ts'), at.options)).rejects.toThrow(told)
})
