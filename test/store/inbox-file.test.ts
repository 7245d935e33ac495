// inbound.db as a file that belongs to the host: it changes, goes away, comes back as another, is locked
// or broken. Whatever it is, the runtime says what it is, writes nothing, and reads on when it can.
import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readTrouble } from '../../runtime/store/sqlite/classify.ts'
import { Inbox, START } from '../../runtime/store/sqlite/inbox.ts'
import { READ_BUSY_MS } from '../../runtime/store/sqlite/open.ts'
import { type Db, descriptors, headInbound, insertMessage, openDb, tempDir } from '../support/files.ts'
import { leaveHotJournal } from '../support/hot-journal.ts'
import { until } from '../support/runtime.ts'

function fresh(): { path: string; dir: string; inbox: Inbox } {
  const dir = tempDir()
  const path = join(dir, 'inbound.db')
  const inbox = new Inbox(path)
  onTestFinished(() => inbox.close())
  return { path, dir, inbox }
}

function withFile(): { path: string; dir: string; inbox: Inbox; db: Db } {
  const { path, dir, inbox } = fresh()
  return { path, dir, inbox, db: headInbound(path) }
}

/** Another database file, complete, to be put in the place of the first. */
function another(dir: string, ...ids: readonly string[]): string {
  const db = headInbound(join(dir, 'another.db'))
  for (const id of ids) insertMessage(db, { id })
  db.close()
  return db.name
}

const ids = (inbox: Inbox) => inbox.getPendingMessages(START, 100, false).rows.map(({ id }) => id)

function errorOf(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

describe('at rest', () => {
  const isOpen = (path: string) => descriptors().includes(path)
  /** A file that was written a minute ago, read and left. */
  function atRest() {
    const { path, dir, inbox, db } = withFile()
    insertMessage(db, { id: 'm' })
    age(path)
    inbox.changed()
    return { path, dir, inbox, db, rest: () => inbox.rest(Date.now(), 5_000) }
  }
  const age = (path: string) => utimesSync(path, Date.now() / 1_000 - 60, Date.now() / 1_000 - 60)

  test('the file is closed, and looking whether it has changed does not open it', () => {
    const { path, inbox, db, rest } = atRest()
    db.close()
    expect(isOpen(path)).toBe(true)
    expect([rest(), rest(), isOpen(path)]).toEqual([true, true, false])
    expect([inbox.changed(), inbox.changed(true), isOpen(path)]).toEqual(['no', 'no', false])
  })

  test('a commit is seen, once, whatever its kind', () => {
    const { path, inbox, db, rest } = atRest()
    for (const write of [
      () => insertMessage(db, { id: 'next' }),
      () => db.exec("update messages_in set status = 'paused' where id = 'next'"),
      () => db.pragma('user_version = 7'),
    ]) {
      expect(rest()).toBe(true)
      write()
      expect([inbox.changed(), inbox.changed()]).toEqual(['yes', 'no'])
      age(path)
    }
  })

  test('a commit to a write-ahead log is seen, and one that the log is emptied of', () => {
    const { path, inbox, db } = withFile()
    db.pragma('journal_mode = wal')
    inbox.changed()
    const past = () => [path, `${path}-wal`].forEach(age)
    const rest = () => inbox.rest(Date.now(), 5_000)
    for (let n = 0; n < 3; n++) {
      insertMessage(db)
      expect([inbox.changed(), rest()]).toEqual(['yes', false])
      past()
      expect(rest()).toBe(true)
      insertMessage(db)
      expect([inbox.changed(), inbox.changed()]).toEqual(['yes', 'no'])
      past()
      expect(rest()).toBe(true)
      db.pragma('wal_checkpoint(truncate)')
      expect(inbox.changed()).toBe('yes')
    }
  })

  test.each(['persist', 'truncate'])(
    'a journal that stays, as with journal_mode=%s, keeps it from nothing',
    (mode) => {
      const { path, inbox, db, rest } = atRest()
      db.pragma(`journal_mode = ${mode}`)
      for (let n = 0; n < 2; n++) {
        insertMessage(db)
        expect([inbox.changed(), rest()]).toEqual(['yes', false])
        for (const file of [path, `${path}-journal`]) age(file)
        expect([rest(), inbox.changed()]).toEqual([true, 'no'])
      }
    },
  )

  test('a read opens it, and is no change; a commit before or behind it is one', () => {
    const { path, inbox, db, rest } = atRest()
    expect(rest()).toBe(true)
    expect([inbox.getMessages(['m']).size, inbox.changed(), inbox.changed()]).toEqual([1, 'no', 'no'])
    expect(rest()).toBe(true)
    insertMessage(db)
    expect([ids(inbox).length, inbox.changed(), inbox.changed()]).toEqual([2, 'yes', 'no'])
    age(path)
    expect(rest()).toBe(true)
    ids(inbox)
    insertMessage(db)
    expect([inbox.changed(), inbox.changed()]).toEqual(['yes', 'no'])
  })

  test.each(['straight away', 'after a while without any'])('another file is replaced: %s', (when) => {
    const { path, dir, inbox, rest } = atRest()
    const other = another(dir, 'x')
    age(other)
    expect(rest()).toBe(true)
    if (when !== 'straight away') {
      rmSync(path)
      expect(() => inbox.changed()).toThrow('does not exist yet')
    }
    renameSync(other, path)
    expect([inbox.changed(), ids(inbox), inbox.changed()]).toEqual(['replaced', ['x'], 'no'])
  })

  test('it is not left while the host commits, has just committed, or has committed what was not seen', () => {
    const { path, inbox, db, rest } = atRest()
    insertMessage(db)
    age(path)
    expect(rest(), 'not seen').toBe(false)
    inbox.changed()
    utimesSync(path, Date.now() / 1_000 - 3, Date.now() / 1_000 - 3)
    expect(rest(), 'just now').toBe(false)
    age(path)
    writeFileSync(`${path}-journal`, 'begun')
    expect(rest(), 'a journal').toBe(false)
    rmSync(`${path}-journal`)
    expect([isOpen(path), rest()]).toEqual([true, true])
  })

  test('a journal that its writer has left behind says that the file is not readable, as it does while it is open', async () => {
    const { path, inbox, db, rest } = atRest()
    db.exec(`with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)
      insert into messages_in (id, seq, kind, timestamp, content) select 'm' || i, i * 2 + 2, 'chat', '', printf('%200d', i) from n`)
    db.close()
    inbox.changed()
    age(path)
    expect(rest()).toBe(true)
    await leaveHotJournal(path, "update messages_in set content = 'torn'")
    for (let n = 0; n < 2; n++)
      expect(errorOf(() => inbox.changed())).toMatchObject({ code: 'SQLITE_READONLY_ROLLBACK' })
    openDb(path).prepare('select count(*) from messages_in').get()
    expect(inbox.changed()).toBe('yes')
  })
})

describe('whether anything has changed', () => {
  test('yes at first, then no, and yes once after each commit', () => {
    const { inbox, db } = withFile()
    expect([inbox.changed(), inbox.changed(), inbox.changed()]).toEqual(['yes', 'no', 'no'])
    for (let n = 0; n < 3; n++) {
      insertMessage(db)
      insertMessage(db)
      expect([inbox.changed(), inbox.changed()]).toEqual(['yes', 'no'])
    }
  })

  test('reading, and what the host reads or rolls back, is no change', () => {
    const { inbox, db } = withFile()
    inbox.changed()
    ids(inbox)
    db.prepare('select count(*) from messages_in').get()
    db.exec(
      "begin; insert into messages_in (id, kind, timestamp, content) values ('x', '', '', ''); rollback",
    )
    expect(inbox.changed()).toBe('no')
  })

  test('in doubt, a file whose times moved is met afresh; without doubt they mean nothing, and are not noted', () => {
    const { inbox, path } = withFile()
    inbox.changed()
    utimesSync(path, 1, 1)
    expect([inbox.changed(), inbox.changed(), inbox.changed(true), inbox.changed(true)]).toEqual([
      'no',
      'no',
      'yes',
      'no',
    ])
    utimesSync(path, 2, 2)
    expect([inbox.changed(true), inbox.changed(true)]).toEqual(['yes', 'no'])
  })
})

describe('another file in its place', () => {
  test('that is renamed over it is noticed at once, said once, and read', () => {
    const { inbox, dir, path, db } = withFile()
    insertMessage(db, { id: 'old' })
    expect([inbox.changed(), ids(inbox)]).toEqual(['yes', ['old']])
    renameSync(another(dir, 'new'), path)
    expect(inbox.changed()).toBe('replaced')
    expect([ids(inbox), inbox.changed()]).toEqual([['new'], 'no'])
  })

  test('that comes after a time without any is another file, too', () => {
    const { inbox, dir, path, db } = withFile()
    inbox.changed()
    db.close()
    rmSync(path)
    for (let n = 0; n < 3; n++)
      expect(() => inbox.changed()).toThrow(expect.objectContaining({ code: 'not_readable_yet' }))
    renameSync(another(dir, 'new'), path)
    expect([inbox.changed(), ids(inbox), inbox.changed()]).toEqual(['replaced', ['new'], 'no'])
  })

  test('that is not ready when it is first seen is another file still when it is', () => {
    const { inbox, dir, path } = withFile()
    inbox.changed()
    writeFileSync(join(dir, 'empty'), '')
    renameSync(join(dir, 'empty'), path)
    expect(() => inbox.changed()).toThrow(expect.objectContaining({ code: 'not_readable_yet' }))
    insertMessage(headInbound(path), { id: 'new' })
    expect([inbox.changed(), ids(inbox), inbox.changed()]).toEqual(['replaced', ['new'], 'no'])
  })

  test('and the first file that ever comes is no other: there was none before', () => {
    const { inbox, path } = fresh()
    expect(() => inbox.changed()).toThrow('does not exist yet')
    headInbound(path)
    expect([inbox.changed(), inbox.changed()]).toEqual(['yes', 'no'])
  })
})

test('a file that is moved away in the very moment in which it is opened is waited for [56]', async () => {
  const { path } = withFile()
  const mover = new Worker(MOVER, { eval: true, workerData: path })
  onTestFinished(async () => void (await mover.terminate()))
  const waitedFor = new Set<string>()
  const openOften = () => {
    for (let n = 0; n < 100; n++) {
      const inbox = new Inbox(path)
      try {
        inbox.changed()
      } catch (error) {
        const trouble = readTrouble(error) // throws what is a bug
        if (!trouble.retry) waitedFor.add(trouble.reason)
      } finally {
        inbox.close()
      }
    }
  }
  await until(
    () => {
      openOften()
      return waitedFor.has(`${path} was moved away just now`)
    },
    () => [...waitedFor].join('\n'),
  )
})

/** Moves a file to and fro, as fast as it can, beside a process that opens it. */
const MOVER = `
  const { renameSync } = require('node:fs')
  const { workerData: path } = require('node:worker_threads')
  for (;;) {
    renameSync(path, path + '.away')
    renameSync(path + '.away', path)
  }
`

describe('what cannot be read says what it is, at once, and is read when it can be:', () => {
  test.each<[string, (path: string) => void, { code: string; message: unknown }]>([
    [
      'nothing',
      () => {},
      { code: 'not_readable_yet', message: expect.stringMatching(/inbound\.db does not exist yet$/) },
    ],
    [
      'a folder',
      (path) => mkdirSync(path),
      { code: 'not_readable_yet', message: expect.stringContaining('is not a regular file') },
    ],
    [
      'a FIFO',
      (path) => execFileSync('mkfifo', [path]),
      { code: 'not_readable_yet', message: expect.stringContaining('is not a regular file') },
    ],
    [
      'a link to nowhere',
      (path) => symlinkSync('nowhere', path),
      { code: 'not_readable_yet', message: expect.stringContaining('is not a regular file') },
    ],
    [
      'a link to itself',
      (path) => symlinkSync(path, path),
      { code: 'not_readable_yet', message: expect.stringContaining('is not a regular file') },
    ],
    [
      'an empty file',
      (path) => writeFileSync(path, ''),
      { code: 'not_readable_yet', message: expect.stringContaining('has no table messages_in yet') },
    ],
    [
      'a database of something else',
      (path) => openDb(path).exec('create table t (a)').close(),
      { code: 'not_readable_yet', message: expect.stringContaining('has no table messages_in yet') },
    ],
    [
      'a table that is none of ours',
      (path) => openDb(path).exec('create table messages_in (seq, kind, body)').close(),
      {
        code: 'inbound_unusable',
        message: expect.stringContaining('table messages_in lacks id, timestamp, content; expected'),
      },
    ],
    [
      'text',
      (path) => writeFileSync(path, 'not a database, but some text of a certain length, and more'.repeat(20)),
      { code: 'SQLITE_NOTADB', message: 'file is not a database' },
    ],
    [
      'half a database',
      (path) => execFileSync('truncate', ['-s', '5000', headInbound(path).close().name]),
      { code: 'SQLITE_CORRUPT', message: expect.any(String) },
    ],
  ])('%s', (_, make, expected) => {
    const { inbox, path, dir } = fresh()
    make(path)
    const startMs = performance.now()
    for (const work of [
      () => inbox.changed(),
      () => inbox.changed(true),
      () => ids(inbox),
      () => inbox.getMessageIn('a'),
      () => inbox.maxSeq(),
    ])
      expect(errorOf(work)).toMatchObject(expected)
    expect(performance.now() - startMs).toBeLessThan(1_000)

    rmSync(path, { recursive: true, force: true })
    renameSync(another(dir, 'a'), path)
    expect([inbox.changed() !== 'no', ids(inbox)]).toEqual([true, ['a']])
  })

  test('a link to a database that lies elsewhere is read', () => {
    const { inbox, path, dir } = fresh()
    symlinkSync(another(dir, 'a'), path)
    expect([inbox.changed(), ids(inbox)]).toEqual(['yes', ['a']])
  })

  test('what a killed writer left is not touched, and read again when its writer has come back', async () => {
    const { inbox, path, dir, db } = withFile()
    const fill = (
      where: string,
    ) => `with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)
      insert into messages_in (id, seq, kind, timestamp, content) select '${where}' || i, i * 2, 'chat', '', printf('%200d', i) from n`
    db.exec(fill('before '))
    db.close()
    await leaveHotJournal(path, "update messages_in set status = 'torn', content = 'torn'")
    const before = snapshot(dir)
    for (let n = 0; n < 3; n++)
      expect(errorOf(() => inbox.changed())).toMatchObject({ code: 'SQLITE_READONLY_ROLLBACK' })
    expect(snapshot(dir)).toEqual(before)

    openDb(path).prepare('select count(*) from messages_in').get()
    expect(inbox.changed()).toBe('yes')
    expect(inbox.getPendingMessages(START, 5_000, false).rows).toHaveLength(3_000)
  })
})

describe('while the host holds the lock', () => {
  /** How long each of these reads takes to fail. */
  const failuresMs = (inbox: Inbox, count: number) =>
    Array.from({ length: count }, () => {
      const startMs = performance.now()
      expect(errorOf(() => inbox.maxSeq())).toMatchObject({ code: 'SQLITE_BUSY' })
      return performance.now() - startMs
    })
  const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!

  test.each(['a file that is open', 'a file that is yet to be opened'])(
    'a read of %s fails at once, so that the loop goes on; only one in many waits',
    (which) => {
      const { inbox, db } = withFile()
      insertMessage(db, { id: 'a' })
      if (which === 'a file that is open') inbox.changed()
      db.exec('begin exclusive')
      expect(median(failuresMs(inbox, 5))).toBeLessThan(5)
      const many = failuresMs(inbox, 120)
      expect(median(many), 'nor do all of them once they have been many').toBeLessThan(5)
      expect(many.filter((ms) => ms > READ_BUSY_MS - 5).length, 'now and then one waits').toBeGreaterThan(1)
      expect(Math.max(...many), 'but not for long').toBeLessThan(500)

      db.exec('commit')
      expect(ids(inbox)).toEqual(['a'])
      db.exec('begin exclusive')
      expect(median(failuresMs(inbox, 5)), 'patience begins anew').toBeLessThan(5)
    },
  )

  test('a lock that only forbids writing forbids nothing here', () => {
    const { inbox, db } = withFile()
    insertMessage(db, { id: 'a' })
    db.exec("begin immediate; update messages_in set status = 'completed'")
    expect(ids(inbox)).toEqual(['a'])
  })
})

/** Names, sizes and bytes of all that is in a folder, read by another process: this one has locks to lose. */
function snapshot(dir: string): string {
  const script = `const fs = require('fs'), dir = process.argv[1]
    for (const name of fs.readdirSync(dir).sort())
      console.log(name, require('crypto').createHash('sha256').update(fs.readFileSync(dir + '/' + name)).digest('hex'))`
  return execFileSync(process.execPath, ['-e', script, dir], { encoding: 'utf8' })
}

test('reading in every way there is writes nothing: not a byte, not a file beside it', () => {
  const { inbox, dir, db, path } = withFile()
  for (let n = 0; n < 50; n++) insertMessage(db, { content: { questionId: `q-${n}` } })
  const before = snapshot(dir)
  expect(before).toMatch(/^inbound\.db [0-9a-f]{64}\n$/)
  inbox.changed()
  inbox.changed(true)
  for (const withContent of [true, false]) {
    inbox.getPendingMessages(START, 10, withContent)
    inbox.getPendingByIds(['m-2', 'm-4'], withContent)
  }
  inbox.getMessages(['m-2', 'none'])
  inbox.questionResponses('q-7')
  inbox.maxSeq()
  inbox.rawId(1)
  expect(snapshot(dir), 'while it is open').toEqual(before)
  inbox.close()
  inbox.close()
  new Inbox(path).close()
  expect(snapshot(dir), 'after it was closed').toEqual(before)
  expect(inbox.getMessageIn('m-2')?.id, 'and it may be used again').toBe('m-2')
})
