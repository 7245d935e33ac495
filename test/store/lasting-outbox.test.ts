// outbound.db over the life of a runtime: what the handle remembers is not believed after the disk has failed once.
// The damage is done by another process, since a descriptor closed in this one would drop its locks.
import { execFileSync } from 'node:child_process'
import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { OutboundUnreadable, writeTrouble } from '../../runtime/store/classify.ts'
import { LastingOutbox } from '../../runtime/store/lasting-outbox.ts'
import { openDb, tempDir } from '../support/files.ts'
import { acks, claim, completed, NOW, reply, turn } from '../support/outbox.ts'

const PAGE = 4096

function taken() {
  const path = join(tempDir(), 'outbound.db')
  const outbox = new LastingOutbox(path, 'delete')
  onTestFinished(() => outbox.close())
  outbox.recover(NOW, 3)
  outbox.commit(turn({ claims: [claim('a')] }))
  return { path, outbox, end: turn({ endings: [completed('a', reply())] }) }
}

/** Everything behind the first page, as it was, for later. */
function ruin(path: string): () => void {
  execFileSync('cp', [path, `${path}.whole`])
  execFileSync('dd', [
    'if=/dev/urandom',
    `of=${path}`,
    `bs=${PAGE}`,
    'seek=1',
    'count=20',
    'conv=notrunc',
    'status=none',
  ])
  return () =>
    execFileSync('dd', [`if=${path}.whole`, `of=${path}`, `bs=${PAGE}`, 'conv=notrunc', 'status=none'])
}

function errorOf(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  return undefined
}

test('71, 72: pages that read wrongly stop every turn, and the first one that reads right again goes through whole', () => {
  const { path, outbox, end } = taken()
  const mend = ruin(path)
  // A commit of somebody else's makes SQLite forget its pages; this one only says so.
  touchChangeCounter(path)
  for (let n = 0; n < 3; n++) expect(writeTrouble(errorOf(() => outbox.commit(end)))).toBe('doubt')
  expect(errorOf(() => outbox.history(['a']))).toBeInstanceOf(OutboundUnreadable)
  mend()
  expect(outbox.commit(end)).toEqual({ refused: new Set(), lost: new Set() })
  expect(acks(openDb(path))).toEqual({ a: 'completed' })
  expect(openDb(path).pragma('integrity_check', { simple: true })).toBe('ok')
})

test('74: when the file has gone meanwhile, none is made in its place', () => {
  const { path, outbox, end } = taken()
  ruin(path)
  touchChangeCounter(path)
  errorOf(() => outbox.commit(end))
  renameSync(path, `${path}.moved`)
  const error = errorOf(() => outbox.commit(end))
  expect(error).toMatchObject({ code: 'SQLITE_READONLY_DBMOVED' })
  expect(writeTrouble(error)).toBe('fatal')
  expect(existsSync(path)).toBe(false)
})

/** Bytes 24 to 27 of the first page. */
function touchChangeCounter(path: string): void {
  execFileSync('dd', [
    'if=/dev/urandom',
    `of=${path}`,
    'bs=1',
    'seek=24',
    'count=4',
    'conv=notrunc',
    'status=none',
  ])
}
