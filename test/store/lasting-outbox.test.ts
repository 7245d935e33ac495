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

/** The pages behind the first one; returns what makes them as they were. */
function ruin(path: string): () => void {
  execFileSync('cp', [path, `${path}.whole`])
  overwrite(path, '/dev/urandom', 1, 20)
  return () => overwrite(path, `${path}.whole`, 0, 10_000)
}

function overwrite(path: string, from: string, page: number, count: number): void {
  const what = [`if=${from}`, `of=${path}`, `bs=${PAGE}`, `seek=${page}`, `count=${count}`]
  execFileSync('dd', [...what, 'conv=notrunc', 'status=none'])
}

function errorOf(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  return undefined
}

test('71, 72: pages that read wrongly stop every turn, also those that it would not touch, until all of them read right', () => {
  const { path, outbox, end } = taken()
  const replies = Array.from({ length: 200 }, () => reply('x'.repeat(3_000)))
  outbox.commit(turn({ claims: [claim('long')] }))
  outbox.commit(turn({ endings: [completed('long', ...replies)] }))
  const mend = ruin(path)
  touchChangeCounter(path)
  for (let n = 0; n < 3; n++) expect(writeTrouble(errorOf(() => outbox.commit(end)))).toBe('doubt')
  expect(errorOf(() => outbox.history(['a']))).toBeInstanceOf(OutboundUnreadable)
  mend()
  // One page of replies, in the middle of the file.
  overwrite(path, '/dev/zero', 100, 1)
  expect(writeTrouble(errorOf(() => outbox.commit(end)))).toBe('doubt')
  mend()
  expect(outbox.commit(end)).toEqual({ refused: new Set(), lost: new Set() })
  expect(acks(openDb(path))).toEqual({ a: 'completed', long: 'completed' })
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
