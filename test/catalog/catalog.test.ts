import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { Catalog } from '../../runtime/catalog/catalog.ts'
import type { FunctionSpec, KeyRule, Routable, Rule } from '../../runtime/protocol/function.ts'

type RuleText = Omit<Partial<Rule>, 'content'> & {
  readonly content?: Readonly<Record<string, readonly (string | number)[]>>
}

function spec(
  name: string,
  { content = {}, ...columns }: RuleText = { kind: [name] },
  key: KeyRule = 'address',
): FunctionSpec {
  const conditions = Object.entries(content).map(([path, values]) => ({ path: path.split('.'), values }))
  return {
    name,
    file: `functions/${name}.ts`,
    rule: { ...columns, content: conditions },
    timeoutMs: 1000,
    retry: { attempts: 1, minDelayMs: 0, maxDelayMs: 0, factor: 1 },
    concurrency: 1,
    key,
    version: 1,
    holdsWhileWaiting: false,
    rawContent: false,
    bundle: `/cache/${name}.mjs`,
  }
}

const message = (fields: Partial<Routable> = {}): Routable => ({
  kind: 'chat',
  channelType: null,
  platformId: null,
  threadId: null,
  trigger: true,
  content: null,
  ...fields,
})

/** The specification's own words, compared as text: content conditions, thread, platform, channel, kind. */
const rankText = ({ rule: { threadId, platformId, channelType, kind, content } }: FunctionSpec): string =>
  [content.length, ...[threadId, platformId, channelType, kind].map((it) => (it ? 1 : 0))].join('')

/** undefined: rejected because of a clash. */
function catalogOf(specs: readonly FunctionSpec[]): Catalog | undefined {
  try {
    return new Catalog(specs)
  } catch (error) {
    if (error instanceof Error && error.message.includes('could both take')) return undefined
    throw error
  }
}

const HELD = spec('held', { kind: ['chat'] })

describe('the more specific rule wins', () => {
  const catalog = new Catalog([
    spec('all', {}),
    spec('chat'),
    spec('slack', { channelType: ['slack', 'teams'] }),
    spec('slackChat', { channelType: ['slack'], kind: ['chat'] }),
    spec('room', { platformId: ['C1'] }),
    spec('thread', { threadId: ['T1'] }),
    spec('opened', { content: { action: ['opened', 'reopened'] } }),
    spec('demoOpened', { content: { action: ['opened'], 'repository.name': ['demo'] } }),
    spec('numbered', { kind: ['issue', 'pull'], content: { 'list.0': [7] } }),
  ])

  test.each<[string | undefined, Partial<Routable>]>([
    ['all', { kind: 'other' }],
    ['chat', {}],
    ['slack', { kind: 'other', channelType: 'slack' }],
    ['slack', { kind: 'chat', channelType: 'teams' }],
    ['slackChat', { channelType: 'slack' }],
    ['room', { channelType: 'slack', platformId: 'C1' }],
    ['thread', { channelType: 'slack', platformId: 'C1', threadId: 'T1' }],
    ['opened', { threadId: 'T1', content: '{"action":"reopened"}' }],
    ['opened', { content: '{"action":"opened","repository":{"name":"other"}}' }],
    ['demoOpened', { content: '{"action":"opened","repository":{"name":"demo"}}' }],
    ['numbered', { kind: 'pull', content: '{"list":[7]}' }],
    ['all', { kind: 'pull', content: '{"list":["7"]}' }],
    ['chat', { content: '{"action":"closed"}' }],
    ['chat', { content: 'no json: opened' }],
    ['chat', { content: '"opened"' }],
    ['chat', { content: '{"action":["opened"]}' }],
  ])('%s takes %j', (name, fields) => {
    expect(catalog.route(message(fields))?.name).toBe(name)
  })

  test('whatever the order of the files', () => {
    const specs = [spec('all', {}), spec('chat'), spec('room', { platformId: ['C1'] })]
    for (const ordered of [specs, specs.toReversed()]) {
      expect(new Catalog(ordered).route(message({ platformId: 'C1' }))?.name).toBe('room')
    }
  })

  test('and among any rules that may stand together, the one that takes a message has the highest rank', () => {
    const some = fc.option(fc.subarray(['a', 'b', 'c'], { minLength: 1 }), { nil: undefined })
    const rules = fc.record({ kind: some, channelType: some, platformId: some, threadId: some, x: some })
    const value = fc.constantFrom('a', 'b', 'c', 'd')
    const messages = fc.record({
      kind: value,
      channelType: value,
      platformId: value,
      threadId: value,
      x: value,
    })
    fc.assert(
      fc.property(fc.array(rules, { maxLength: 6 }), messages, (drawn, { x, ...fields }) => {
        const specs = drawn.map(({ x, ...columns }, n) =>
          spec(`f${n}`, { ...columns, ...(x && { content: { x } }) }),
        )
        const sent = message({ ...fields, content: JSON.stringify({ x }) })
        const catalog = catalogOf(specs)
        fc.pre(catalog !== undefined)
        const takers = specs.filter((_, n) =>
          Object.entries({ ...fields, x }).every(
            ([name, is]) => drawn[n]?.[name as 'x']?.includes(is) ?? true,
          ),
        )
        const best = takers.map(rankText).sort().at(-1)
        const winners = takers.filter((taker) => rankText(taker) === best)
        expect(winners.length).toBeLessThanOrEqual(1)
        expect(catalog.route(sent)).toBe(winners[0])
      }),
      { numRuns: 1000 },
    )
  })
})

describe('two equally specific rules', () => {
  test.each<[string, RuleText, RuleText, string]>([
    ['one kind', { kind: ['chat', 'x'] }, { kind: ['chat'] }, 'with kind "chat"'],
    ['every message', {}, {}, 'could both take a message, and'],
    [
      'one channel',
      { kind: ['a'], channelType: ['s', 't'] },
      { kind: ['a'], channelType: ['t'] },
      'with channelType "t", kind "a"',
    ],
    [
      'one value',
      { content: { action: ['a', 'b'] } },
      { content: { action: ['b', 'c'] } },
      'with content.action "b"',
    ],
    ['different paths', { content: { a: [1] } }, { content: { b: [1] } }, 'could both take a message, and'],
  ])(
    'that can take the same message are rejected, with both files and the remedy: %s',
    (_what, a, b, why) => {
      const make = () => new Catalog([spec('one', a), spec('two', b)])
      expect(make).toThrow(expect.objectContaining({ code: 'bad_function' }))
      expect(make).toThrow('functions/one.ts and functions/two.ts')
      expect(make).toThrow(why)
      expect(make).toThrow('Give one of them one more condition in `on`')
    },
  )

  test.each<[string, RuleText, RuleText]>([
    ['other kinds', { kind: ['a'] }, { kind: ['b'] }],
    ['other values of one path', { content: { a: [1], b: [1] } }, { content: { a: [2], c: [1] } }],
    ['other threads', { kind: ['a'], threadId: ['1'] }, { kind: ['a'], threadId: ['2'] }],
    ['another rank', { kind: ['a'] }, { channelType: ['b'] }],
  ])('that cannot take the same message are accepted: %s', (_what, a, b) => {
    expect(new Catalog([spec('one', a), spec('two', b)]).names).toEqual(['one', 'two'])
  })

  test('are all reported, up to a limit', () => {
    const make = (count: number) => () =>
      new Catalog(Array.from({ length: count }, (_, n) => spec(`f${n}`, {})))
    expect(make(3)).toThrow(/f0.*f1[\s\S]*f0.*f2[\s\S]*f1.*f2/)
    expect(make(6)).toThrow('… and 5 more pairs')
  })
})

describe('a message of a broken function', () => {
  const rules: [string, FunctionSpec[], Partial<Routable>, string | undefined, string | undefined][] = [
    ['is held', [], {}, undefined, 'chat'],
    ['is not given to a function that takes everything', [spec('all', {})], {}, undefined, 'chat'],
    ['is not given to one that takes its kind', [HELD], {}, undefined, 'chat'],
    [
      'goes to a more specific one',
      [spec('room', { platformId: ['C1'] })],
      { platformId: 'C1' },
      'room',
      undefined,
    ],
    [
      'is held when the more specific one does not take it',
      [spec('room', { platformId: ['C1'] })],
      {},
      undefined,
      'chat',
    ],
    ['of another kind is not concerned', [spec('all', {})], { kind: 'push' }, 'all', undefined],
    ['and one that no function takes are not the same', [], { kind: 'push' }, undefined, undefined],
  ]
  test.each(rules)('%s', (_what, specs, fields, name, broken) => {
    const catalog = new Catalog(specs, ['chat', 'unused'])
    expect(catalog.route(message(fields))?.name).toBe(name)
    expect(catalog.brokenFor(message(fields))).toBe(broken)
  })
})

describe('the ordering key', () => {
  const catalog = new Catalog([])
  const keyOf = (key: KeyRule, fields: Partial<Routable>) =>
    catalog.keyOf(spec('f', {}, key), message(fields))
  const PATHS = [['kind'], ['content', 'user', 'id']]

  test.each<[string, KeyRule, Partial<Routable>]>([
    ['for no order', 'none', { threadId: 't' }],
    ['without any address', 'address', { content: '{}' }],
    ['for an empty column', [['threadId']], { platformId: 'p' }],
    ['for a path that leads nowhere', [['content', 'user', 'id']], { content: '{"user":{}}' }],
    ['for a path through a text', [['content', 'user', 'length']], { content: '{"user":"ann"}' }],
    ['for a path into the prototype', [['content', '__proto__']], { content: '{}' }],
    ['for null', [['content', 'id']], { content: '{"id":null}' }],
    ['for content that is no JSON', [['content', 'id']], { content: '{' }],
    ['for no content', [['content', 'id']], { content: null }],
  ])('is null %s', (_what, key, fields) => {
    expect(keyOf(key, fields)).toBeNull()
  })

  test.each<[string, KeyRule, Partial<Routable>, Partial<Routable>]>([
    ['address', 'address', { threadId: 't', content: '1' }, { threadId: 't', kind: 'x' }],
    [
      'paths',
      PATHS,
      { content: '{"user":{"id":1}}' },
      { content: '{"user":{"id":1},"more":2}', threadId: 't' },
    ],
    ['a missing part', PATHS, { content: '{}' }, { content: 'no json' }],
  ])('is the same for the same %s', (_what, key, a, b) => {
    expect(keyOf(key, a)).toEqual(expect.any(String))
    expect(keyOf(key, a)).toBe(keyOf(key, b))
  })

  test.each<[string, KeyRule, Partial<Routable>, KeyRule, Partial<Routable>]>([
    ['the same text in another column', 'address', { threadId: 'x' }, 'address', { platformId: 'x' }],
    [
      'texts that join alike',
      'address',
      { channelType: 'a,b', platformId: 'c' },
      'address',
      { channelType: 'a', platformId: 'b,c' },
    ],
    [
      'a quote that pretends',
      'address',
      { channelType: 'a","b' },
      'address',
      { channelType: 'a', platformId: 'b' },
    ],
    ['null and its name', 'address', { channelType: 'a', threadId: 'null' }, 'address', { channelType: 'a' }],
    [
      'a number and its text',
      [['content', 'id']],
      { content: '{"id":1}' },
      [['content', 'id']],
      { content: '{"id":"1"}' },
    ],
    [
      'the same value by another path',
      [['threadId']],
      { threadId: 'x' },
      [['platformId']],
      { platformId: 'x' },
    ],
  ])('distinguishes %s', (_what, key, fields, otherKey, otherFields) => {
    expect(keyOf(key, fields)).toEqual(expect.any(String))
    expect(keyOf(key, fields)).not.toBe(keyOf(otherKey, otherFields))
  })
})

describe('content', () => {
  const untouchable: Routable = {
    ...message(),
    get content(): string {
      throw new Error('content was read')
    },
  }

  test('is not read when no rule needs it', () => {
    const catalog = new Catalog([spec('chat'), spec('x', { kind: ['x'], content: { a: [1] } })], ['push'])
    expect(catalog.route(untouchable)?.name).toBe('chat')
    expect(catalog.keyOf(spec('chat'), untouchable)).toBeNull()
    expect(catalog.brokenFor(untouchable)).toBeUndefined()
  })

  test('is not read when a cheaper condition already fails', () => {
    const catalog = new Catalog([spec('x', { threadId: ['t'], content: { a: [1] } }), spec('chat')])
    expect(catalog.route(untouchable)?.name).toBe('chat')
  })

  test('is parsed once for a message, for any number of rules and keys', () => {
    const catalog = new Catalog([
      spec('a', { content: { a: [1], b: [1] } }, [['content', 'id']]),
      spec('b', { content: { a: [2] } }, [['content', 'id']]),
    ])
    const parse = vi.spyOn(JSON, 'parse')
    try {
      const sent = message({ content: '{"a":2,"id":9}' })
      const taker = catalog.route(sent)
      expect(taker?.name).toBe('b')
      expect(catalog.keyOf(taker!, sent)).toContain('9')
      expect(parse).toHaveBeenCalledTimes(1)
      catalog.route(message({ content: '{"a":1}' }))
      expect(parse).toHaveBeenCalledTimes(2)
    } finally {
      parse.mockRestore()
    }
  })

  test.each<[boolean, FunctionSpec]>([
    [false, spec('a')],
    [false, spec('a', {}, 'none')],
    [false, spec('a', {}, [['threadId'], ['kind']])],
    [true, spec('a', { content: { x: [1] } })],
    [true, spec('a', {}, [['threadId'], ['content', 'id']])],
  ])('readsContent is %s where it should be', (reads, only) => {
    expect(new Catalog([only]).readsContent).toBe(reads)
  })
})

test('a function is found by its name', () => {
  const [b, a] = [spec('b'), spec('a')]
  const catalog = new Catalog([b, a])
  expect(catalog.names).toEqual(['a', 'b'])
  expect(catalog.get('b')).toBe(b)
  expect(catalog.get('constructor')).toBeUndefined()
  expect(new Catalog([]).route(message())).toBeUndefined()
})

test('a thousand functions make a catalog, and each is found', () => {
  const catalog = new Catalog(Array.from({ length: 1000 }, (_, n) => spec(`f${n}`)))
  for (const name of catalog.names) expect(catalog.route(message({ kind: name }))?.name).toBe(name)
})

describe('context (trigger false)', () => {
  const context = (fields: Partial<Routable> = {}) => message({ trigger: false, ...fields })
  const catalog = new Catalog(
    [
      spec('chat'),
      spec('hears', { kind: ['group'], trigger: [false] }),
      spec('both', { kind: ['both'], trigger: [true, false] }),
    ],
    ['broken'],
  )

  test.each<[string, Routable, string | undefined, boolean]>([
    ['is for no function that does not ask for it', context(), undefined, true],
    ['nor when no function takes its kind', context({ kind: 'other' }), undefined, true],
    ['is for one that asks for it', context({ kind: 'group' }), 'hears', false],
    ['which then gets nothing else', message({ kind: 'group' }), undefined, false],
    ['unless it says both', message({ kind: 'both' }), 'both', false],
    ['and both', context({ kind: 'both' }), 'both', false],
    [
      'waits for a function that is broken, since what that asks for is not known',
      context({ kind: 'broken' }),
      undefined,
      false,
    ],
    ['is never of kind system: that is an answer', context({ kind: 'system' }), undefined, false],
  ])('%s', (_, sent, name, isContext) => {
    expect(catalog.route(sent)?.name).toBe(name)
    expect(catalog.isContext(sent)).toBe(isContext)
  })

  test('two rules that differ only in trigger are accepted, unless both take the same value', () => {
    expect(
      catalogOf([spec('a', { kind: ['chat'] }), spec('b', { kind: ['chat'], trigger: [false] })]),
    ).toBeDefined()
    expect(
      catalogOf([spec('a', { kind: ['chat'] }), spec('b', { kind: ['chat'], trigger: [true, false] })]),
    ).toBeUndefined()
  })
})

describe('a message of kind chat-sdk', () => {
  const sdk = message({ kind: 'chat-sdk', channelType: 'slack' })
  test.each<[string, FunctionSpec[], string[], string | undefined]>([
    ['goes to the function chat', [spec('chat'), spec('other')], [], 'chat'],
    [
      'to one that takes chat on its channel',
      [spec('chat'), spec('slack', { kind: ['chat'], channelType: ['slack'] })],
      [],
      'slack',
    ],
    [
      'to one that names chat-sdk, before a more specific one for chat',
      [spec('sdk', { kind: ['chat-sdk'] }), spec('slack', { kind: ['chat'], channelType: ['slack'] })],
      [],
      'sdk',
    ],
    [
      'to chat, where the one that names chat-sdk wants another channel',
      [spec('sdk', { kind: ['chat-sdk'], channelType: ['teams'] }), spec('chat')],
      [],
      'chat',
    ],
    ['to chat, before one that takes everything', [spec('all', {}), spec('chat')], [], 'chat'],
    ['to one that takes everything, where none takes chat', [spec('all', {}), spec('other')], [], 'all'],
    ['to no function otherwise', [spec('other')], [], undefined],
    ['to no function while chat is broken', [spec('all', {})], ['chat'], undefined],
    ['to its own function, though chat is broken', [spec('chat-sdk')], ['chat'], 'chat-sdk'],
    ['to no function while its own function is broken', [spec('chat')], ['chat-sdk'], undefined],
  ])('%s', (_, specs, broken, name) => {
    for (const ordered of [specs, specs.toReversed()])
      expect(new Catalog(ordered, broken).route(sdk)?.name).toBe(name)
  })
})
