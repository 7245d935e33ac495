// Any thrown value becomes data, and the conversion never throws.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type ErrorInfo,
  errorInfo,
  errorText,
  NanoclawError,
  NonRetryableError,
  RetryAfterError,
} from '../../runtime/protocol/errors.ts'

class Custom extends Error {
  override readonly name = 'Custom'
}

const cyclic: Record<string, unknown> = { a: 1 }
cyclic.self = cyclic

describe('a thrown value becomes data', () => {
  test.each<[string, unknown, { name: string; message: string }]>([
    ['an error', new Error('no'), { name: 'Error', message: 'no' }],
    ['an error of another class', new Custom('no'), { name: 'Custom', message: 'no' }],
    ['an error without words', new Error(), { name: 'Error', message: '' }],
    ['an error of another realm, by its shape', { name: 'E', message: 'm' }, { name: 'E', message: 'm' }],
    ['an object with a message', { message: 'm' }, { name: 'Error', message: 'm' }],
    ['a message that is no text', { message: 7, name: 8 }, { name: '8', message: '7' }],
    [
      'an error whose name is taken away',
      Object.assign(new Error('m'), { name: null }),
      { name: 'Error', message: 'm' },
    ],
    ['text', 'plain words', { name: 'string', message: 'plain words' }],
    ['empty text', '', { name: 'string', message: '' }],
    ['undefined', undefined, { name: 'undefined', message: 'thrown value: undefined' }],
    ['null', null, { name: 'object', message: 'thrown value: null' }],
    ['a number', 42, { name: 'number', message: 'thrown value: 42' }],
    ['an object', { code: 7 }, { name: 'object', message: 'thrown value: {"code":7}' }],
    ['an object without a prototype', Object.create(null), { name: 'object', message: 'thrown value: {}' }],
    ['a list', [1, 2], { name: 'object', message: 'thrown value: [1,2]' }],
    ['a symbol', Symbol('s'), { name: 'symbol', message: 'thrown value: undefined' }],
    ['a function', () => 1, { name: 'function', message: 'thrown value: undefined' }],
  ])('%s', (_, thrown, expected) => {
    expect(errorInfo(thrown)).toMatchObject(expected)
  })
})

const unreadable = 'a thrown value that is not readable'
const refuse = (): never => {
  throw new Error('not for you')
}
const hostile = (name: string) => Object.defineProperty({ message: 'm' }, name, { get: refuse })
const { proxy: revoked, revoke } = Proxy.revocable({}, {})
revoke()
const everyTrapThrows = new Proxy(new Error('hidden'), {
  get: refuse,
  has: refuse,
  getPrototypeOf: refuse,
  ownKeys: refuse,
})

describe('a hostile value becomes data', () => {
  test.each<[string, unknown]>([
    ['a message that throws when it is read', hostile('message')],
    ['a name that throws when it is read', hostile('name')],
    ['a stack that throws when it is read', hostile('stack')],
    ['a message that cannot become text', { message: Object.create(null) }],
    ['a message whose text throws', { message: { toString: refuse } }],
    ['an object that refuses to be JSON', { toJSON: refuse }],
    ['a cycle', cyclic],
    ['a big integer', 1n],
    ['a revoked proxy', revoked],
    ['a proxy whose every trap throws', everyTrapThrows],
  ])('%s', (_, thrown) => {
    expect(errorInfo(thrown)).toEqual({ name: typeof thrown, message: unreadable })
    expect(errorText(thrown)).toBe(`${typeof thrown}: ${unreadable}`)
  })

  test('anything at all', () => {
    fc.assert(
      fc.property(
        fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true, withMap: true }),
        (thrown) => {
          const info = errorInfo(thrown)
          expect(JSON.parse(JSON.stringify(info))).toEqual(info)
        },
      ),
    )
  })
})

test('cyclic causes end where the cycle closes', () => {
  const a = new Error('a')
  const b = new Error('b', { cause: a })
  a.cause = b
  const said = (message: string) => ({ name: 'Error', message, stack: expect.stringContaining(message) })
  expect(errorInfo(a)).toEqual({ ...said('a'), cause: said('b') })
})

const chain = (links: number): Error => {
  let error = new Error('the first')
  for (let link = 1; link < links; link++) error = new Error(`link ${link}`, { cause: error })
  return error
}
const depthOf = ({ cause }: ErrorInfo): number => (cause ? 1 + depthOf(cause) : 0)

describe('what an error was caused by', () => {
  test.each<[string, unknown, object]>([
    [
      'a cause',
      new Error('m', { cause: new TypeError('c') }),
      { cause: { name: 'TypeError', message: 'c' } },
    ],
    ['a cause that is text', new Error('m', { cause: 'why' }), { cause: { name: 'string', message: 'why' } }],
    [
      'a cause that is data',
      new Error('m', { cause: { code: 7 } }),
      { cause: { message: 'thrown value: {"code":7}' } },
    ],
    ['a code', Object.assign(new Error('m'), { code: 'ECONNREFUSED' }), { code: 'ECONNREFUSED' }],
    ['a code that is a number', Object.assign(new Error('m'), { code: 14 }), { code: '14' }],
    [
      'parts',
      new AggregateError([new Error('a'), 'b'], 'm'),
      { errors: [{ message: 'a' }, { name: 'string', message: 'b' }] },
    ],
  ])('%s', (_, thrown, expected) => {
    expect(errorInfo(thrown)).toMatchObject({ message: 'm', ...expected })
  })

  test.each<[string, unknown]>([
    ['no cause', new Error('m', { cause: undefined })],
    ['a cause that throws when it is read', Object.defineProperty(new Error('m'), 'cause', { get: refuse })],
    ['a code that throws when it is read', Object.defineProperty(new Error('m'), 'code', { get: refuse })],
    ['parts that throw when they are read', Object.defineProperty(new Error('m'), 'errors', { get: refuse })],
    [
      'itself',
      Object.defineProperty(new Error('m'), 'cause', {
        get(this: Error) {
          return this
        },
      }),
    ],
    ['the number of a DOMException', new DOMException('m', 'Error')],
  ])('%s keeps the rest', (_, thrown) => {
    expect(errorInfo(thrown)).toEqual({ name: 'Error', message: 'm', stack: expect.any(String) })
  })

  test('is limited in depth, in number and in size', () => {
    expect(depthOf(errorInfo(chain(100)))).toBe(5)
    const wide = errorInfo(new AggregateError(Array.from({ length: 1_000 }, (_, n) => chain(3 + (n % 2)))))
    expect(JSON.stringify(wide).match(/"message"/g)).toHaveLength(11)
    const big = new Error('x'.repeat(1_000_000))
    big.stack = big.message
    const parts = Array.from({ length: 20 }, () =>
      Object.assign(new Error(big.message, { cause: big }), { stack: big.stack }),
    )
    expect(JSON.stringify(errorInfo(new AggregateError(parts))).length).toBeLessThan(150_000)
  })

  test('comes before the stack, since long lines are cut at their end', () => {
    expect(Object.keys(errorInfo(chain(2)))).toEqual(['name', 'message', 'cause', 'stack'])
  })

  test('is part of the one line for people, each text once', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED ::1:9'), { code: 'ECONNREFUSED' })
    expect(errorText(new TypeError('fetch failed', { cause: refused }))).toBe(
      'TypeError: fetch failed; caused by connect ECONNREFUSED ::1:9',
    )
    expect(errorText(new Error('no answer: connect ECONNREFUSED ::1:9', { cause: refused }))).toBe(
      'no answer: connect ECONNREFUSED ::1:9',
    )
    expect(errorText(Object.assign(new Error('no such table'), { code: '42P01' }))).toBe(
      'no such table (42P01)',
    )
    expect(errorText(Object.assign(new AggregateError([refused]), { code: 'ECONNREFUSED' }))).toBe(
      'AggregateError: ECONNREFUSED; with connect ECONNREFUSED ::1:9',
    )
  })
})

test('a stack is kept up to its limit, and a stack overflow is reported', () => {
  const deep = new Error('deep')
  deep.stack = 'x'.repeat(1_000_000)
  expect(errorInfo(deep).stack).toHaveLength(8_000)
  const endless = (): never => endless()
  let thrown: unknown
  try {
    endless()
  } catch (error) {
    thrown = error
  }
  expect(errorInfo(thrown).name).toBe('RangeError')
})

test('a message of many megabytes is cut: it is stored with every attempt', () => {
  expect(errorInfo(new Error('x'.repeat(2_000_000))).message.length).toBeLessThanOrEqual(100_000)
  expect(errorInfo('x'.repeat(2_000_000)).message.length).toBeLessThanOrEqual(100_000)
  expect(errorInfo({ code: 'x'.repeat(2_000_000) }).message.length).toBeLessThanOrEqual(100_000)
  expect(
    errorInfo(Object.assign(new Error(), { name: 'x'.repeat(2_000_000) })).name.length,
  ).toBeLessThanOrEqual(1_000)
})

test('one line for people omits a plain Error class', () => {
  expect(errorText(new Error('no such room'))).toBe('no such room')
  expect(errorText(new NanoclawError('locked', 'Another runtime serves this workspace.'))).toBe(
    'Another runtime serves this workspace.',
  )
  expect(errorText(new TypeError('x is not a function'))).toBe('TypeError: x is not a function')
  expect(errorText('plain words')).toBe('string: plain words')
})

test('the errors that handlers throw have their name, their cause and their retry time', () => {
  const cause = new Error('why')
  expect(new NonRetryableError('gone', { cause })).toMatchObject({
    name: 'NonRetryableError',
    message: 'gone',
    cause,
  })
  expect(new RetryAfterError('busy', '30s', { cause })).toMatchObject({
    name: 'RetryAfterError',
    message: 'busy',
    retryAfter: '30s',
    cause,
  })
  expect(new NanoclawError('fenced', 'text', { cause })).toMatchObject({
    name: 'NanoclawError',
    code: 'fenced',
    cause,
  })
})
