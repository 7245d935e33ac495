import { describe, expect, test } from 'vitest'
import { Print, plain, plainLines, table } from '../../runtime/cli/print.ts'

function screen(isTTY: boolean) {
  const written: string[] = []
  return { isTTY, written, write: (text: string) => void written.push(text) }
}

describe('colour', () => {
  test.each([
    { on: 'a screen', isTTY: true, env: {}, colored: true },
    { on: 'a pipe', isTTY: false, env: {}, colored: false },
    { on: 'a screen with NO_COLOR', isTTY: true, env: { NO_COLOR: '1' }, colored: false },
    { on: 'a screen with an empty NO_COLOR', isTTY: true, env: { NO_COLOR: '' }, colored: true },
    { on: 'a pipe with FORCE_COLOR', isTTY: false, env: { FORCE_COLOR: '1' }, colored: true },
    { on: 'a screen with FORCE_COLOR=0', isTTY: true, env: { FORCE_COLOR: '0' }, colored: false },
    { on: 'a pipe with both', isTTY: false, env: { FORCE_COLOR: '1', NO_COLOR: '1' }, colored: true },
    { on: 'a dumb terminal', isTTY: true, env: { TERM: 'dumb' }, colored: false },
  ])('on $on: $colored', ({ isTTY, env, colored }) => {
    const { paint } = new Print(screen(isTTY), screen(false), env)
    expect(paint('red', 'x')).toBe(colored ? '\u001b[31mx\u001b[39m' : 'x')
  })

  test('is decided for each stream by itself', () => {
    const { paint, paintTalk } = new Print(screen(false), screen(true), {})
    expect([paint('bold', 'x'), paintTalk('bold', 'x')]).toEqual(['x', '\u001b[1mx\u001b[22m'])
  })
})

test('data goes to stdout, talk to stderr, line by line', () => {
  const [out, err] = [screen(false), screen(false)]
  const print = new Print(out, err, {})
  print.data('a', 'b')
  print.talk('c')
  print.json({ d: '\n' })
  expect(out.written.join('')).toBe('a\nb\n{"d":"\\n"}\n')
  expect(err.written.join('')).toBe('c\n')
})

test('a table aligns its columns, ignores colours, and drops empty columns', () => {
  const rows = [
    ['a', '', '\u001b[31mred\u001b[39m', 'x'],
    ['long', '', 'y', ''],
  ]
  expect(table(rows, ' ')).toEqual([' a     \u001b[31mred\u001b[39m  x', ' long  y'])
  expect(table([])).toEqual([])
})

test.each([
  ['a\u001b[2Jb', 'a\\u001b[2Jb'],
  ['line\nbreak\ttab\r', 'line\\nbreak\\ttab\\r'],
  ['\u009b31m', '\\u009b31m'],
  ['admin\u202egnp.exe', 'admin\\u202egnp.exe'],
  ['grüße 👋 日本', 'grüße 👋 日本'],
  ['x'.repeat(300), `${'x'.repeat(200)}…`],
])('untrusted text %j cannot control the terminal', (text, shown) => {
  expect(plain(text)).toBe(shown)
})

test('untrusted lines are limited in number, with a count of the missing ones', () => {
  expect(plainLines('a\nb\r\nc\rd', 2)).toEqual(['a', 'b', '… 2 more lines'])
})
