// Change detection by file times: false positives are allowed, false negatives are not.
import { mkdirSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { ChangeProbe } from '../../runtime/host/change-probe.ts'
import { openDb, tempDir } from '../support/files.ts'

const HOUR_MS = 3_600_000
/** Default time of the probes: long after the files were written. */
const LATER = () => Date.now() + HOUR_MS

/** A folder whose files were written long before the probe of its last read. */
function known() {
  const dir = tempDir()
  const outbound = openDb(join(dir, 'outbound.db'))
  const inbound = openDb(join(dir, 'inbound.db'))
  for (const db of [inbound, outbound]) db.exec('create table t (x); insert into t values (1)')
  const glance = new ChangeProbe(dir)
  const atMs = LATER()
  glance.read(glance.look(atMs))
  const isNews = (laterMs = 0) => glance.isNews(glance.look(atMs + laterMs))
  return { dir, inbound, outbound, glance, isNews }
}

test('without a write, there is no news for a minute', () => {
  const { isNews } = known()
  expect([isNews(), isNews(59_000), isNews(61_000)]).toEqual([false, false, true])
})

test('the wall clock was set back: news', () => {
  const { isNews } = known()
  expect(isNews(-2 * HOUR_MS)).toBe(true)
})

test.each(['inbound', 'outbound'] as const)(
  'a commit to %s.db is news, also one that changes no size',
  (name) => {
    const bench = known()
    bench[name].exec('update t set x = 2')
    expect(bench.isNews()).toBe(true)
  },
)

test('a commit in WAL mode is news', () => {
  const { outbound, glance, isNews } = known()
  outbound.pragma('journal_mode = wal')
  outbound.exec('update t set x = 2')
  glance.read(glance.look(LATER()))
  expect(isNews()).toBe(false)
  outbound.exec('update t set x = 3')
  expect(isNews()).toBe(true)
})

test('a replaced file with the same size and time is news', () => {
  const { dir, isNews } = known()
  const path = join(dir, 'outbound.db')
  const copy = new Database(path, { readonly: true }).serialize()
  writeFileSync(`${path}.new`, copy)
  utimesSync(`${path}.new`, statSync(path).atime, statSync(path).mtime)
  renameSync(`${path}.new`, path)
  expect(isNews()).toBe(true)
})

test('a file written just before the probe is read again: its time may hide a later commit', () => {
  const { dir, glance } = known()
  const path = join(dir, 'outbound.db')
  const atMs = Math.ceil(Date.now() / 1000) * 1000
  utimesSync(path, atMs / 1000, atMs / 1000)
  const look = glance.look(atMs + 2_000)
  glance.read(look)
  // Other content of the same size and time: only a read would detect it.
  expect(glance.isNews(glance.look(atMs + 2_000))).toBe(true)
  glance.read(glance.look(atMs + HOUR_MS))
  expect(glance.isNews(glance.look(atMs + HOUR_MS))).toBe(false)
})

test('a folder without files is news only once a file exists', () => {
  const dir = join(tempDir(), 'empty')
  mkdirSync(dir)
  const glance = new ChangeProbe(dir)
  const atMs = LATER()
  glance.read(glance.look(atMs))
  expect(glance.isNews(glance.look(atMs))).toBe(false)
  openDb(join(dir, 'outbound.db')).exec('create table t (x)')
  expect(glance.isNews(glance.look(atMs))).toBe(true)
})
