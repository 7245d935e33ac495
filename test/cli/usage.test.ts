import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { tempDir } from '../support/files.ts'
import { nanoclaw } from './cli.ts'

describe('help', () => {
  test('begins with examples, and names every command', async () => {
    const { code, stdout, stderr } = await nanoclaw(tempDir(), ['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^First steps:\n {2}\$ nanoclaw init/)
    for (const name of ['init', 'dev', 'start', 'send', 'status', 'show'])
      expect(stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'))
  })

  test.each(['init', 'dev', 'start', 'send', 'status', 'show'])(
    'of %s begins with examples',
    async (name) => {
      const { code, stdout, stderr } = await nanoclaw(tempDir(), [name, '-h'])
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(new RegExp(`^Examples:\n {2}\\$ nanoclaw ${name}`))
      expect(stdout).toContain(`Usage: nanoclaw ${name}`)
    },
  )

  test('of start shows each setting with its default and its variable', async () => {
    const { stdout } = await nanoclaw(tempDir(), ['start', '--help'])
    expect(stdout).toMatch(/--timeout <duration> .*default: 30s; NANOCLAW_TIMEOUT\)/)
    expect(stdout).toMatch(/--no-watch .*NANOCLAW_WATCH\)/)
  })

  test('without a command is shown on stderr and counts as wrong usage', async () => {
    const { code, stdout, stderr } = await nanoclaw(tempDir(), [])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^First steps:/)
  })
})

test('the version is that of the package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  expect(await nanoclaw(tempDir(), ['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
})

test.each([
  { typed: ['help'], meant: ['--help'] },
  { typed: ['help', 'send'], meant: ['send', '--help'] },
  { typed: ['help', 'snd'], meant: ['snd', '--help'] },
  { typed: ['version'], meant: ['--version'] },
])('$typed is $meant', async ({ typed, meant }) => {
  const [said, expected] = await Promise.all([nanoclaw(tempDir(), typed), nanoclaw(tempDir(), meant)])
  expect(said).toEqual(expected)
})

test.each([
  { args: ['strat'], says: ["unknown command 'strat'", 'Did you mean start?', 'Commands: init, dev, start'] },
  { args: ['status', '--jsno'], says: ['Did you mean --json?', 'Options: --workspace, --config, --json'] },
  { args: ['start', '--timout', '5s'], says: ['Did you mean --timeout?', '--workspace'] },
  {
    args: ['send'],
    says: ["missing required argument 'kind'", 'Usage: nanoclaw send [options] <kind> [content]'],
  },
  { args: ['send', 'chat', 'one', 'two'], says: ['too many arguments'] },
  { args: ['show'], says: ["missing required argument 'id'"] },
  {
    args: ['start', '--timeout', '5 parsecs', '--journal', 'none'],
    says: [
      '2 settings are wrong',
      '--timeout: found "5 parsecs"; expected',
      "--journal: found \"none\"; expected one of 'delete', 'wal'",
    ],
  },
  {
    args: ['send', 'chat', 'x', '--wait', 'chat'],
    says: ['--wait: found "chat"; expected a duration'],
  },
  { args: ['send', 'chat', 'x', '--after', 'noon'], says: ['--after: found "noon"; expected'] },
  { args: ['send', 'chat', '{"text":'], says: ['CONTENT begins like JSON but is not valid JSON'] },
  { args: ['send', 'chat', 'x', '--file', 'y.json'], says: ['Both CONTENT and --file'] },
  { args: ['send', 'chat', '--file', 'missing.json'], says: ['--file: cannot read missing.json'] },
])('$args ends with 2 and the legal usage', async ({ args, says }) => {
  const { code, stdout, stderr } = await nanoclaw(tempDir(), args)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  for (const text of says) expect(stderr).toContain(text)
})

test('wrong configuration ends with 78 and names every fault, flags included', async () => {
  const dir = tempDir()
  writeFileSync(join(dir, 'nanoclaw.config.json'), '{ "timeuot": 5, "poll": "1ms" }')
  const env = { NANOCLAW_DRAIN: 'soon' }
  const { code, stderr } = await nanoclaw(dir, ['start', '--concurrency', 'many'], { env })
  expect(code).toBe(78)
  expect(stderr).toContain('4 settings are wrong')
  for (const text of [
    'timeuot; did you mean timeout?',
    'poll: found "1ms"',
    'NANOCLAW_DRAIN: ',
    '--concurrency: ',
  ])
    expect(stderr).toContain(text)
})

test('a config file that throws ends with 78 and its own message', async () => {
  const dir = tempDir()
  writeFileSync(join(dir, 'nanoclaw.config.ts'), "throw new Error('no such thing as a default')")
  expect(await nanoclaw(dir, ['start'])).toMatchObject({
    code: 78,
    stderr: expect.stringMatching(/nanoclaw\.config\.ts cannot be read: .*no such thing as a default/),
  })
})
