// When polls follow an event: at once after a commit; not while its journal exists.
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { realClock } from '../../runtime/protocol/clock.ts'
import { InboundWatcher } from '../../runtime/watch/inbound-watcher.ts'
import { tempDir } from '../support/files.ts'

interface Hint {
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
  const waiting: (() => void)[] = []
  let startMs = performance.now()
  const trigger = new InboundWatcher({
    clock: realClock,
    path,
    onHint: () => {
      hints.push({ journal: existsSync(`${path}-journal`), sinceMs: performance.now() - startMs })
      for (const tell of waiting.splice(0)) tell()
    },
    onDegraded: (reason) => told.push(reason),
  })
  onTestFinished(() => trigger.stop())
  const insert = () => {
    hints.length = 0
    startMs = performance.now()
    db.exec('insert into t values (1)')
  }
  const nextHint = () => new Promise<void>((resolve) => void waiting.push(resolve))
  return { path, db, trigger, hints, told, insert, nextHint }
}

test('polls follow the end of a commit', async () => {
  const { trigger, hints, insert } = watched('delete')
  trigger.start()
  insert()
  await expect.poll(() => hints.length).toBeGreaterThanOrEqual(4)
  expect(hints.map(({ journal }) => journal)).not.toContain(true)
})

test('during a commit scheduled polls are postponed to its end', async () => {
  const { db, trigger, hints, insert, nextHint } = watched('delete')
  trigger.start()
  insert()
  await nextHint()
  const hintMs = hints.at(-1)?.sinceMs ?? 0
  db.exec('begin immediate; insert into t values (1)')
  // One earlier poll may come before the event; after that there are two.
  const during = () => hints.filter(({ journal }) => journal).map(({ sinceMs }) => sinceMs - hintMs)
  await expect.poll(() => during().filter((ms) => ms > 5).length).toBeGreaterThanOrEqual(2)
  expect(during().length).toBeLessThanOrEqual(3)
  hints.length = 0
  db.exec('commit')
  await expect.poll(() => hints[0]).toMatchObject({ journal: false })
})

test.each(['persist', 'truncate', 'wal'])(
  'commits of a writer in %s mode are detected, too',
  async (mode) => {
    const { trigger, hints, insert } = watched(mode)
    insert()
    trigger.start()
    insert()
    await expect.poll(() => hints.length).toBeGreaterThan(0)
  },
)

test('a folder that cannot be watched is reported once', () => {
  const { path, db, trigger, told } = watched('delete')
  db.close()
  rmSync(join(path, '..'), { recursive: true })
  trigger.start()
  expect(told).toEqual([expect.stringContaining('ENOENT')])
})
