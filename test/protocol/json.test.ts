// Values that JSON would change without an error are rejected with their path; everything else is the text of
// JSON.stringify.
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toJson } from '../../runtime/protocol/json.ts'

class Empty {}
class Fielded {
  readonly a = 1
}
class Secret {
  readonly #a = 1
  toJSON() {
    return { a: this.#a }
  }
}
class Lossy {
  toJSON() {
    return { tags: new Set(['x']) }
  }
}
class Self {
  readonly rate = Number.NaN
  toJSON() {
    return this
  }
}
class Query {
  readonly table = 'users'
  // biome-ignore lint/suspicious/noThenProperty: a query builder is thenable, without its await
  then() {}
}
class Pages {
  readonly size = 10
  async *[Symbol.asyncIterator]() {}
}

const cycle: { a: unknown; list: unknown[] } = { a: 1, list: [] }
cycle.list.push({ back: cycle })
const deep = (levels: number): unknown => {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = [value]
  return value
}

describe('rejected, with its path', () => {
  test.each<[string, unknown, string]>([
    ['NaN', { price: Number.NaN }, 'reply.price is NaN'],
    ['Infinity', { items: [1, 2, { price: -1 / 0 }] }, 'reply.items[2].price is -Infinity'],
    ['a boxed NaN', { n: Object(Number.NaN) }, 'reply.n is NaN'],
    ['a Set', { tags: new Set(['x']) }, 'reply.tags is a Set; use [...it]'],
    ['a Map', new Map(), 'reply is a Map'],
    [
      'a Map of a subclass with fields',
      Object.assign(new (class Own extends Map {})(), { a: 1 }),
      'reply is a Map',
    ],
    ['an invalid Date', { at: new Date(Number.NaN) }, 'reply.at is an invalid Date'],
    ['a Response', new Response('x'), 'reply is a Response; use await it.text()'],
    ['Headers', { headers: new Headers() }, 'reply.headers is a Headers'],
    ['URLSearchParams', new URLSearchParams('a=1'), 'reply is a URLSearchParams; use Object.fromEntries'],
    ['a Promise', { user: Promise.resolve(1) }, 'reply.user is a Promise; await it'],
    ['a thenable', { user: new Query() }, 'reply.user is a Query; await it'],
    ['a generator', (function* () {})(), 'reply is a Generator; its body has not run'],
    ['an async generator', (async function* () {})(), 'reply is an AsyncGenerator; its body has not run'],
    ['an async iterable', { pages: new Pages() }, 'reply.pages is a Pages; collect'],
    ['an iterator', [1].values(), 'reply is an Array Iterator'],
    [
      'a Buffer',
      { body: Buffer.from('x') },
      "reply.body is a Buffer; use Buffer.from(it).toString('base64')",
    ],
    ['a typed array', new Float64Array(2), 'reply is a Float64Array; use Array.from(it)'],
    ['an ArrayBuffer', { b: new ArrayBuffer(1) }, 'reply.b is an ArrayBuffer'],
    ['an Error', { error: new TypeError('x') }, 'reply.error is a TypeError; use its message'],
    ['an Error with fields', Object.assign(new Error('x'), { code: 1 }), 'reply is an Error'],
    ['a regular expression', { match: /x/ }, 'reply.match is a RegExp, which JSON turns into {}'],
    ['an object of a class without fields', { a: new Empty() }, 'reply.a is an Empty, which JSON'],
    ['a function in an array', { a: [() => 1] }, 'reply.a[0] is a function'],
    ['a function', { a: { fn: () => 1 } }, 'reply.a.fn is a function'],
    ['a symbol', [Symbol('x')], 'reply[0] is a symbol'],
    ['a BigInt', { n: [1n] }, 'reply.n[0] is a BigInt; use String(it)'],
    ['undefined in an array', [1, undefined], 'reply[1] is undefined'],
    // biome-ignore lint/suspicious/noSparseArray: this is the case
    ['a hole', { a: [1, , 2] }, 'reply.a[1] is undefined'],
    ['undefined', undefined, 'reply is undefined'],
    ['what toJSON gives', { a: new Lossy() }, 'reply.a.tags is a Set'],
    ['what gives itself', { a: new Self() }, 'reply.a.rate is NaN'],
    ['a toJSON that gives undefined', { toJSON: () => undefined }, 'reply is an object'],
    ['a cycle', cycle, 'reply.list[0].back refers back to reply'],
    ['a cycle below', { a: { b: cycle } }, 'reply.a.b.list[0].back refers back to reply.a.b'],
    ['too many levels', deep(2_000), 'is more than 1000 levels deep'],
    [
      'a getter that throws',
      {
        a: {
          get b() {
            throw new Error('not now')
          },
        },
      },
      'reply.a.b cannot be read (not now)',
    ],
    ['a key that is no name', { 'a b': { '0': Number.NaN } }, 'reply["a b"]["0"] is NaN'],
    ['a sibling of something deep', { a: { b: { c: [1] } }, d: Number.NaN }, 'reply.d is NaN'],
  ])('%s', (_, value, text) => {
    expect(toJson(value, 'reply')).toEqual({ fault: expect.stringContaining(text) })
  })

  test('a long path is cut', () => {
    const { fault } = toJson({ ['k'.repeat(1_000_000)]: Number.NaN }, 'reply') as { fault: string }
    expect(fault.length).toBeLessThan(300)
  })

  test('a proxy whose every trap throws', () => {
    const refuse = () => {
      throw new Error('no')
    }
    const hostile = new Proxy({}, { get: refuse, ownKeys: refuse, getPrototypeOf: refuse })
    expect(toJson({ a: hostile }, 'reply')).toEqual({
      fault: expect.stringContaining('reply.a cannot be read'),
    })
  })
})

describe('kept, as by JSON.stringify', () => {
  test.each<[string, unknown, string]>([
    ['text', 'hello', '{"text":"hello"}'],
    ['null', null, 'null'],
    ['a field that is undefined', { a: undefined, b: 1 }, '{"b":1}'],
    ['a Date', { at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
    ['an URL', new URL('http://a/'), '"http://a/"'],
    ['fields of a class', new Fielded(), '{"a":1}'],
    ['what toJSON gives', [new Secret()], '[{"a":1}]'],
    ['an Error that has toJSON', Object.assign(new Error('x'), { toJSON: () => ({ m: 'x' }) }), '{"m":"x"}'],
    ['no prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    [
      'another realm',
      runInNewContext('({ a: [{}], d: new Date(0) })'),
      '{"a":[{}],"d":"1970-01-01T00:00:00.000Z"}',
    ],
    ['boxed values', [Object(1), Object('a'), Object(true)], '[1,"a",true]'],
    ['the same object twice', [cycle.a, [cycle.a]], '[1,[1]]'],
    ['900 levels', deep(900), `${'['.repeat(900)}1${']'.repeat(900)}`],
  ])('%s', (_, value, json) => {
    expect(toJson(value, 'reply')).toEqual({ json })
  })

  test('any JSON comes back as it was', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const expected = JSON.stringify(typeof value === 'string' ? { text: value } : value)
        expect(toJson(value, 'reply')).toEqual({ json: expected })
      }),
    )
  })

  test('any accepted value is unchanged, except undefined fields and values with toJSON', () => {
    const anything = fc.anything({
      withNullPrototype: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
    })
    fc.assert(
      fc.property(anything, (value) => {
        const text = toJson(value, 'reply')
        if ('fault' in text || typeof value === 'string') return
        expect(JSON.parse(text.json)).toEqual(withoutUndefined(value))
      }),
      { numRuns: 2_000 },
    )
  })
})

function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined)
  if (Object.is(value, -0)) return 0
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  return Object.fromEntries(entries.map(([key, item]) => [key, withoutUndefined(item)]))
}
