import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { packageName } from '../../runtime/cli/template.ts'
import { tempDir } from '../support/files.ts'
import { nanoclaw } from './cli.ts'

const FILES = [
  'package.json',
  'nanoclaw.config.ts',
  'functions/chat.ts',
  'tsconfig.json',
  '.gitignore',
  'README.md',
]

test('a new folder gets its files, and the next commands are said', async () => {
  const dir = tempDir()
  const { code, stdout, stderr } = await nanoclaw(dir, ['init', 'my project'])
  expect(code).toBe(0)
  expect(stdout.trim().split('\n')).toEqual(FILES.map((file) => `my project/${file}`))
  expect(stderr).toMatch(/cd 'my project'\n {2}npm install\n {2}npx nanoclaw dev\n/)
  for (const file of FILES) expect(existsSync(join(dir, 'my project', file))).toBe(true)
  const { name, type, dependencies } = JSON.parse(readFileSync(join(dir, 'my project/package.json'), 'utf8'))
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  expect({ name, type, dependencies }).toEqual({
    name: 'my-project',
    type: 'module',
    dependencies: { 'nanoclaw-functions': `^${version}` },
  })
})

test('nothing is written where a file of that name exists, and it is named', async () => {
  const dir = tempDir()
  writeFileSync(join(dir, 'README.md'), 'mine')
  const { code, stdout, stderr } = await nanoclaw(dir, ['init'])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(`README.md exists in ${dir} already; nothing was written`)
  expect(readdirSync(dir)).toEqual(['README.md'])
})

test('for programs it prints one object', async () => {
  const dir = tempDir()
  const { stdout, stderr } = await nanoclaw(dir, ['init', '--json'])
  expect(JSON.parse(stdout)).toMatchObject({ root: dir, files: FILES })
  expect(stderr).toBe('')
})

test.each([
  ['My Project', 'my-project'],
  ['.hidden', 'hidden'],
  ['_a_', 'a_'],
  ['Übung', 'bung'],
  ['***', 'my-functions'],
  ['ok.name-1', 'ok.name-1'],
])('the folder %j makes a package called %s', (folder, name) => {
  expect(packageName(folder)).toBe(name)
})
