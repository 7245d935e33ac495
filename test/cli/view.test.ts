// What `dev` shows of the runtime's events.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Print } from '../../runtime/cli/print.ts'
import { printEvents } from '../../runtime/cli/print-events.ts'
import { runEndLines, showEvents } from '../../runtime/cli/view.ts'
import { createEvents, type Events } from '../../runtime/protocol/events.ts'

function viewed(show: (events: Events, print: Print) => void) {
  let shown = ''
  const screen = { write: (text: string) => void (shown += text) }
  const events = createEvents()
  show(events, new Print(screen, screen, {}))
  return { events, shown: () => shown }
}

const forPeople = () =>
  viewed((events, print) =>
    showEvents(
      events,
      () => [],
      () => undefined,
      print,
    ),
  )
const forPrograms = () => viewed(printEvents)

test('every event becomes a JSON line', () => {
  const { events } = forPrograms()
  const source = readFileSync(new URL('../../runtime/protocol/events.ts', import.meta.url), 'utf8')
  const names = [...source.matchAll(/^ {2}'?([\w-]+)'?: \[/gm)].map(([, name]) => name)
  expect(names).toContain('worker-ended')
  expect(events.eventNames().sort()).toEqual(names.sort())
})

test('a fatal error is text in JSON', () => {
  const { events, shown } = forPrograms()
  events.emit('fatal', { error: new TypeError('no more'), exitCode: 1 })
  const about = { error: 'TypeError: no more', exitCode: 1 }
  expect(JSON.parse(shown())).toMatchObject({ event: 'fatal', about })
})

test('a parked kind is reported once, and again when functions have changed', () => {
  const { events, shown } = forPeople()
  const told = () => shown().match(/parked .*/g)
  for (const id of ['a', 'b']) events.emit('unroutable', { id, kind: 'chat' })
  const remedy = 'no function takes kind chat; functions/chat.ts would take it'
  expect(told()).toEqual([`parked  a  ${remedy}`])
  events.emit('functions-changed', { changed: ['other'], functions: ['other'] })
  for (const id of ['a', 'b']) events.emit('unroutable', { id, kind: 'chat' })
  expect(told()).toEqual([`parked  a  ${remedy}`, `parked  a  ${remedy}`])
})

test('the remedy for a message of a broken function is to fix it, not to create it', () => {
  const { events, shown } = forPeople()
  events.emit('unroutable', { id: 'a', kind: 'syntax' })
  const broken = { functionName: 'syntax', message: 'expected ";"', retryMs: null }
  events.emit('function-broken', { ...broken, stillServed: false })
  events.emit('unroutable', { id: 'a', kind: 'syntax' })
  expect(shown()).toMatch(/parked {2}a {2}no function takes kind syntax/)
  expect(shown()).toMatch(/parked {2}a {2}function syntax is broken and must be fixed$/m)
  events.emit('functions-changed', { changed: ['syntax'], functions: ['syntax'] })
  events.emit('functions-changed', { changed: ['syntax'], functions: [] })
  events.emit('unroutable', { id: 'b', kind: 'syntax' })
  expect(shown()).toMatch(/parked {2}b {2}no function takes kind syntax/)
})

test('output of a function names its message, by the end of a long id', () => {
  const { events, shown } = forPeople()
  const said = { functionName: 'chat', level: 'info', text: 'hello', fields: undefined } as const
  events.emit('log', { ...said, messageId: 'msg-01a20c76-93b1-7c30-9d3a-0f5b8e6a1c2d' })
  events.emit('log', { ...said, messageId: 'once\u001b[2J' })
  const printed = { functionName: 'chat', stream: 'stdout', line: 'bye', messageId: null } as const
  events.emit('output', printed)
  expect(
    shown()
      .split('\n')
      .map((line) => line.trim()),
  ).toEqual(['chat | info: hello  …8e6a1c2d', 'chat | info: hello  once\\u001b[2J', 'chat | bye', ''])
})

test.each([
  [-5, 'again at once'],
  [60_500, 'again in 1 min'],
])('a next attempt after %i ms is "%s"', (delayMs, text) => {
  const outcome = { type: 'exited', code: 1, stderr: '' } as const
  const run = { id: 'm', functionName: 'f', run: 1, attempt: 1, durationMs: 1, reason: null, outcome }
  const lines = runEndLines({ ...run, verdict: 'retry', nextAtMs: Date.now() + delayMs }, (_, said) => said)
  expect(lines.join('\n')).toMatch(new RegExp(`${text}$`, 'm'))
})
