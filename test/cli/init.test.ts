import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { dependencySpec } from '../../runtime/cli/own-package.ts'
import { packageName } from '../../runtime/cli/template.ts'
import { tempDir } from '../support/files.ts'
import { nanoclaw, REPOSITORY } from './cli.ts'

const FILES = [
  'package.json',
  'nanoclaw.config.ts',
  'functions/chat.ts',
  'tsconfig.json',
  '.gitignore',
  'README.md',
]

test('a new folder gets its files, and the next commands are printed', async () => {
  const dir = tempDir()
  const { code, stdout, stderr } = await nanoclaw(dir, ['init', 'my project'])
  expect(code).toBe(0)
  expect(stdout.trim().split('\n')).toEqual(FILES.map((file) => `my project/${file}`))
  expect(stderr).toMatch(/cd 'my project'\n {2}npm install\n {2}npx nanoclaw dev\n/)
  for (const file of FILES) expect(existsSync(join(dir, 'my project', file))).toBe(true)
  const { name, type, dependencies } = JSON.parse(readFileSync(join(dir, 'my project/package.json'), 'utf8'))
  expect({ name, type, dependencies }).toEqual({
    name: 'my-project',
    type: 'module',
    dependencies: { 'nanoclaw-functions': `file:${relative(join(dir, 'my project'), REPOSITORY)}` },
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

test('--json prints one object', async () => {
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

test.each<[string, string, Record<string, string>, string]>([
  ['a clone', 'clone', {}, 'file:../clone'],
  [
    'a tarball',
    'x/node_modules/nanoclaw-functions',
    { dependencies: 'file:../pack.tgz' },
    'file:../pack.tgz',
  ],
  [
    'a tarball, for development',
    'x/node_modules/nanoclaw-functions',
    { devDependencies: 'file:../pack.tgz' },
    'file:../pack.tgz',
  ],
  [
    'a tarball that is gone',
    'x/node_modules/nanoclaw-functions',
    { dependencies: 'file:../gone.tgz' },
    'file:../x/node_modules/nanoclaw-functions',
  ],
  ['a registry', 'x/node_modules/nanoclaw-functions', { dependencies: '^0.1.0' }, '^0.1.0'],
  ['a repository', 'x/node_modules/nanoclaw-functions', { dependencies: 'github:a/b#c' }, 'github:a/b#c'],
  [
    'a workspace',
    'x/node_modules/nanoclaw-functions',
    { dependencies: 'workspace:*' },
    'file:../x/node_modules/nanoclaw-functions',
  ],
  [
    'pnpm',
    'x/node_modules/.pnpm/n@1/node_modules/nanoclaw-functions',
    { dependencies: 'file:../pack.tgz' },
    'file:../pack.tgz',
  ],
  ['a global folder', 'x/node_modules/nanoclaw-functions', {}, 'file:../x/node_modules/nanoclaw-functions'],
])('installed from %s, the new project depends on what npm finds [162]', (_, own, named, spec) => {
  const dir = tempDir()
  mkdirSync(join(dir, own), { recursive: true })
  writeFileSync(join(dir, 'pack.tgz'), '')
  const manifest = Object.entries(named).map(([field, value]) => [field, { 'nanoclaw-functions': value }])
  if (own !== 'clone')
    writeFileSync(join(dir, 'x/package.json'), JSON.stringify(Object.fromEntries(manifest)))
  expect(dependencySpec(join(dir, 'new'), join(dir, own))).toBe(spec)
})

test('an existing package.json is kept, and the next step adds the dependency [162]', async () => {
  const dir = tempDir()
  writeFileSync(join(dir, 'package.json'), '{}')
  const { code, stderr } = await nanoclaw(dir, ['init'])
  expect(code).toBe(0)
  expect(stderr).toContain(`npm install file:${relative(dir, REPOSITORY)}`)
  expect(readFileSync(join(dir, 'package.json'), 'utf8')).toBe('{}')
})
