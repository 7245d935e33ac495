// An earlier build is valid only while all its inputs are unchanged.
import { mkdirSync, readdirSync, renameSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { DefinitionCache } from '../../runtime/catalog/definition-cache.ts'
import { tempDir } from '../support/files.ts'

const NOTHING_ELSE = { looks: new Set<string>(), places: new Set<string>() }
const LONG_AGO = new Date('2026-01-01T00:00:00Z')

async function remembered() {
  const root = tempDir()
  const at = (file: string) => join(root, file)
  for (const folder of ['functions', 'lib', 'cache']) mkdirSync(at(folder))
  for (const file of ['functions/a.ts', 'lib/b.ts', 'package.json', 'cache/a.mjs', 'cache/a.mjs.map']) {
    writeFileSync(at(file), '{}')
    utimesSync(at(file), LONG_AGO, LONG_AGO)
  }
  const memory = new DefinitionCache(at('cache'), root, 'a')
  const path = at('cache/a.mjs')
  const bundle = { path, files: [path, at('cache/a.mjs.map')], hash: 'h', inputs: [at('functions/a.ts')] }
  await memory.keep('key', bundle, [at('functions/a.ts'), at('lib/b.ts')], Date.now(), NOTHING_ELSE)
  return { root, at, memory, bundle }
}

test('a build is not needed while its files are unchanged, also for another process', async () => {
  const { at, root, bundle } = await remembered()
  expect(await new DefinitionCache(at('cache'), root, 'a').recall('key')).toEqual(bundle)
})

describe('a build is needed', () => {
  test.each<[string, (at: (file: string) => string) => void]>([
    ['when a source has other bytes', (at) => writeFileSync(at('functions/a.ts'), '{ }')],
    [
      'when something that it imports was touched',
      (at) => utimesSync(at('lib/b.ts'), new Date(), new Date()),
    ],
    [
      'when a source is another file of the same size and time',
      (at) => {
        writeFileSync(at('lib/c.ts'), '{}')
        utimesSync(at('lib/c.ts'), LONG_AGO, LONG_AGO)
        renameSync(at('lib/c.ts'), at('lib/b.ts'))
      },
    ],
    ['when a new file may be found in the place of an import', (at) => writeFileSync(at('lib/b.js'), '')],
    ['when a source is gone', (at) => rmSync(at('lib/b.ts'))],
    ['when package.json has changed', (at) => writeFileSync(at('package.json'), '{"type":"module"}')],
    ['when a tsconfig.json has come', (at) => writeFileSync(at('tsconfig.json'), '{}')],
    ['when the bundle is gone', (at) => rmSync(at('cache/a.mjs'))],
    ['when its map is gone', (at) => rmSync(at('cache/a.mjs.map'))],
    [
      'when the memory is half a file',
      (at) => {
        const file = readdirSync(at('cache')).find((name) => name.endsWith('.json'))!
        truncateSync(at(`cache/${file}`), 20)
      },
    ],
  ])('%s', async (_title, change) => {
    const { at, memory } = await remembered()
    change(at)
    expect(await memory.recall('key')).toBeUndefined()
  })

  test('when it would be built differently', async () => {
    expect(await (await remembered()).memory.recall('another key')).toBeUndefined()
  })

  test('when a source was written during the build, or just before', async () => {
    const { at, memory, bundle } = await remembered()
    writeFileSync(at('functions/a.ts'), '{ }')
    await memory.keep('key', bundle, [at('functions/a.ts')], Date.now(), NOTHING_ELSE)
    writeFileSync(at('functions/a.ts'), '{}')
    expect(await memory.recall('key')).toBeUndefined()
  })
})

test('a definition is cached for the bundle and the environment that reported it only', async () => {
  const { memory } = await remembered()
  await memory.keepDefinition('h', { TZ: 'UTC' }, { timeout: '2s' })
  expect(await memory.definition('h', { TZ: 'UTC' })).toEqual({ timeout: '2s' })
  expect(await memory.definition('h', { TZ: 'Asia/Kolkata' })).toBeUndefined()
  expect(await memory.definition('other', { TZ: 'UTC' })).toBeUndefined()
})
