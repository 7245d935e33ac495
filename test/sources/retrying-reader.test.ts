// What is said of trouble with inbound.db, and when: in time that the test owns.
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { createEvents } from '../../runtime/protocol/events.ts'
import { RetryingReader } from '../../runtime/sources/retrying-reader.ts'
import { OutboundUnreadable, readTrouble } from '../../runtime/store/sqlite/classify.ts'
import { FakeClock } from '../support/fake-clock.ts'

const JOURNAL = new Database.SqliteError('attempt to write a readonly database', 'SQLITE_READONLY_ROLLBACK')

/** A file that is read every 250 ms; `error` says what is wrong with it at the moment. */
function reader() {
  const clock = new FakeClock()
  const events = createEvents()
  const said: string[] = []
  events.on('waiting', ({ path, reason }) => said.push(`waits for ${path}: ${reason}`))
  events.on('readable', ({ path }) => said.push(`reads ${path}`))
  events.on('read-unstable', ({ times }) => said.push(`flickered ${times} times`))
  const file: { error: unknown; reads: number } = { error: undefined, reads: 0 }
  const reading = new RetryingReader({
    clock,
    events,
    path: 'inbound.db',
    classify: readTrouble,
    onReadable: () => undefined,
  })
  const read = () => {
    file.reads++
    if (file.error !== undefined) throw file.error
  }
  const look = () => {
    reading.do(read)
    clock.after(250, look)
  }
  look()
  return { clock, file, said, reading }
}

test('a journal that stays is reported once, when it has stayed, and once when it is gone [47]', () => {
  const { clock, file, said, reading } = reader()
  file.error = JOURNAL
  clock.advance(60_000)
  expect(said).toEqual([expect.stringMatching(/^waits for inbound\.db: a writer died/)])
  expect(reading.waitingFor).toMatch(/a writer died/)
  file.error = undefined
  clock.advance(1_000)
  expect(said.slice(1)).toEqual(['reads inbound.db'])
  expect(reading.waitingFor).toBeUndefined()
})

test('a lock that stays is reported once after a second, under the name of the file that is locked; one of a moment is not [52]', () => {
  const { clock, file, said } = reader()
  const busy = new Database.SqliteError('database is locked', 'SQLITE_BUSY')
  file.error = busy
  clock.advance(900)
  file.error = undefined
  clock.advance(1_000)
  expect(said).toEqual([])
  for (const error of [busy, new OutboundUnreadable('outbound.db', busy)]) {
    file.error = error
    clock.advance(30_000)
    file.error = undefined
    clock.advance(1_000)
  }
  expect(said).toEqual([
    'waits for inbound.db: another process keeps it locked',
    'reads inbound.db',
    'waits for outbound.db: another process keeps it locked',
    'reads outbound.db',
  ])
})

test('trouble that is over in a moment is read through in silence; a warning names the mount when it goes on so [51]', () => {
  const { clock, file, said } = reader()
  clock.advance(240)
  for (let n = 0; n < 100; n++) {
    file.error = n % 2 === 0 ? JOURNAL : new Database.SqliteError('malformed', 'SQLITE_CORRUPT')
    const before = file.reads
    clock.advance(60)
    expect(file.reads - before).toBeGreaterThan(3)
    file.error = undefined
    clock.advance(190)
  }
  expect(said).toEqual(['flickered 10 times'])
})

test('what keeps outbound.db from being read is reported under its own name', () => {
  const { clock, file, said } = reader()
  file.error = new OutboundUnreadable(
    'outbound.db',
    new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_READ'),
  )
  clock.advance(1_000)
  file.error = undefined
  clock.advance(1_000)
  expect(said).toEqual(['waits for outbound.db: the disk reports an input/output error', 'reads outbound.db'])
})

test('what is read again comes before what is new, also when a lock keeps both waiting', () => {
  const { clock, file, reading } = reader()
  file.error = new Database.SqliteError('database is locked', 'SQLITE_BUSY')
  clock.advance(250)
  const order: string[] = []
  reading.do(() => order.push('new'))
  reading.do(() => order.push('again'), 'first')
  file.error = undefined
  clock.advance(20)
  expect(order).toEqual(['again', 'new'])
})
