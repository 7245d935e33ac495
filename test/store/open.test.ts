// A handle for reading only, as every reader of a database file here gets it.
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openReadonly, openWritable } from '../../runtime/store/sqlite/open.ts'
import { attacker } from '../support/attacker.ts'
import { openDb, tempDir } from '../support/files.ts'

function openBoth(journal: 'delete' | 'wal') {
  const writer = openDb(join(tempDir(), 'some.db'), { timeout: 0 })
  writer.pragma(`journal_mode = ${journal}`)
  writer.exec('create table row (n integer)')
  const reader = openReadonly(writer.name)
  onTestFinished(() => reader.close())
  const count = reader.prepare('select count(*) from row')
  return {
    insert: () => writer.exec('insert into row values (1)'),
    snapshot: reader.snapshot,
    count: () => (count.get() as [number])[0],
  }
}

test('what is read in one snapshot is one moment of the file', () => {
  const { insert, snapshot, count } = openBoth('wal')
  const seen = snapshot(() => {
    const before = count()
    insert()
    return [before, count()]
  })
  expect([...seen, count()]).toEqual([0, 0, 1])
})

test('after a read that failed the file is free again', () => {
  const { insert, snapshot, count } = openBoth('delete')
  const failing = () =>
    snapshot(() => {
      count()
      throw new Error('half way')
    })
  expect(failing).toThrow('half way')
  insert()
  expect(count()).toBe(1)
})

test('a link that takes the place of a file while it is opened for writing is not followed [113]', async () => {
  const dir = tempDir()
  const [path, other] = [join(dir, 'inbound.db'), join(tempDir(), 'other.db')]
  for (const [file, version] of [
    [path, 1],
    [other, 2],
  ] as const)
    openDb(file).exec(`pragma user_version = ${version}; create table t (x)`)
  await attacker('swap', path, other)
  const seen = new Set<unknown>()
  for (let round = 0; round < 4_000 || !seen.has(1); round++) {
    try {
      const db = openWritable(path, 'delete')
      seen.add(db.pragma('user_version', { simple: true }))
      db.close()
    } catch {
      // A link stood there, or nothing does any more.
    }
  }
  expect(seen).not.toContain(2)
})
