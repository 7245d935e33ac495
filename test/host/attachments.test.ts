// Attachments: files reach inbox/<id>/ whole, under names that cannot leave it, before the message that names
// them.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tempDir } from '../support/files.ts'
import { hostFixture } from '../support/host.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

test('files come as bytes or by path, and the content names them where a handler finds them', () => {
  const { dir, host, inbound } = hostFixture()
  const source = join(tempDir(), 'photo.png')
  writeFileSync(source, 'png', { mode: 0o444 })

  host.enqueue({
    id: 'm',
    kind: 'chat',
    content: { text: 'look', attachments: [{ name: 'already there' }] },
    attachments: [
      { path: source, mimeType: 'image/png' },
      { name: 'notes.txt', data: bytes('hello') },
    ],
  })

  const content = JSON.parse(inbound.prepare('select content from messages_in').pluck().get() as string)
  expect(content).toEqual({
    text: 'look',
    attachments: [
      { name: 'already there' },
      { name: 'photo.png', type: 'file', mimeType: 'image/png', size: 3, localPath: 'inbox/m/photo.png' },
      { name: 'notes.txt', type: 'file', size: 5, localPath: 'inbox/m/notes.txt' },
    ],
  })
  expect(readFileSync(join(dir, content.attachments[1].localPath), 'utf8')).toBe('png')
  expect(readFileSync(join(dir, content.attachments[2].localPath), 'utf8')).toBe('hello')
  expect(readdirSync(join(dir, 'inbox', 'm')).sort()).toEqual(['notes.txt', 'photo.png'])
  expect(statSync(join(dir, 'inbox')).mode & 0o777).toBe(0o700)
})

test('text content becomes an object with its files', () => {
  const { host, inbound } = hostFixture()
  host.enqueue({ id: 'm', kind: 'chat', content: 'look', attachments: [{ name: 'a', data: bytes('') }] })
  expect(JSON.parse(inbound.prepare('select content from messages_in').pluck().get() as string)).toEqual({
    text: 'look',
    attachments: [{ name: 'a', type: 'file', size: 0, localPath: 'inbox/m/a' }],
  })
})

test.each([
  ['../../escape.sh', undefined, 'attachment-1.sh'],
  ['/etc/passwd', undefined, 'attachment-1'],
  ['C:\\boot.ini', undefined, 'attachment-1.ini'],
  ['a\0b.txt', undefined, 'attachment-1.txt'],
  ['..', 'image/jpeg', 'attachment-1.jpg'],
  ['', 'application/pdf', 'attachment-1.pdf'],
  [undefined, 'application/x-unheard-of', 'attachment-1'],
  ['x'.repeat(256), undefined, 'attachment-1'],
  ['ünïcödé and spaces.txt', undefined, 'ünïcödé and spaces.txt'],
])('the file name %j of type %s becomes %j', (name, mimeType, stored) => {
  const { dir, host } = hostFixture()
  host.enqueue({
    id: 'm',
    kind: 'chat',
    content: {},
    attachments: [
      { data: bytes('x'), ...(name !== undefined && { name }), ...(mimeType !== undefined && { mimeType }) },
    ],
  })
  expect(readdirSync(join(dir, 'inbox', 'm'))).toEqual([stored])
})

test('two files of one name both arrive', () => {
  const { dir, host } = hostFixture()
  const data = bytes('x')
  host.enqueue({
    id: 'm',
    kind: 'chat',
    content: {},
    attachments: [
      { name: 'a.tar.gz', data },
      { name: 'a.tar.gz', data },
    ],
  })
  expect(readdirSync(join(dir, 'inbox', 'm')).sort()).toEqual(['a.tar-2.gz', 'a.tar.gz'])
})

test.each([
  ['with an extension', `${'x'.repeat(251)}.pdf`, `${'x'.repeat(249)}-2.pdf`],
  ['without one', 'x'.repeat(255), `${'x'.repeat(253)}-2`],
  ['that is all extension', `.${'x'.repeat(254)}`, `.${'x'.repeat(252)}-2`],
  ['of wide characters', `${'ü'.repeat(125)}.jpeg`, `${'ü'.repeat(124)}-2.jpeg`],
])('two files of one name that is as long as a name may be both arrive (%s) [112]', (_, name, second) => {
  const { dir, host } = hostFixture()
  const attachments = ['one', 'two'].map((text) => ({ name, data: bytes(text) }))
  host.enqueue({ id: 'm', kind: 'chat', content: {}, attachments })
  const folder = join(dir, 'inbox', 'm')
  expect(readdirSync(folder).sort()).toEqual([name, second].sort())
  expect(readFileSync(join(folder, second), 'utf8')).toBe('two')
})

test('a duplicate does not change the files of the first message', () => {
  const { dir, host } = hostFixture()
  const send = (text: string) =>
    host.enqueue({ id: 'm', kind: 'chat', content: {}, attachments: [{ name: 'a', data: bytes(text) }] })
  expect([send('first').duplicate, send('second').duplicate]).toEqual([false, true])
  expect(readFileSync(join(dir, 'inbox', 'm', 'a'), 'utf8')).toBe('first')
})

test('files of an attempt that ended before its message are written again', () => {
  const { dir, host } = hostFixture()
  mkdirSync(join(dir, 'inbox', 'm'), { recursive: true })
  writeFileSync(join(dir, 'inbox', 'm', 'a'), 'hal')
  host.enqueue({
    id: 'm',
    kind: 'chat',
    content: {},
    attachments: [{ name: 'a', data: bytes('half and half') }],
  })
  expect(readFileSync(join(dir, 'inbox', 'm', 'a'), 'utf8')).toBe('half and half')
})

test.each(['../m', 'a/b', '..', 'a\\b', 'x'.repeat(256)])('the id %j cannot carry files [84]', (id) => {
  const { dir, host, inbound } = hostFixture()
  expect(() =>
    host.enqueue({ id, kind: 'chat', content: {}, attachments: [{ name: 'a', data: bytes('x') }] }),
  ).toThrow(/id is .*; a message with attachments needs an id that is a plain file name/)
  expect(existsSync(join(dir, 'inbox'))).toBe(false)
  expect(inbound.prepare('select count(*) from messages_in').pluck().get()).toBe(0)
})

test.each(['inbox', 'inbox/m'])(
  'a link in the place of %s is not followed, and its target stays unchanged [85]',
  (place) => {
    const { dir, host } = hostFixture()
    const target = tempDir()
    if (place === 'inbox/m') mkdirSync(join(dir, 'inbox'))
    symlinkSync(target, join(dir, place))
    expect(() =>
      host.enqueue({ id: 'm', kind: 'chat', content: {}, attachments: [{ name: 'a', data: bytes('x') }] }),
    ).toThrow(/is not a real folder; move away what is there/)
    expect(readdirSync(target)).toEqual([])
  },
)

test.each([
  [[{ name: 'a' }], /attachments\[0\] is not legal; expected/],
  [[{ name: 'a', data: 'text' }], /attachments\[0\] is not legal/],
  [
    [{ data: bytes('x') }, { path: '/no/such/file' }],
    /attachments\[1\]\.path is "\/no\/such\/file"; expected a file that exists/,
  ],
  [[null], /attachments\[0\] is not legal/],
  ['a.txt', /attachments is "a.txt"; expected a list of files/],
])('attachments %j are rejected before any write', (attachments, text) => {
  const { dir, host } = hostFixture()
  expect(() =>
    host.enqueue({ id: 'm', kind: 'chat', content: {}, attachments: attachments as never }),
  ).toThrow(expect.objectContaining({ code: 'bad_message', message: expect.stringMatching(text) }))
  expect(existsSync(join(dir, 'inbox'))).toBe(false)
})

test('content that is a list or a number cannot have files; enqueueMany takes none', () => {
  const { host } = hostFixture()
  const attachments = [{ name: 'a', data: bytes('x') }]
  expect(() => host.enqueue({ kind: 'chat', content: [1], attachments })).toThrow(
    /content is \[1\]; with attachments expected/,
  )
  expect(() => host.enqueueMany([{ kind: 'chat', content: {}, attachments }])).toThrow(
    /messages\[0\]: attachments is .*; use enqueue/,
  )
})
