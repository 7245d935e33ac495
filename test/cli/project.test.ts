// Which folder is the project, and what a command does outside a project.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDb, tempDir } from '../support/files.ts'
import { initProject, nanoclaw, startNanoclaw } from './cli.ts'

const BELOW = ['functions', 'functions/deep/er', '.nanoclaw', 'notes']

test('from any folder of a project, commands find the project above, and create no files there [127]', async () => {
  const dir = await initProject()
  const folders = BELOW.map((below) => join(dir, below))
  for (const folder of folders) mkdirSync(folder, { recursive: true })
  const listings = () =>
    folders.filter((folder) => !folder.endsWith('.nanoclaw')).map((folder) => readdirSync(folder))
  const before = listings()
  for (const [n, folder] of folders.entries()) {
    const command = n % 2 === 0 ? 'dev' : 'start'
    const other = n % 2 === 0 ? 'start' : 'dev'
    const served = startNanoclaw(folder, [command])
    await expect.poll(() => served.stdout() + served.stderr()).toMatch(/Ctrl\+C stops\.|"msg":"started"/)
    expect(await nanoclaw(folder, ['send', 'chat', 'hello', '--id', `m-${n}`, '--wait'])).toMatchObject({
      code: 0,
      stdout: `m-${n}\nYou said: hello\n`,
    })
    expect((await nanoclaw(folder, ['show', `m-${n}`])).stdout).toContain('completed')
    expect((await nanoclaw(folder, ['status'])).stdout).toMatch(/^workspace +.*\n.*running/)
    expect((await nanoclaw(folder, ['conform'])).code).toBe(0)
    const second = await nanoclaw(folder, [other])
    expect(second.code).toBe(75)
    expect(second.stderr).toContain(`process ${served.child.pid} on`)
    served.child.kill('SIGINT')
    expect((await served.ended()).code).toBe(0)
  }
  expect(listings()).toEqual(before)
  const inbound = openDb(join(dir, '.nanoclaw/inbound.db'), { readonly: true })
  expect(inbound.prepare('select id from messages_in order by seq').pluck().all()).toEqual(
    BELOW.map((_, n) => `m-${n}`),
  )
})

test('a project without a config file is found from its functions folder [127]', async () => {
  const dir = tempDir()
  mkdirSync(join(dir, 'functions/deep'), { recursive: true })
  expect((await nanoclaw(join(dir, 'functions/deep'), ['send', 'chat', 'hello'])).code).toBe(0)
  expect(existsSync(join(dir, '.nanoclaw/inbound.db'))).toBe(true)
  expect(readdirSync(join(dir, 'functions/deep'))).toEqual([])
})

test('a folder named functions does not make its parent a project', async () => {
  const dir = tempDir()
  for (const name of ['functions', 'beside']) mkdirSync(join(dir, name))
  expect((await nanoclaw(join(dir, 'beside'), ['send', 'chat', 'hello'])).code).toBe(2)
})

test.each([
  [['send', 'chat', 'hello'], 2],
  [['status'], 2],
  [['show', 'm'], 2],
  [['conform'], 2],
  [['dev'], 78],
  [['start'], 78],
])('outside a project, %j writes nothing and prints that [127]', async (args, exitCode) => {
  const dir = tempDir()
  const { code, stderr, stdout } = await nanoclaw(dir, args)
  expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' })
  expect(stderr).toContain(dir)
  expect(stderr).toContain('Nothing was written.')
  expect(readdirSync(dir)).toEqual([])
})

test.each([
  [['--workspace', 'here'], {}],
  [[], { NANOCLAW_WORKSPACE: 'here' }],
])('outside a project, a given workspace is used: %j %j', async (flags, env) => {
  const dir = tempDir()
  expect((await nanoclaw(dir, ['send', 'chat', 'hello', ...flags], { env })).code).toBe(0)
  expect(readdirSync(dir)).toEqual(['here'])
})

test('init rejects the functions folder of another project [127]', async () => {
  const dir = await initProject()
  for (const [cwd, args] of [
    ['functions', ['init']],
    ['functions', ['init', 'more']],
    ['.', ['init', 'functions/more']],
  ] as const) {
    const { code, stderr } = await nanoclaw(join(dir, cwd), args)
    expect(code).toBe(2)
    expect(stderr).toContain(`is in the functions folder of ${dir}`)
  }
  expect(readdirSync(join(dir, 'functions'))).toEqual(['chat.ts'])
  expect((await nanoclaw(dir, ['init', 'packages/more'])).code).toBe(0)
})

const OBJECT = `{ workspace: 'elsewhere' }`

test.each([
  ['ts', `const config: object = ${OBJECT}\nexport default config`],
  ['mts', `export default ${OBJECT}`],
  ['cts', `const config: object = ${OBJECT}\nmodule.exports = config`],
  ['cts', `export default ${OBJECT}`],
  ['js', `export default ${OBJECT}`],
  ['js', `module.exports = ${OBJECT}`],
  ['mjs', `export default ${OBJECT}`],
  ['cjs', `const { defineConfig } = require('nanoclaw-functions')\nmodule.exports = defineConfig(${OBJECT})`],
  ['cjs', `module.exports = require('./settings.cjs')`],
  ['json', `{ "workspace": "elsewhere" }`],
])('nanoclaw.config.%s is read: %s [125]', async (ending, text) => {
  const dir = tempDir()
  mkdirSync(join(dir, 'functions'))
  writeFileSync(join(dir, 'settings.cjs'), `module.exports = ${OBJECT}`)
  writeFileSync(join(dir, `nanoclaw.config.${ending}`), text)
  const { stdout, stderr } = await nanoclaw(dir, ['status'])
  expect(stderr).toBe('')
  expect(stdout).toContain(`workspace    ${join(dir, 'elsewhere')}\n`)
})

test.each(['yaml', 'yml', 'toml', 'json5', 'jsonc', 'tsx', 'TS', ''])(
  'nanoclaw.config.%s is not read: it is named, with exit code 78 [126]',
  async (ending) => {
    const dir = tempDir()
    mkdirSync(join(dir, 'functions'))
    const name = ending === '' ? 'nanoclaw.config' : `nanoclaw.config.${ending}`
    writeFileSync(join(dir, name), '')
    for (const command of ending === 'yaml' ? [['start'], ['status'], ['send', 'chat']] : [['status']]) {
      const { code, stderr } = await nanoclaw(dir, command)
      expect(code).toBe(78)
      expect(stderr).toContain(`${name} in ${dir} is not read; expected one that ends in .ts,`)
    }
  },
)

test('two config files are named, with exit code 78, also when one of them has an unsupported ending [126]', async () => {
  const dir = tempDir()
  for (const ending of ['ts', 'cjs', 'yaml']) writeFileSync(join(dir, `nanoclaw.config.${ending}`), '')
  const { code, stderr } = await nanoclaw(dir, ['start'])
  expect(code).toBe(78)
  expect(stderr).toContain('nanoclaw.config.yaml in')
  expect(stderr).toContain('nanoclaw.config.ts and nanoclaw.config.cjs both exist')
})

test('copies, examples and declarations beside the config are ignored', async () => {
  const dir = await initProject()
  for (const ending of ['ts.bak', 'example', 'd.ts', 'ts~'])
    writeFileSync(join(dir, `nanoclaw.config.${ending}`), 'x')
  expect(await nanoclaw(dir, ['status'])).toMatchObject({ code: 0, stderr: '' })
})
