import { expect, test } from 'vitest'
import { renderSettings } from '../../runtime/config/docs.ts'
import { flagKeyOf, flagOf, variableOf } from '../../runtime/config/names.ts'
import { SETTING_NAMES, SETTINGS } from '../../runtime/config/options.ts'
import { nearest } from '../../runtime/protocol/nearest.ts'

test.each(SETTING_NAMES)('the default of %s is a legal value of it', (name) => {
  expect(SETTINGS[name].kind.read(SETTINGS[name].fallback)).toBeDefined()
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
