// A bundle in the form of a script behaves as the ES module that its author wrote.
import { afterAll, expect, test } from 'vitest'
import { gives, project, releaseBundler } from './project.ts'

afterAll(releaseBundler)

test.each([
  ['where a try would hide the lack of it', `try { what = typeof import.meta.resolve } catch {}`],
  ['in a package', `what = (await import('dep')).default`],
  ['taken apart', `const { resolve } = import.meta; what = typeof resolve`],
])('import.meta has what an ES module finds there, %s', async (_where, text) => {
  const at = project({
    'functions/meta.ts': `export default async () => { let what; ${text}; return what }`,
    'node_modules/dep/package.json': '{ "name": "dep", "type": "module", "main": "main.js" }',
    'node_modules/dep/main.js': 'export default typeof import.meta.resolve',
  })
  expect(await gives(at, 'functions/meta.ts')).toEqual({ gave: 'function' })
})

test('what only a CommonJS file has, an ES module has not: nothing takes itself for the main program', async () => {
  const at = project({
    'functions/main.ts': `
      import old from './_old.cjs'
      const main = typeof module !== 'undefined' && require.main === module
      export default () => [main, typeof exports, old]`,
    'functions/_old.cjs': `module.exports = require.main === module`,
  })
  expect(await gives(at, 'functions/main.ts')).toEqual({ gave: [false, 'undefined', false] })
})
