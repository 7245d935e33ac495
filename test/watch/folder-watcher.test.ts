// Folders that come and go, on real folders, with a clock that the test owns.
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { FolderWatcher, folderPattern } from '../../runtime/watch/folder-watcher.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { tempDir } from '../support/files.ts'

function watched(pattern: string) {
  const root = tempDir()
  const clock = new FakeClock()
  const seen: string[] = []
  const watcher = new FolderWatcher({
    clock,
    pattern: join(root, pattern),
    onCome: (folder) => seen.push(`+${basename(folder)}`),
    onGo: (folder) => seen.push(`-${basename(folder)}`),
  })
  const make = (name: string) => mkdirSync(join(root, name), { recursive: true })
  return { root, clock, watcher, make, seen: () => seen.splice(0).sort() }
}

test('each matching folder is reported once, and its removal or move; files and hidden folders are ignored', () => {
  const { root, clock, watcher, make, seen } = watched('sessions/*')
  watcher.start()
  expect(seen(), 'the folder above need not be there yet').toEqual([])
  for (const name of ['a', 'b', '.hidden']) make(`sessions/${name}`)
  writeFileSync(join(root, 'sessions', 'file'), '')
  symlinkSync(join(root, 'sessions', 'a'), join(root, 'sessions', 'link'))
  symlinkSync(join(root, 'nowhere'), join(root, 'sessions', 'dangling'))
  clock.advance(3_000)
  expect(seen()).toEqual(['+a', '+b', '+link'])
  renameSync(join(root, 'sessions', 'b'), join(root, 'sessions', 'c'))
  clock.advance(1_000)
  expect(seen()).toEqual(['+c', '-b'])
  rmSync(join(root, 'sessions'), { recursive: true })
  clock.advance(1_000)
  expect(seen()).toEqual(['-a', '-c', '-link'])
  watcher.stop()
  make('sessions/d')
  clock.advance(5_000)
  expect(seen()).toEqual([])
})

test('a postponed folder is reported again after its time, or as soon as it was removed and created', () => {
  const { root, clock, watcher, make, seen } = watched('session-*')
  make('session-1')
  make('other')
  watcher.start()
  expect(seen()).toEqual(['+session-1'])
  watcher.comeAgain(join(root, 'session-1'), 5_000)
  clock.advance(4_000)
  expect(seen()).toEqual([])
  clock.advance(2_000)
  expect(seen()).toEqual(['+session-1'])
})

test.each([
  ['sessions/*', '/srv/sessions/*'],
  ['/srv/s-*-x', '/srv/s-*-x'],
  ['*', '/srv/*'],
  ['sessions', undefined],
  ['*/session', undefined],
  ['sessions/**', undefined],
  ['', undefined],
])('%j is a pattern of folders: %s', (text, pattern) => {
  expect(folderPattern('/srv', text)).toBe(pattern)
})
