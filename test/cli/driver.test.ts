// An installation of this package whose better-sqlite3 lacks its native module, or has one that this Node
// cannot load.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tempDir } from '../support/files.ts'
import { emptyProject, REPOSITORY } from './cli.ts'

const MODULES = join(REPOSITORY, 'node_modules')

test.each([
  ['is missing', () => {}, /^better-sqlite3 is not built: its native module is missing/],
  [
    'is no module',
    (file: string) => writeFileSync(file, 'nonsense'),
    /^better-sqlite3 is not built for Node v\S+ on \S+: /,
  ],
])('where the native module of better-sqlite3 %s, every command names the remedy [136]', (_, spoil, says) => {
  const installed = tempDir()
  cpSync(join(REPOSITORY, 'dist'), join(installed, 'dist'), { recursive: true })
  cpSync(join(REPOSITORY, 'package.json'), join(installed, 'package.json'))
  mkdirSync(join(installed, 'node_modules'))
  for (const name of readdirSync(MODULES).filter((name) => name !== 'better-sqlite3'))
    symlinkSync(join(MODULES, name), join(installed, 'node_modules', name))
  const driver = join(installed, 'node_modules/better-sqlite3')
  cpSync(join(MODULES, 'better-sqlite3'), driver, { recursive: true })
  const native = join(driver, 'build/Release/better_sqlite3.node')
  expect(existsSync(native)).toBe(true)
  rmSync(native)
  spoil(native)
  const cwd = emptyProject()
  for (const args of [
    ['send', 'chat', 'x'],
    ['status'],
    ['show', 'x'],
    ['dev'],
    ['start'],
    ['conform'],
    ['conform', '.'],
  ]) {
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      [join(installed, 'dist/bin/main.js'), ...args],
      { cwd, encoding: 'utf8' },
    )
    expect({ args, status, stdout }).toEqual({ args, status: 78, stdout: '' })
    expect(stderr).toMatch(says)
    expect(stderr).toContain('npm rebuild better-sqlite3')
    expect(stderr.trim().split('\n')).toHaveLength(1)
  }
  expect(readdirSync(cwd)).toEqual(['functions'])
})
