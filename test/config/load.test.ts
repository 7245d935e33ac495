import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  ConfigError,
  describeConfig,
  type LoadInput,
  loadConfig,
  loadPaths,
} from '../../runtime/config/load.ts'
import type { UserConfig } from '../../runtime/config/options.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'nanoclaw-config-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

/** JSON is a config file too, and needs no process to read it. */
function writeConfig(config: UserConfig | unknown, path = 'nanoclaw.config.json'): void {
  writeFileSync(join(cwd, path), JSON.stringify(config))
}

function input(given: Partial<LoadInput> = {}): LoadInput {
  const evaluate = () => Promise.reject(new Error('no script was expected'))
  return { cwd, env: {}, flags: {}, evaluate, ...given }
}

async function faultsOf(given: Partial<LoadInput>): Promise<string[]> {
  const error = await loadConfig(input(given)).then(
    () => expect.unreachable('the config was accepted'),
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(ConfigError)
  expect(error).toMatchObject({ code: 'bad_config', name: 'NanoclawError' })
  const { faults, message } = error as ConfigError
  for (const { text } of faults) expect(message).toContain(text)
  return faults.map(({ text }) => text)
}

test('without any setting, everything has the documented default', async () => {
  expect(await loadConfig(input())).toEqual({
    root: cwd,
    workspace: join(cwd, '.nanoclaw'),
    functions: join(cwd, 'functions'),
    cache: join(cwd, '.nanoclaw/build'),
    paths: {
      inbound: join(cwd, '.nanoclaw/inbound.db'),
      outbound: join(cwd, '.nanoclaw/outbound.db'),
      heartbeat: join(cwd, '.nanoclaw/.heartbeat'),
      inbox: join(cwd, '.nanoclaw/inbox'),
      outbox: join(cwd, '.nanoclaw/outbox'),
      lock: join(cwd, '.nanoclaw/.runtime.lock'),
    },
    concurrency: 16,
    timeoutMs: 30_000,
    retry: { attempts: 5, minDelayMs: 1000, maxDelayMs: 300_000, factor: 2 },
    crashLimit: 5,
    pollMs: 250,
    watch: true,
    heartbeatMs: 2000,
    abortGraceMs: 2000,
    killGraceMs: 2000,
    drainMs: 7000,
    loadTimeoutMs: 30_000,
    warmMax: 16,
    prewarm: true,
    maxMemoryMb: 512,
    maxReplyBytes: 1_048_576,
    maxContentBytes: 67_108_864,
    maxLogBytes: 65_536,
    maxMessagesPerWorker: 100_000,
    retentionMs: 30 * 86_400_000,
    env: [],
    nodeArgs: [],
    external: [],
    journal: 'delete',
    logLevel: 'info',
  })
})

describe('flags beat variables, variables beat the file, the file beats the default', () => {
  const flags = { timeout: '1s' }
  const env = { NANOCLAW_TIMEOUT: '2s' }
  const file = { timeout: '3s' } as const
  test.each([
    { given: 'flag, variable and file', flags, env, file, timeoutMs: 1000 },
    { given: 'variable and file', flags: {}, env, file, timeoutMs: 2000 },
    { given: 'flag and file', flags, env: {}, file, timeoutMs: 1000 },
    { given: 'file', flags: {}, env: {}, file, timeoutMs: 3000 },
    { given: 'an empty variable and file', flags: {}, env: { NANOCLAW_TIMEOUT: '' }, file, timeoutMs: 3000 },
    { given: 'nothing', flags: {}, env: {}, file: {}, timeoutMs: 30_000 },
  ])('$given', async ({ flags, env, file, timeoutMs }) => {
    writeConfig(file)
    expect((await loadConfig(input({ flags, env }))).timeoutMs).toBe(timeoutMs)
  })

  test('field by field, inside retry too', async () => {
    writeConfig({ retry: { attempts: 2, minDelay: '2s', factor: 3 }, poll: '50ms' })
    const config = await loadConfig(
      input({ flags: { retryAttempts: '7' }, env: { NANOCLAW_RETRY_MIN_DELAY: '4s' } }),
    )
    expect(config.retry).toEqual({ attempts: 7, minDelayMs: 4000, maxDelayMs: 300_000, factor: 3 })
    expect(config.pollMs).toBe(50)
  })
})

describe('what a value may look like', () => {
  test.each([
    ['NANOCLAW_TIMEOUT', '1500', 'timeoutMs', 1500],
    ['NANOCLAW_TIMEOUT', '1.5s', 'timeoutMs', 1500],
    ['NANOCLAW_DRAIN', '0', 'drainMs', 0],
    ['NANOCLAW_POLL', '1m', 'pollMs', 60_000],
    ['NANOCLAW_CONCURRENCY', '4', 'concurrency', 4],
    ['NANOCLAW_CONCURRENCY', 'cores', 'concurrency', availableParallelism()],
    ['NANOCLAW_MAX_MEMORY', '256', 'maxMemoryMb', 256],
    ['NANOCLAW_MAX_MEMORY', '1gb', 'maxMemoryMb', 1024],
    ['NANOCLAW_MAX_REPLY_BYTES', '2mb', 'maxReplyBytes', 2_097_152],
    ['NANOCLAW_MAX_REPLY_BYTES', '100', 'maxReplyBytes', 100],
    ['NANOCLAW_MAX_LOG_BYTES', '0', 'maxLogBytes', 0],
    ['NANOCLAW_MAX_CONTENT_BYTES', '1.5 MiB', 'maxContentBytes', 1_572_864],
    ['NANOCLAW_WATCH', 'false', 'watch', false],
    ['NANOCLAW_WATCH', '1', 'watch', true],
    ['NANOCLAW_ENV', 'API_KEY, REGION', 'env', ['API_KEY', 'REGION']],
    [
      'NANOCLAW_NODE_ARGS',
      '--enable-source-maps --no-warnings',
      'nodeArgs',
      ['--enable-source-maps', '--no-warnings'],
    ],
    ['NANOCLAW_EXTERNAL', '@scope/a,b', 'external', ['@scope/a', 'b']],
    ['NANOCLAW_JOURNAL', 'wal', 'journal', 'wal'],
    ['NANOCLAW_LOG_LEVEL', 'silent', 'logLevel', 'silent'],
  ])('%s=%s', async (variable, text, field, value) => {
    expect(await loadConfig(input({ env: { [variable]: text } }))).toHaveProperty(field, value)
  })

  test.each([
    ['NANOCLAW_TIMEOUT', '5 parsecs', "expected a number of milliseconds, or text such as '200ms'"],
    ['NANOCLAW_TIMEOUT', '0', 'from 1 ms to 1 d'],
    ['NANOCLAW_POLL', '9', 'from 10 ms to 1 min'],
    ['NANOCLAW_POLL', '61s', 'from 10 ms to 1 min'],
    ['NANOCLAW_CONCURRENCY', '0', "expected a whole number from 1 to 1000, or 'cores'"],
    ['NANOCLAW_CONCURRENCY', '1.5', 'whole number'],
    ['NANOCLAW_CRASH_LIMIT', '-1', 'from 1 to 1000'],
    ['NANOCLAW_RETRY_FACTOR', '0.5', 'a number from 1 to 10'],
    ['NANOCLAW_MAX_MEMORY', 'lots', "or text such as '512mb'"],
    ['NANOCLAW_MAX_REPLY_BYTES', '1tb', "or text such as '64kb'"],
    ['NANOCLAW_WATCH', 'yes', 'expected true or false'],
    ['NANOCLAW_ENV', 'A B', 'names of environment variables'],
    ['NANOCLAW_JOURNAL', 'WAL', "one of 'delete', 'wal'"],
    ['NANOCLAW_WORKSPACE', ' ', 'not empty'],
  ])('%s=%s is refused with the legal values', async (variable, text, legal) => {
    const [fault, ...more] = await faultsOf({ env: { [variable]: text } })
    expect(fault).toContain(`${variable}: found ${JSON.stringify(text)}; expected`)
    expect(fault).toContain(legal)
    expect(more).toEqual([])
  })

  test.each([
    ['watch', 'no'],
    ['concurrency', Number.NaN],
    ['timeout', -1],
    ['env', 'A B'],
    ['env', [1]],
    ['functions', 7],
    ['logLevel', null],
  ])('in the file, %s: %j is refused', async (field, value) => {
    writeConfig({ [field]: value })
    expect(await faultsOf({})).toEqual([expect.stringContaining(`nanoclaw.config.json: ${field}: found`)])
  })
})

test('all faults are reported together, each with the place where it stands', async () => {
  writeConfig({ timeuot: '5s', poll: '1ms', retry: { attempts: 0, delay: 5 }, warmMax: 3.5, zzz: 1 })
  const faults = await faultsOf({
    flags: { concurrency: 'many', journal: 'off' },
    env: { NANOCLAW_DRAIN: 'soon', NANOCLAW_TIMEOUT: '5s' },
  })
  const expected = [
    '--concurrency: found "many"; expected a whole number',
    '--journal: found "off"; expected one of',
    'NANOCLAW_DRAIN: found "soon"; expected',
    'nanoclaw.config.json: unknown field timeuot; did you mean timeout?',
    'nanoclaw.config.json: unknown field retry.delay; did you mean retry.minDelay?',
    'nanoclaw.config.json: unknown field zzz; legal fields: workspace, functions',
    'nanoclaw.config.json: poll: found "1ms"; expected',
    'nanoclaw.config.json: retry.attempts: found 0; expected',
    'nanoclaw.config.json: warmMax: found 3.5; expected',
  ]
  expect(faults).toHaveLength(expected.length)
  for (const text of expected) expect(faults).toContainEqual(expect.stringContaining(text))
})

test('a wrong value is told even where a stronger one hides it', async () => {
  const faults = await faultsOf({ flags: { timeout: '1s' }, env: { NANOCLAW_TIMEOUT: 'never' } })
  expect(faults).toEqual([expect.stringContaining('NANOCLAW_TIMEOUT: found "never"')])
})

test('delays that contradict each other are told with both origins', async () => {
  writeConfig({ retry: { minDelay: '10m' } })
  expect(await faultsOf({})).toEqual([
    'retry.minDelay is 10 min (nanoclaw.config.json: retry.minDelay), longer than retry.maxDelay, 5 min (the default)',
  ])
})

describe('paths', () => {
  test('in flags and variables are relative to the working directory, in the file to its folder', async () => {
    mkdirSync(join(cwd, 'conf'))
    writeConfig({ workspace: 'ws', functions: '../fns', cache: '/tmp/absolute' }, 'conf/other.json')
    const config = await loadConfig(
      input({ configFile: 'conf/other.json', env: { NANOCLAW_WORKSPACE: 'here' } }),
    )
    expect(config).toMatchObject({
      root: join(cwd, 'conf'),
      workspace: join(cwd, 'here'),
      functions: join(cwd, 'fns'),
      cache: '/tmp/absolute',
    })
    const fromFile = await loadConfig(input({ configFile: 'conf/other.json' }))
    expect(fromFile.workspace).toBe(join(cwd, 'conf/ws'))
    expect(fromFile.paths.inbound).toBe(join(cwd, 'conf/ws/inbound.db'))
  })

  test('W44: the three variables of an older host override each path; the lock stays beside outbound.db', async () => {
    const config = await loadConfig(
      input({
        env: {
          SESSION_INBOUND_DB_PATH: '/workspace/inbound.db',
          SESSION_OUTBOUND_DB_PATH: 'out/outbound.db',
          SESSION_HEARTBEAT_PATH: '/run/beat',
        },
      }),
    )
    expect(config.paths).toMatchObject({
      inbound: '/workspace/inbound.db',
      outbound: join(cwd, 'out/outbound.db'),
      heartbeat: '/run/beat',
      inbox: join(cwd, '.nanoclaw/inbox'),
      lock: join(cwd, 'out/.runtime.lock'),
    })
  })

  test('one file in two roles is refused', async () => {
    const env = { SESSION_INBOUND_DB_PATH: 'a.db', SESSION_OUTBOUND_DB_PATH: './a.db' }
    expect(await faultsOf({ env })).toEqual([expect.stringContaining('expected three different files')])
  })
})

describe('where the workspace is', () => {
  test.each([
    ['a flag', { flags: { workspace: 'there' } }],
    ['a variable', { env: { NANOCLAW_WORKSPACE: 'there' } }],
  ])('is known from %s alone, even while the config file is broken', async (_, given) => {
    writeFileSync(join(cwd, 'nanoclaw.config.json'), '{')
    const { workspace, paths } = await loadPaths(input(given))
    expect(workspace).toBe(join(cwd, 'there'))
    expect(paths.inbound).toBe(join(cwd, 'there/inbound.db'))
  })

  test('stands in the config file otherwise', async () => {
    writeConfig({ workspace: 'ws' })
    expect((await loadPaths(input())).workspace).toBe(join(cwd, 'ws'))
  })

  test('is refused like any other setting', async () => {
    await expect(loadPaths(input({ flags: { workspace: '' } }))).rejects.toThrow(
      '--workspace: found ""; expected',
    )
  })
})

describe('the config file', () => {
  test.each(['ts', 'mts', 'js', 'mjs'])('nanoclaw.config.%s is found and evaluated', async (ending) => {
    writeFileSync(join(cwd, `nanoclaw.config.${ending}`), 'never read by this process')
    const seen: unknown[] = []
    const evaluate: LoadInput['evaluate'] = async (...args) => {
      seen.push(...args)
      return { timeout: 5, workspace: undefined }
    }
    const config = await loadConfig(input({ evaluate, flags: { cache: 'kept' } }))
    expect(config.timeoutMs).toBe(5)
    const place = { root: cwd, cache: join(cwd, 'kept') }
    expect(seen).toEqual([join(cwd, `nanoclaw.config.${ending}`), place])
  })

  test('NANOCLAW_CONFIG names it, --config beats that', async () => {
    writeConfig({ timeout: 1 }, 'nanoclaw.config.json')
    writeConfig({ timeout: 2 }, 'two.json')
    writeConfig({ timeout: 3 }, 'three.json')
    const env = { NANOCLAW_CONFIG: 'two.json' }
    expect((await loadConfig(input({ env }))).timeoutMs).toBe(2)
    expect((await loadConfig(input({ env, configFile: 'three.json' }))).timeoutMs).toBe(3)
  })

  test.each([
    ['--config', { configFile: 'missing.json' }],
    ['NANOCLAW_CONFIG', { env: { NANOCLAW_CONFIG: 'missing.json' } }],
  ])('that %s names but is missing is a fault, beside the others', async (origin, given) => {
    const faults = await faultsOf({ ...given, flags: { poll: 'x' } })
    expect(faults).toEqual([
      `${origin}: found "missing.json"; expected an existing file, one that ends in .ts, .mts, .cts, .js, .mjs, .cjs, .json`,
      expect.stringContaining('--poll'),
    ])
  })

  test('two of them are one too many', async () => {
    writeConfig({})
    writeFileSync(join(cwd, 'nanoclaw.config.mjs'), '')
    expect(await faultsOf({ evaluate: async () => ({}) })).toEqual([
      expect.stringContaining('nanoclaw.config.mjs and nanoclaw.config.json both exist'),
    ])
  })

  test('that throws is one fault among the others, with its own words', async () => {
    writeFileSync(join(cwd, 'nanoclaw.config.ts'), '')
    const evaluate = () => Promise.reject(new TypeError('boom at line 3'))
    expect(await faultsOf({ evaluate, flags: { poll: 'x' } })).toEqual([
      `${join(cwd, 'nanoclaw.config.ts')} cannot be read: TypeError: boom at line 3`,
      expect.stringContaining('--poll'),
    ])
  })

  test.each([[undefined], [null], ['text'], [[1]], [7]])(
    'whose default export is %j is refused',
    async (value) => {
      writeFileSync(join(cwd, 'nanoclaw.config.ts'), '')
      expect(await faultsOf({ evaluate: async () => value })).toEqual([
        expect.stringContaining(
          'as its default export; expected an object; write: export default defineConfig(',
        ),
      ])
    },
  )

  test('that is broken JSON is refused by name', async () => {
    writeFileSync(join(cwd, 'nanoclaw.config.json'), '{')
    expect(await faultsOf({})).toEqual([
      expect.stringMatching(/nanoclaw\.config\.json cannot be read: SyntaxError/),
    ])
  })

  test('whose retry is no object is refused with its fields', async () => {
    writeConfig({ retry: 5 })
    expect(await faultsOf({})).toEqual([
      'nanoclaw.config.json: retry: found 5; expected an object with any of attempts, minDelay, maxDelay, factor',
    ])
  })
})

test('describeConfig says for each value who said it', async () => {
  writeConfig({ poll: '50ms', retry: { factor: 3 } })
  const env = { NANOCLAW_DRAIN: '1s', SESSION_HEARTBEAT_PATH: '/run/beat' }
  const reports = await describeConfig(input({ flags: { timeout: '1s' }, env }))
  const of = (name: string) => reports.find((report) => report.name === name)
  expect(of('timeout')).toEqual({ name: 'timeout', value: 1000, source: 'flag', origin: '--timeout' })
  expect(of('drain')).toEqual({ name: 'drain', value: 1000, source: 'variable', origin: 'NANOCLAW_DRAIN' })
  expect(of('poll')).toMatchObject({ value: 50, source: 'file', origin: 'nanoclaw.config.json: poll' })
  expect(of('retry.factor')).toMatchObject({ value: 3, origin: 'nanoclaw.config.json: retry.factor' })
  expect(of('journal')).toEqual({ name: 'journal', value: 'delete', source: 'default', origin: null })
  expect(of('paths.heartbeat')).toMatchObject({ value: '/run/beat', origin: 'SESSION_HEARTBEAT_PATH' })
  expect(of('paths.inbound')).toMatchObject({ source: 'default', origin: null })
})
