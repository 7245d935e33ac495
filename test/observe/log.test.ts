// Log lines with any content: each event is one line of JSON, and output of functions cannot imitate other
// lines.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createLog } from '../../runtime/observe/log.ts'
import { createEvents } from '../../runtime/protocol/events.ts'

/** A log whose reader has read everything up to now, or nothing for a while. */
function logged(level: 'debug' | 'info' = 'info', several = false) {
  const events = createEvents()
  const written: string[] = []
  let onDrain = () => {}
  const to = {
    writableLength: 0,
    write(text: string) {
      written.push(text)
      return true
    },
    on: (_event: 'drain', listener: () => void) => (onDrain = listener),
  }
  createLog(events, { level, to, several })
  return { events, written, to, drain: () => onDrain() }
}

/** Any UTF-16, half characters, controls and line ends included. */
const anyText = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 60 })
  .map((units) => String.fromCharCode(...units))

describe('what a function prints [13]', () => {
  test('is one line of JSON with the text in a field', () => {
    const { events, written } = logged()
    fc.assert(
      fc.property(anyText, fc.constantFrom('stdout', 'stderr'), (line, stream) => {
        written.length = 0
        events.emit('output', { functionName: 'f', messageId: null, stream, line })
        expect(written).toHaveLength(1)
        expect(written[0]).toMatch(/^\{[^\n]*\}\n$/)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
        expect(written[0]!.slice(0, -1)).not.toMatch(/[\u0000-\u001f]/)
        expect(JSON.parse(written[0]!)).toMatchObject({ msg: 'output', functionName: 'f', stream, line })
      }),
      {
        examples: [
          ['{"level":"fatal","msg":"forged"}\n', 'stdout'],
          ['\u001b[2J\r\n', 'stderr'],
        ],
      },
    )
  })

  test('and each call of ctx.log is one line as well, with any text and fields', () => {
    const { events, written } = logged('debug')
    fc.assert(
      fc.property(anyText, anyText, fc.jsonValue(), (text, functionName, fields) => {
        written.length = 0
        events.emit('log', { functionName, messageId: 'm', level: 'warn', text, fields })
        expect(written).toHaveLength(1)
        const { level, msg, ...rest } = JSON.parse(written[0]!)
        expect([level, msg, rest.functionName]).toEqual(['warn', text, functionName])
        expect(rest.fields).toEqual(JSON.parse(JSON.stringify(fields)))
      }),
    )
  })
})

test('lines beyond the unread limit are dropped, counted, and reported when the reader continues [96]', () => {
  const { events, written, to, drain } = logged()
  const say = () => events.emit('stopped')
  say()
  to.writableLength = 2 * 1024 * 1024
  for (let n = 0; n < 7; n++) say()
  to.writableLength = 0
  drain()
  say()
  drain()
  expect(written.map((line) => JSON.parse(line)).map(({ msg, lines }) => lines ?? msg)).toEqual([
    'stopped',
    7,
    'stopped',
  ])
})

test.each([
  [true, 'warn', 'worker ended unexpectedly'],
  [false, 'debug', 'worker ended'],
])('the unexpected end of a process (%s) is logged as a warning: %s', (unexpected, level, msg) => {
  const { events, written } = logged('debug')
  events.emit('worker-ended', { functionName: 'f', pid: 7, why: 'uncaught Error: boom', unexpected })
  expect(written.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({ level, msg, functionName: 'f', pid: 7, why: 'uncaught Error: boom' }),
  ])
})

test('each line of a runtime of several folders names its folder, and no line of a runtime of one', () => {
  const namesIn = (several: boolean) => {
    const { events, written } = logged('debug', several)
    events.emit('started', { epoch: 1, functions: [], interrupted: 0, quarantined: ['m'] }, '/s/a')
    events.emit('commit-recovered', { results: 0 }, '/s/b')
    events.emit('output', { functionName: 'f', messageId: 'm', stream: 'stdout', line: 'hi' }, '/s/a')
    events.emit('functions-changed', { changed: [], functions: [] })
    return written.map((line) => JSON.parse(line).workspace)
  }
  expect(namesIn(true)).toEqual(['/s/a', '/s/a', '/s/b', '/s/a', undefined])
  expect(namesIn(false)).toEqual(Array(5).fill(undefined))
})
