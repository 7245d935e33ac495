import { describe, expect, test } from 'vitest'
import { parseDefinition } from '../../runtime/catalog/definition.ts'
import type { FunctionSpec } from '../../runtime/protocol/function.ts'

const SOURCE = { name: 'greet', file: 'functions/greet.ts', path: '/project/functions/greet.ts' }
const DEFAULTS = {
  timeoutMs: 30_000,
  retry: { attempts: 5, minDelayMs: 1000, maxDelayMs: 300_000, factor: 2 },
  concurrency: 4,
}
const BARE = { handler: '[function]' }

const parse = (raw: unknown) => parseDefinition(raw, SOURCE, '/cache/greet-1.mjs', DEFAULTS)

function faultsOf(raw: unknown): string[] {
  try {
    parse(raw)
  } catch (error) {
    expect(error).toMatchObject({ name: 'NanoclawError', code: 'bad_function' })
    return (error as Error).message.split('\n')
  }
  return []
}

test('a bare function takes messages of its own name, with every default', () => {
  expect(parse(BARE)).toEqual({
    name: 'greet',
    file: 'functions/greet.ts',
    rule: { kind: ['greet'], content: [] },
    timeoutMs: 30_000,
    retry: DEFAULTS.retry,
    concurrency: 4,
    key: 'address',
    version: 1,
    holdsWhileWaiting: false,
    rawContent: false,
    bundle: '/cache/greet-1.mjs',
  } satisfies FunctionSpec)
})

test.each<[string, object, Partial<FunctionSpec>]>([
  ['an empty `on` takes every message', { on: {} }, { rule: { content: [] } }],
  [
    '`on` says all there is',
    { on: { threadId: 't', platformId: ['p', 'q'], trigger: false } },
    { rule: { threadId: ['t'], platformId: ['p', 'q'], trigger: [false], content: [] } },
  ],
  [
    'content is compared by path',
    { on: { content: { 'repository.name': 'demo', draft: false, n: [1, null, ''] } } },
    {
      rule: {
        content: [
          { path: ['repository', 'name'], values: ['demo'] },
          { path: ['draft'], values: [false] },
          { path: ['n'], values: [1, null, ''] },
        ],
      },
    },
  ],
  ['text in brackets is text', { on: { kind: '[bot]' } }, { rule: { kind: ['[bot]'], content: [] } }],
  ['a timeout in words', { timeout: '1.5s' }, { timeoutMs: 1500 }],
  ['a timeout as a number', { timeout: 20 }, { timeoutMs: 20 }],
  [
    'a part of retry',
    { retry: { attempts: 1, factor: 1.5 } },
    { retry: { ...DEFAULTS.retry, attempts: 1, factor: 1.5 } },
  ],
  [
    'a short longest delay shortens the first one',
    { retry: { maxDelay: '100ms' } },
    { retry: { ...DEFAULTS.retry, minDelayMs: 100, maxDelayMs: 100 } },
  ],
  [
    'a long first delay lengthens the longest one',
    { retry: { minDelay: '1h' } },
    { retry: { ...DEFAULTS.retry, minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
  ],
  [
    'no wait at all',
    { retry: { minDelay: 0, maxDelay: 0 } },
    { retry: { ...DEFAULTS.retry, minDelayMs: 0, maxDelayMs: 0 } },
  ],
  ['the limits', { retry: { attempts: 100, factor: 10 }, concurrency: 1000 }, { concurrency: 1000 }],
  ['no order', { key: null }, { key: 'none' }],
  ['a column as key', { key: 'threadId' }, { key: [['threadId']] }],
  [
    'several parts as key',
    { key: ['kind', 'content.user.id'] },
    { key: [['kind'], ['content', 'user', 'id']] },
  ],
  ['the address spelled out', { key: ['channelType', 'platformId', 'threadId'] }, { key: 'address' }],
  ['raw content', { rawContent: true }, { rawContent: true }],
])('legal: %s', (_what, raw, expected) => {
  expect(parse({ ...BARE, ...raw })).toMatchObject(expected)
  expect(parse({ ...BARE, ...raw }).rule).toEqual(expected.rule ?? { kind: ['greet'], content: [] })
})

const DURATION = "a number of milliseconds, or text such as '200ms', '5s', '2m', '1h', '7d'"
const TEXTS = 'text, or a list of texts'
const SCALARS = 'text, a number, true, false, null, or a list of these'
const KEYS =
  "'kind', 'channelType', 'platformId', 'threadId', a path such as 'content.user.id', a list of these, or null"

test.each<[object, string]>([
  [{ timeout: 'soon' }, `timeout is "soon"; expected ${DURATION}`],
  [{ timeout: -1 }, `timeout is -1; expected ${DURATION}`],
  [{ timeout: '0s' }, `timeout is "0s"; expected more than 0: ${DURATION}`],
  [{ timeout: null }, `timeout is null; expected ${DURATION}`],
  [{ concurrency: 0 }, 'concurrency is 0; expected a whole number from 1 to 1000'],
  [{ concurrency: 1001 }, 'concurrency is 1001; expected a whole number from 1 to 1000'],
  [{ concurrency: '4' }, 'concurrency is "4"; expected a whole number from 1 to 1000'],
  [
    { retry: 3 },
    'retry is 3; expected an object of attempts, minDelay, maxDelay, factor, such as { attempts: 3 }',
  ],
  [{ retry: { attempts: 1.5 } }, 'retry.attempts is 1.5; expected a whole number from 1 to 100'],
  [{ retry: { attempts: 101 } }, 'retry.attempts is 101; expected a whole number from 1 to 100'],
  [{ retry: { factor: 0.5 } }, 'retry.factor is 0.5; expected a number from 1 to 10'],
  [{ retry: { minDelay: '1 hour' } }, `retry.minDelay is "1 hour"; expected ${DURATION}`],
  [
    { retry: { minDelay: '1m', maxDelay: '1s' } },
    'retry.minDelay is "1m"; expected at most retry.maxDelay, which is 1 s',
  ],
  [{ rawContent: 'yes' }, 'rawContent is "yes"; expected true or false'],
  [
    { on: 'chat' },
    `on is "chat"; expected an object such as { kind: 'chat', content: { 'action': 'opened' } }; {} takes every message`,
  ],
  [{ on: { kind: '[RegExp]' } }, `on.kind is [RegExp]; expected ${TEXTS}`],
  [{ on: { kind: [] } }, `on.kind is []; expected ${TEXTS}`],
  [{ on: { kind: ['a', 1] } }, `on.kind is ["a",1]; expected ${TEXTS}`],
  [{ on: { threadId: '' } }, `on.threadId is ""; expected ${TEXTS}`],
  [{ on: { channelType: null } }, `on.channelType is null; expected ${TEXTS}`],
  [
    { on: { content: ['a'] } },
    `on.content is ["a"]; expected an object of paths and values, such as { 'repository.name': 'demo' }`,
  ],
  [{ on: { content: { action: '[function]' } } }, `on.content['action'] is [function]; expected ${SCALARS}`],
  [{ on: { content: { action: { is: 1 } } } }, `on.content['action'] is {"is":1}; expected ${SCALARS}`],
  [
    { on: { content: { 'a..b': 1 } } },
    `a path of on.content is "a..b"; expected names joined by dots, such as 'repository.name'`,
  ],
  [{ key: 'userId' }, `key is "userId"; expected ${KEYS}`],
  [{ key: 'content' }, `key is "content"; expected ${KEYS}`],
  [{ key: 'content.' }, `key is "content."; expected ${KEYS}`],
  [{ key: 'threadId.x' }, `key is "threadId.x"; expected ${KEYS}`],
  [{ key: [] }, `key is []; expected ${KEYS}`],
  [{ key: ['threadId', null] }, `key is ["threadId",null]; expected ${KEYS}`],
  [{ key: '[function]' }, `key is [function]; expected ${KEYS}`],
  [
    { timeuot: 1 },
    'timeuot is unknown. Did you mean timeout? Legal: on, timeout, retry, concurrency, key, version, whileWaiting, rawContent, handler',
  ],
  [
    { schedule: 1 },
    'schedule is unknown. Legal: on, timeout, retry, concurrency, key, version, whileWaiting, rawContent, handler',
  ],
  [
    { raw_content: true },
    'raw_content is unknown. Did you mean rawContent? Legal: on, timeout, retry, concurrency, key, version, whileWaiting, rawContent, handler',
  ],
  [
    { on: { channel_type: 'x' } },
    'on.channel_type is unknown. Did you mean on.channelType? Legal: kind, channelType, platformId, threadId, trigger, content',
  ],
  [
    { retry: { attempt: 1 } },
    'retry.attempt is unknown. Did you mean retry.attempts? Legal: attempts, minDelay, maxDelay, factor',
  ],
])('rejected: %j', (raw, fault) => {
  expect(faultsOf({ ...BARE, ...raw })).toEqual([`functions/greet.ts: ${fault}`])
})

describe('the error of a file without a handler shows the legal exports', () => {
  test.each([
    [undefined, 'functions/greet.ts has no default export'],
    [null, 'functions/greet.ts has no default export'],
    ['hello', 'functions/greet.ts exports "hello" by default'],
    ['[symbol]', 'functions/greet.ts exports [symbol] by default'],
    [[1], 'functions/greet.ts exports [1] by default'],
    [{}, 'functions/greet.ts: handler is missing'],
    [{ handler: { run: '[function]' } }, 'functions/greet.ts: handler is {"run":"[function]"}'],
  ])('%j', (raw, found) => {
    const [line] = faultsOf(raw)
    expect(line).toContain(found)
    expect(line).toContain('export default defineFunction({ handler(message, ctx) { … } })')
    expect(line).toContain('export default (message, ctx) => { … }')
  })
})

test('all faults of a file are reported at once, one per line', () => {
  const faults = faultsOf({
    handlr: '[function]',
    on: { kind: 1, theadId: 'x' },
    timeout: 'x',
    retry: { attempts: 0, factor: 0 },
    key: 5,
  })
  expect(faults.map((line) => line.split(': ')[1]?.split(' ')[0])).toEqual([
    'handlr',
    'handler',
    'on.theadId',
    'on.kind',
    'timeout',
    'retry.attempts',
    'retry.factor',
    'key',
  ])
})

test('the found value is shortened in the error', () => {
  const [line] = faultsOf({ ...BARE, timeout: 'x'.repeat(10_000) })
  expect(line?.length).toBeLessThan(250)
})
