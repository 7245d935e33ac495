// outbound.db over the life of a runtime: what the handle remembers is not believed after the disk has failed
// once. The damage is done by another process, since a descriptor closed in this one would drop its locks.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { OutboundUnreadable, writeTrouble } from '../../runtime/store/sqlite/classify.ts'
import { ReopeningOutbox } from '../../runtime/store/sqlite/reopening-outbox.ts'
import { compiled } from '../support/compiled.ts'
import { descriptors, openDb, tempDir } from '../support/files.ts'
import { acks, claim, completed, NOW, reply, turn } from '../support/outbox.ts'
import { canTrace, tracer } from '../support/strace.ts'

const PAGE = 4096
const CHILD = fileURLToPath(new URL('../support/last-commit-child.ts', import.meta.url))

function taken() {
  const path = join(tempDir(), 'outbound.db')
  const outbox = new ReopeningOutbox(path, 'delete')
  onTestFinished(() => outbox.close())
  outbox.recover(NOW, 3)
  outbox.commit(turn({ claims: [claim('a')] }))
  return { path, outbox, end: turn({ results: [completed('a', reply())] }) }
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

test('pages that read wrongly stop every turn, also those that it would not touch, until all of them read right [71, 72]', () => {
  const { path, outbox, end } = taken()
  const replies = Array.from({ length: 200 }, () => reply('x'.repeat(3_000)))
  outbox.commit(turn({ claims: [claim('long')] }))
  outbox.commit(turn({ results: [completed('long', ...replies)] }))
  const mend = ruin(path)
  touchChangeCounter(path)
  for (let n = 0; n < 3; n++) expect(writeTrouble(errorOf(() => outbox.commit(end)))).toBe('doubt')
  expect(errorOf(() => outbox.history(['a']))).toBeInstanceOf(OutboundUnreadable)
  mend()
  // One page of replies, in the middle of the file.
  overwrite(path, '/dev/zero', 100, 1)
  expect(writeTrouble(errorOf(() => outbox.commit(end)))).toBe('doubt')
  mend()
  expect(outbox.commit(end)).toMatchObject({ refused: new Set(), lost: new Set() })
  expect(acks(openDb(path))).toEqual({ a: 'completed', long: 'completed' })
  expect(openDb(path).pragma('integrity_check', { simple: true })).toBe('ok')
})

const isOpen = (path: string) => descriptors().some((file) => file.startsWith(path))

describe('at rest', () => {
  test('the file is closed, each use opens it, and what was claimed before can be ended', () => {
    const { path, outbox, end } = taken()
    expect(isOpen(path)).toBe(true)
    for (let n = 0; n < 2; n++) {
      outbox.rest()
      expect(isOpen(path)).toBe(false)
      expect(outbox.history(['a'])).toEqual(new Map([['a', expect.objectContaining({ done: false })]]))
      expect(isOpen(path)).toBe(true)
    }
    outbox.rest()
    expect(outbox.commit(end)).toMatchObject({ refused: new Set(), lost: new Set() })
    expect(acks(openDb(path))).toEqual({ a: 'completed' })
    outbox.rest()
    outbox.close()
    outbox.rest()
    expect(writeTrouble(errorOf(() => outbox.commit(end)))).toBe('fatal')
  })

  test('a runtime that takes it over meanwhile fences the one that was at rest', () => {
    const { path, outbox, end } = taken()
    outbox.rest()
    const other = new ReopeningOutbox(path, 'delete')
    other.recover(NOW, 3)
    other.close()
    expect(errorOf(() => outbox.commit(end))).toMatchObject({ code: 'fenced' })
  })

  test.each<[string, (path: string) => void]>([
    ['was moved away', (path) => renameSync(path, `${path}.moved`)],
    [
      'is another one',
      (path) => {
        execFileSync('cp', [path, `${path}.copy`])
        renameSync(`${path}.copy`, path)
      },
    ],
  ])('a file that %s is noticed, and none is made or written in its place', (_, change) => {
    const { path, outbox, end } = taken()
    outbox.rest()
    change(path)
    const before = existsSync(path) && readFileSync(path)
    for (const use of [
      () => outbox.commit(end),
      () => outbox.retention.endedAfter(0, 10),
      () => outbox.checkPlace(),
    ])
      expect(errorOf(use)).toMatchObject({ code: 'SQLITE_READONLY_DBMOVED' })
    expect(existsSync(path) && readFileSync(path)).toEqual(before)
  })

  test('in WAL mode it stays open: hosts on a read-only mount need the files beside it', () => {
    const path = join(tempDir(), 'outbound.db')
    const outbox = new ReopeningOutbox(path, 'wal')
    onTestFinished(() => outbox.close())
    outbox.recover(NOW, 3)
    outbox.rest()
    expect(isOpen(path)).toBe(true)
    expect(existsSync(`${path}-wal`)).toBe(true)
  })
})

test('when the file has gone meanwhile, none is made in its place [74]', () => {
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

test.skipIf(!canTrace())(
  'a close after a commit whose journal could not be removed undoes that commit, so that a host can read (needs strace) [73]',
  async () => {
    const dir = tempDir()
    const script = await compiled(CHILD)
    /** Its word, and how often it removed a journal. */
    function close(path: string, when: string) {
      const trace = join(dir, 'trace')
      const before = tracer(path, [{ call: 'unlink', failure: 'EIO', when }], trace)
      const said = execFileSync(before[0]!, [...before.slice(1), process.execPath, script, path], {
        encoding: 'utf8',
      })
      return { said: said.trim(), unlinks: readFileSync(trace, 'utf8').match(/ unlink\(/g)?.length ?? 0 }
    }
    const marks = (path: string) =>
      openDb(path, { readonly: true }).prepare('select checkpoint_seq from nanoclaw_runtime').pluck().all()

    const healthy = join(dir, 'healthy.db')
    const { said, unlinks } = close(healthy, '60000')
    expect([said, marks(healthy)]).toEqual(['committed', [4]])
    const path = join(dir, 'outbound.db')
    expect(close(path, String(unlinks)).said).toBe('SQLITE_IOERR_DELETE')
    expect(existsSync(`${path}-journal`)).toBe(false)
    expect(marks(path)).toEqual([2])
  },
)

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
