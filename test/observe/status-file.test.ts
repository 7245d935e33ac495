// The status file beside the lock. Handlers share its folder, so they may replace it.
import { execFileSync } from 'node:child_process'
import { lstatSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { StatusFile } from '../../runtime/observe/status-file.ts'
import { createEvents } from '../../runtime/protocol/events.ts'
import { tempDir } from '../support/files.ts'

const NOTE = {
  workspace: '/w',
  startedAt: '',
  epoch: 1,
  functions: [],
  unroutable: {},
  state: 'running',
} as const

test.each(['.runtime.json', '.runtime.json.new'])(
  'a link at %s is replaced, and its target stays [113]',
  (name) => {
    const dir = tempDir()
    const target = join(dir, 'precious')
    writeFileSync(target, 'of the host')
    symlinkSync(target, join(dir, name))
    new StatusFile(join(dir, '.runtime.lock'), createEvents()).write(NOTE, 0)
    expect(readFileSync(target, 'utf8')).toBe('of the host')
    const path = join(dir, '.runtime.json')
    expect(lstatSync(path).isFile()).toBe(true)
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ pid: process.pid, epoch: 1 })
  },
)

test('a status file that is a link or a FIFO is not read [113]', () => {
  const dir = tempDir()
  writeFileSync(join(dir, 'other'), '{"pid":1,"host":"secret"}')
  const holder = () => new StatusFile(join(dir, '.runtime.lock'), createEvents()).holder()
  symlinkSync('other', join(dir, '.runtime.json'))
  expect(holder()).toBe('a process without a status file')
  execFileSync('rm', [join(dir, '.runtime.json')])
  execFileSync('mkfifo', [join(dir, '.runtime.json')])
  expect(holder()).toBe('a process without a status file')
})
