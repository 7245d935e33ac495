import { expect, test } from 'vitest'
import { nameAndMessage, outcomeText, ruleText, usefulLines } from '../../runtime/cli/describe.ts'
import { replyText } from '../../runtime/cli/reply-text.ts'
import { parseContent } from '../../runtime/cli/send.ts'

test.each([
  [{ kind: ['chat'], content: [] }, 'kind chat'],
  [
    { kind: ['chat', 'chat-sdk'], channelType: ['slack'], content: [] },
    'kind chat or chat-sdk, channel slack',
  ],
  [
    { content: [{ path: ['repository', 'name'], values: ['demo', null] }] },
    'content.repository.name demo or null',
  ],
  [{ content: [] }, 'every message'],
])('a rule in words: %j', (rule, text) => {
  expect(ruleText(rule)).toBe(text)
})

const boom = { name: 'TypeError', message: 'boom\nand more' }
test.each([
  [{ type: 'threw', error: boom, retry: { wish: 'policy' } }, 'why', 'why: TypeError: boom'],
  [{ type: 'timed-out', afterMs: 1500 }, 'timeout', 'timeout: no end after 1.5 s'],
  [{ type: 'exited', code: 0, stderr: '' }, null, 'its process ended with code 0'],
  [{ type: 'killed', signal: 'SIGSEGV', stderr: '' }, null, 'its process was killed by SIGSEGV'],
  [{ type: 'cancelled', why: 'shutdown' }, null, 'cancelled (shutdown)'],
] as const)('an outcome in words: %j', (outcome, reason, text) => {
  expect(outcomeText(outcome, reason)).toBe(text)
})

test('only the lines of a stack in the project are shown', () => {
  const stack = [
    'Error: x',
    '    at inner (/p/functions/chat.ts:3:9)',
    '    at lib (/p/node_modules/lib/index.js:1:1)',
    '    at Run.run (/p/runtime/child/run.ts:1:1)',
    '    at process.processTicks (node:internal/process/task_queues:95:5)',
  ].join('\n')
  expect(usefulLines({ stack })).toEqual(['    at inner (/p/functions/chat.ts:3:9)'])
})

test('without such lines the first lines of a stack are shown', () => {
  expect(usefulLines({ stack: 'Error\n    at a (node:x)\n    at b (node:y)' })).toEqual([
    '    at a (node:x)',
    '    at b (node:y)',
  ])
})

test('the stderr tail of a dead process is shown, escaped', () => {
  expect(usefulLines({ stderr: '1\n2\n3\n4\n\n5\u001b[0m\n' })).toEqual(['2', '3', '4', '5\\u001b[0m'])
})

test('V8’s reason for the end of a process is shown, without its native stack', () => {
  const said = 'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory'
  const stderr = `<--- Last few GCs --->\n${said}\n----- Native stack trace -----\n 1: 0xb78db3 node::OOM [node]\n10: 0xee v8::x [node]\n`
  expect(usefulLines({ stderr })).toEqual([said])
  expect(usefulLines({ stderr: stderr.slice(stderr.indexOf(' 1:')) })).toEqual([])
})

test('an error in one line', () => {
  expect(nameAndMessage({ name: 'Error', message: 'just this\nnot that' })).toBe('just this')
})

test.each([
  ['hello', { text: 'hello' }],
  ['42', { text: '42' }],
  ['true', { text: 'true' }],
  ['from a pipe\n', { text: 'from a pipe' }],
  ['{"a":1}', { a: 1 }],
  [' [1, 2] ', [1, 2]],
  ['"quoted"', 'quoted'],
  ['"half', { text: '"half' }],
])('content %j is understood', (given, content) => {
  expect(parseContent(given, 'CONTENT')).toEqual(content)
})

test.each([
  ['{"text":"two\\nlines \\u001b[2J"}', 'two\nlines \\u001b[2J'],
  ['{"text":"x","more":1}', '{"text":"x","more":1}'],
  ['"text"', '"text"'],
  ['{"text":7}', '{"text":7}'],
  ['no JSON', 'no JSON'],
])('the reply %j is shown as text for people', (content, shown) => {
  expect(replyText(content)).toBe(shown)
})
