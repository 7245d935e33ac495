import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeFolder } from '../runtime/folder.ts'
import { tempDir } from './support/files.ts'

test('a folder is made with those above it, each with the mode; one that is there is left alone', () => {
  const dir = tempDir()
  makeFolder(join(dir, 'a/b/c'), 'folder', 0o700)
  for (const path of ['a', 'a/b', 'a/b/c']) expect(statSync(join(dir, path)).mode & 0o777).toBe(0o700)
  makeFolder(join(dir, 'a'), 'folder', 0o755)
  expect(statSync(join(dir, 'a')).mode & 0o777).toBe(0o700)
})

test('a link to a folder is a folder', () => {
  const dir = tempDir()
  mkdirSync(join(dir, 'real'))
  symlinkSync('real', join(dir, 'link'))
  makeFolder(join(dir, 'link/below'), 'folder')
  expect(existsSync(join(dir, 'real/below'))).toBe(true)
})

test.each([
  ['where a file stands', 'file', /file exists and is not a directory/],
  ['below a file', 'file/below', /ENOTDIR/],
  ['far below a file', 'file/far/below', /ENOTDIR/],
  ['where a link leads nowhere', 'nowhere', /nowhere exists and is not a directory/],
  ['below a link that leads nowhere', 'nowhere/below', /nowhere exists and is not a directory/],
  ['with a name that is too long', 'x'.repeat(300), /ENAMETOOLONG/],
])('no folder can be made %s, and no rights are asked for', (_, path, why) => {
  const dir = tempDir()
  writeFileSync(join(dir, 'file'), '')
  symlinkSync('missing', join(dir, 'nowhere'))
  expect(() => makeFolder(join(dir, path), '--workspace')).toThrow(
    expect.objectContaining({ code: 'bad_config', message: expect.stringMatching(why) }),
  )
  expect(() => makeFolder(join(dir, path), '--workspace')).toThrow(/Choose another --workspace\.$/)
})

test.runIf(process.platform === 'linux')('an error where the kernel takes no folders, without a hang', () => {
  expect(() => makeFolder('/proc/nope/below', 'folder')).toThrow(
    /^Cannot make the folder \/proc\/nope\/below: ENOENT/,
  )
  expect(() => makeFolder('/sys/nope', '--cache')).toThrow(
    /Choose another --cache, or let uid \d+ write there\.$/,
  )
})
