// What each database error means for the runtime: every code that was ever seen in trouble, and every one
// that SQLite has.
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import {
  classifyRead,
  classifyWrite,
  explain,
  PRIMARY_CODES,
  sqliteCode,
  type Verdict,
} from '../../runtime/store/sqlite/classify.ts'
import { tempDir } from '../support/files.ts'

const error = (code: string, message = '') => new Database.SqliteError(message, code)

describe.each<[string, string, string, Verdict, Verdict]>([
  [
    'a dead writer’s journal',
    'SQLITE_READONLY_ROLLBACK',
    'attempt to write a readonly database',
    'wait',
    'misplaced',
  ],
  ['WAL files that need their writer', 'SQLITE_READONLY_RECOVERY', '', 'wait', 'misplaced'],
  ['a file moved or deleted while in use', 'SQLITE_READONLY_DBMOVED', '', 'wait', 'misplaced'],
  ['a file that is not ours to write', 'SQLITE_READONLY', '', 'wait', 'misplaced'],
  ['a folder that is not ours to write', 'SQLITE_READONLY_DIRECTORY', '', 'wait', 'misplaced'],
  [
    'no file, no permission, no descriptors, WAL on a read-only mount',
    'SQLITE_CANTOPEN',
    'unable to open database file',
    'wait',
    'hold',
  ],
  ['a link in a circle', 'SQLITE_CANTOPEN_SYMLINK', '', 'wait', 'hold'],
  ['the other side’s lock', 'SQLITE_BUSY', 'database is locked', 'retry', 'retry'],
  ['the other side’s recovery', 'SQLITE_BUSY_RECOVERY', '', 'retry', 'retry'],
  ['a snapshot that is out of date', 'SQLITE_BUSY_SNAPSHOT', '', 'retry', 'retry'],
  ['a file that is empty as yet', 'SQLITE_ERROR', 'no such table: messages_in', 'wait', 'bug'],
  ['a column that is not there', 'SQLITE_ERROR', 'no such column: seq', 'wait', 'bug'],
  ['a format of another SQLite', 'SQLITE_ERROR', 'unsupported file format', 'wait', 'bug'],
  ['a mistake in our SQL', 'SQLITE_ERROR', 'near "selct": syntax error', 'bug', 'bug'],
  [
    'a file cut in half, garbage, or a disk that reads wrongly',
    'SQLITE_CORRUPT',
    'database disk image is malformed',
    'damaged',
    'damaged',
  ],
  ['an index that does not fit its table', 'SQLITE_CORRUPT_INDEX', '', 'damaged', 'damaged'],
  ['something that is no database', 'SQLITE_NOTADB', 'file is not a database', 'damaged', 'damaged'],
  ['a folder in its place', 'SQLITE_IOERR_READ', 'disk I/O error', 'damaged', 'hold'],
  ['a disk that does not sync', 'SQLITE_IOERR_FSYNC', 'disk I/O error', 'damaged', 'hold'],
  ['a full disk', 'SQLITE_FULL', 'database or disk is full', 'hold', 'hold'],
  ['no memory', 'SQLITE_NOMEM', '', 'hold', 'hold'],
  ['a value of 600 MB', 'SQLITE_TOOBIG', 'string or blob too big', 'wait', 'bug'],
  ['a second row of one id', 'SQLITE_CONSTRAINT_PRIMARYKEY', '', 'bug', 'bug'],
  ['a second row of one number', 'SQLITE_CONSTRAINT_UNIQUE', '', 'bug', 'bug'],
  ['a value of the wrong type', 'SQLITE_CONSTRAINT_DATATYPE', '', 'bug', 'bug'],
  ['a schema that changed in between', 'SQLITE_SCHEMA', '', 'retry', 'retry'],
])('%s (%s %s)', (_, code, message, read, write) => {
  test(`reading: ${read}`, () => expect(classifyRead(error(code, message))).toBe(read))
  test(`writing: ${write}`, () => expect(classifyWrite(error(code, message))).toBe(write))
})

/** By family; a family that SQLite gains and this table lacks fails the test below. */
const FAMILIES: Readonly<Record<string, readonly [read: Verdict, write: Verdict]>> = {
  SQLITE_ERROR: ['wait', 'bug'],
  SQLITE_INTERNAL: ['bug', 'bug'],
  SQLITE_PERM: ['wait', 'misplaced'],
  SQLITE_ABORT: ['retry', 'retry'],
  SQLITE_BUSY: ['retry', 'retry'],
  SQLITE_LOCKED: ['retry', 'retry'],
  SQLITE_NOMEM: ['hold', 'hold'],
  SQLITE_READONLY: ['wait', 'misplaced'],
  SQLITE_INTERRUPT: ['retry', 'retry'],
  SQLITE_IOERR: ['damaged', 'hold'],
  SQLITE_CORRUPT: ['damaged', 'damaged'],
  SQLITE_NOTFOUND: ['bug', 'bug'],
  SQLITE_FULL: ['hold', 'hold'],
  SQLITE_CANTOPEN: ['wait', 'hold'],
  SQLITE_PROTOCOL: ['retry', 'retry'],
  SQLITE_SCHEMA: ['retry', 'retry'],
  SQLITE_TOOBIG: ['wait', 'bug'],
  SQLITE_CONSTRAINT: ['bug', 'bug'],
  SQLITE_MISMATCH: ['wait', 'bug'],
  SQLITE_MISUSE: ['bug', 'bug'],
  SQLITE_AUTH: ['wait', 'misplaced'],
  SQLITE_RANGE: ['bug', 'bug'],
  SQLITE_NOTADB: ['damaged', 'damaged'],
}

test('every primary code has its row, and no row is for a code that does not exist', () => {
  expect(Object.keys(FAMILIES).sort()).toEqual([...PRIMARY_CODES].sort())
})

test.each(Object.entries(FAMILIES))(
  '%s, and whatever SQLite will call its members, is %j',
  (family, verdicts) => {
    for (const code of [family, `${family}_NEW_MEMBER`])
      expect([classifyRead(error(code)), classifyWrite(error(code))]).toEqual(verdicts)
  },
)

test('a family is known by its whole name: NOTADB is no member of NOTFOUND, nor the other way round', () => {
  expect([classifyRead(error('SQLITE_NOTFOUND')), classifyRead(error('SQLITE_NOTADB'))]).toEqual([
    'bug',
    'damaged',
  ])
  expect(classifyRead(error('SQLITE_BUSYBODY'))).toBe('bug')
})

describe('what is no error of SQLite is our own mistake', () => {
  test.each<[string, unknown]>([
    ['a TypeError', new TypeError('x is not a function')],
    ['a system error', Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })],
    ['a code that is no text', Object.assign(new Error('m'), { code: 5 })],
    ['an object that looks like one', { code: 'SQLITE_BUSY', message: 'database is locked' }],
    ['a code that SQLite does not have', error('SQLITE_WHATEVER')],
    ['text', 'SQLITE_BUSY'],
    ['nothing', undefined],
  ])('%s', (_, thrown) => {
    expect([classifyRead(thrown), classifyWrite(thrown)]).toEqual(['bug', 'bug'])
  })
})

test('an error for a missing folder has no code, and is classified all the same', () => {
  let thrown: unknown
  try {
    new Database(join(tempDir(), 'no', 'such', 'inbound.db'))
  } catch (caught) {
    thrown = caught
  }
  expect(sqliteCode(thrown)).toBeUndefined()
  expect([classifyRead(thrown), classifyWrite(thrown)]).toEqual(['wait', 'misplaced'])
})

describe('for people, each says what it most likely is and what to do', () => {
  test.each([
    [
      'SQLITE_READONLY_ROLLBACK',
      /writer died in mid-transaction.*readable again once its writer has opened it/,
    ],
    ['SQLITE_READONLY_DBMOVED', /moved or deleted.*put it back/],
    [
      'SQLITE_CANTOPEN',
      /missing, no permission, no descriptors left, or in WAL mode on a read-only mount \(use journal_mode=DELETE\)/,
    ],
    ['SQLITE_CANTOPEN_ISDIR', /cannot be opened/],
    ['SQLITE_NOTADB', /not an SQLite database/],
    ['SQLITE_CORRUPT_VTAB', /damaged.*backup/],
    ['SQLITE_FULL', /disk is full; free some space/],
    ['SQLITE_IOERR_WRITE', /input\/output error/],
    ['SQLITE_ERROR', /^its own words$/],
  ])('%s', (code, text) => {
    expect(explain(error(code, 'its own words'))).toMatch(text)
  })

  test('what is no error at all is said as it is', () => {
    expect([explain('words'), explain(undefined), explain(new Error('m'))]).toEqual([
      'words',
      'undefined',
      'm',
    ])
  })
})
