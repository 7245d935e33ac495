// When a look is worth while: after a commit, at once; not while its journal lies there.
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { realClock } from '../../runtime/clock.ts'
import { DatabaseTrigger } from '../../runtime/triggers/database.ts'
import { tempDir } from '../support/files.ts'

interface Hint {
  readonly committed: boolean
  readonly journal: boolean
  readonly sinceMs: number
}

function watched(journalMode: string) {
  const path = join(tempDir(), 'inbound.db')
  const db = new Database(path)
  db.pragma(`journal_mode = ${journalMode}`)
  db.exec('create table t (n)')
  onTestFinished(() => void db.close())
  const hints: Hint[] = []
  const told: string[] = []
  let startMs = performance.now()
  const trigger = new DatabaseTrigger({
    clock: realClock,
    path,
    onHint: (committed) =>
      hints.push({ committed, journal: existsSync(`${path}-journal`), sinceMs: performance.now() - startMs }),
    onDegraded: (reason) => told.push(reason),
  })
  onTestFinished(() => trigger.stop())
  const insert = () => {
    hints.length = 0
    startMs = performance.now()
    db.exec('insert into t values (1)')
  }
  return { path, db, trigger, hints, told, insert }
}

test('the end of a commit is told as such, and looks follow', async () => {
  const { trigger, hints, insert } = watched('delete')
  trigger.start()
  insert()
  await expect.poll(() => hints.length).toBeGreaterThanOrEqual(4)
  expect(hints[0]).toMatchObject({ committed: true, journal: false })
  expect(hints.slice(1).map(({ committed }) => committed)).not.toContain(true)
})

test('while a commit is on its way nothing is looked at at once; its end is', async () => {
  const { db, trigger, hints } = watched('delete')
  trigger.start()
  db.exec('begin immediate; insert into t values (1)')
  await expect.poll(() => hints.length).toBeGreaterThanOrEqual(2)
  expect(hints.map(({ committed, journal }) => committed || !journal)).not.toContain(true)
  expect(hints[0]?.sinceMs).toBeGreaterThan(2)
  hints.length = 0
  db.exec('commit')
  await expect.poll(() => hints[0]).toMatchObject({ committed: true, journal: false })
})

test.each(['persist', 'truncate', 'wal'])('a writer in %s mode is heard too', async (mode) => {
  const { trigger, hints, insert } = watched(mode)
  insert()
  trigger.start()
  insert()
  await expect.poll(() => hints.length).toBeGreaterThan(0)
})

test('a folder that cannot be watched is told, once', () => {
  const { path, db, trigger, told } = watched('delete')
  db.close()
  rmSync(join(path, '..'), { recursive: true })
  trigger.start()
  expect(told).toEqual([expect.stringContaining('ENOENT')])
})
