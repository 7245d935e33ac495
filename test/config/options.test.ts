import { expect, expectTypeOf, test } from 'vitest'
import { renderSettings } from '../../runtime/config/docs.ts'
import { flagKeyOf, flagOf, variableOf } from '../../runtime/config/names.ts'
import {
  type Config,
  configOf,
  SETTING_NAMES,
  SETTINGS,
  type UserConfig,
  type Values,
} from '../../runtime/config/options.ts'
import type { Duration } from '../../runtime/protocol/duration.ts'
import type { RetryPolicy } from '../../runtime/protocol/function.ts'
import type { Retry } from '../../runtime/protocol/handler.ts'
import { nearest } from '../../runtime/protocol/nearest.ts'

test.each(SETTING_NAMES)('the default of %s is a legal value of it', (name) => {
  expect(SETTINGS[name].kind.read(SETTINGS[name].fallback)).toBeDefined()
})

test('what a config file may say follows from the table', () => {
  type Given = Required<UserConfig>
  expectTypeOf<Given['concurrency']>().toEqualTypeOf<number | 'cores'>()
  expectTypeOf<Given['retention']>().toEqualTypeOf<Duration | 'forever'>()
  expectTypeOf<Given['journal']>().toEqualTypeOf<'delete' | 'wal'>()
  expectTypeOf<Given['env']>().toEqualTypeOf<readonly string[]>()
  expectTypeOf<Given['retry']>().toEqualTypeOf<Retry>()
})

test('a setting is called in the config as in the table, with its unit at the end', () => {
  expectTypeOf<Config['retry']>().toEqualTypeOf<RetryPolicy>()
  expectTypeOf<Config['logLevel']>().toEqualTypeOf<'debug' | 'info' | 'warn' | 'error' | 'silent'>()
  const values = Object.fromEntries(SETTING_NAMES.map((name) => [name, name])) as Record<
    keyof Values,
    unknown
  >
  const { root, paths, retry, ...fields } = configOf('r', values as Values, 'p' as never)
  expect([root, paths, retry]).toEqual([
    'r',
    'p',
    {
      attempts: 'retry.attempts',
      minDelayMs: 'retry.minDelay',
      maxDelayMs: 'retry.maxDelay',
      factor: 'retry.factor',
    },
  ])
  expect(fields).toMatchObject({
    timeoutMs: 'timeout',
    maxMemoryMb: 'maxMemory',
    maxReplyBytes: 'maxReplyBytes',
  })
  expect(Object.values(fields)).toEqual(SETTING_NAMES.filter((name) => !name.startsWith('retry.')))
})

test('every setting has a flag and a variable of its own', () => {
  expect(new Set(SETTING_NAMES.map(flagOf)).size).toBe(SETTING_NAMES.length)
  expect(new Set(SETTING_NAMES.map(variableOf)).size).toBe(SETTING_NAMES.length)
})

test.each([
  ['retry.minDelay', '--retry-min-delay', 'NANOCLAW_RETRY_MIN_DELAY', 'retryMinDelay'],
  [
    'maxMessagesPerWorker',
    '--max-messages-per-worker',
    'NANOCLAW_MAX_MESSAGES_PER_WORKER',
    'maxMessagesPerWorker',
  ],
  ['workspace', '--workspace', 'NANOCLAW_WORKSPACE', 'workspace'],
])('%s is called %s and %s', (name, flag, variable, key) => {
  expect([flagOf(name), variableOf(name), flagKeyOf(name)]).toEqual([flag, variable, key])
})

test.each([
  ['timout', 'timeout'],
  ['Timeout', 'timeout'],
  ['tiemout', 'timeout'],
  ['retries', undefined],
  ['worskpace', 'workspace'],
  ['x', undefined],
  ['', undefined],
])('by %j people mean %s', (word, meant) => {
  expect(nearest(word, SETTING_NAMES)).toBe(meant)
})

test('the table for the docs has every setting, and no cell breaks it', () => {
  const lines = renderSettings().split('\n')
  for (const name of SETTING_NAMES) expect(lines).toContainEqual(expect.stringContaining(`| \`${name}\` |`))
  const cells = lines
    .slice(0, SETTING_NAMES.length + 2)
    .map((line) => line.replaceAll('\\|', '').split('|').length)
  expect(new Set(cells)).toEqual(new Set([9]))
})
