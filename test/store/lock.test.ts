// One runtime per workspace, held by the kernel: a process that dies loses it, one that sleeps keeps it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, linkSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { isLocked, Lock, LockConnections } from '../../runtime/store/sqlite/lock.ts'
import { attacker } from '../support/attacker.ts'
import { compiled } from '../support/compiled.ts'
import { headInbound, tempDir } from '../support/files.ts'
import { until } from '../support/runtime.ts'

const CHILD = fileURLToPath(new URL('../support/lock-child.ts', import.meta.url))
const lockPath = () => join(tempDir(), '.runtime.lock')

/** Another process at the lock; `says` waits for its next word. */
async function other(
  what: 'hold' | 'probe',
  ...paths: string[]
): Promise<{ child: ChildProcess; says: (word: string) => Promise<void> }> {
  const child = spawn(process.execPath, [await compiled(CHILD), what, ...paths], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  return {
    child,
    says: (word) =>
      until(
        () => said.includes(word),
        () => `it said ${JSON.stringify(said)}`,
      ),
  }
}

const acquire = (path: string, holder = 'pid 4711, since noon') => {
  const lock = Lock.acquire(path, () => holder)
  onTestFinished(() => lock.release())
  return lock
}

test('one process at a time: kept while it only sleeps, free for the next one when it goes or is killed', async () => {
  const path = lockPath()
  expect(isLocked(path)).toBe(false)
  const lock = acquire(path)
  expect(isLocked(path), 'seen from the same process').toBe(true)
  const { child, says } = await other('hold', path)
  await says('locked')
  lock.release()
  lock.release()
  await says('held')
  expect(isLocked(path), 'seen from another process').toBe(true)

  child.kill('SIGSTOP')
  for (let n = 0; n < 20; n++) expect(isLocked(path)).toBe(true)
  expect(() => acquire(path)).toThrow(expect.objectContaining({ code: 'locked' }))
  child.kill('SIGKILL')
  await until(
    () => !isLocked(path),
    () => 'still locked by a dead process',
  )
  acquire(path)
  expect(isLocked(path)).toBe(true)
})

test('the refusal names the holder and says what to do', () => {
  const path = lockPath()
  acquire(path)
  expect(() => Lock.acquire(path, () => 'pid 4711, since noon')).toThrow(
    expect.objectContaining({
      name: 'NanoclawError',
      code: 'locked',
      message:
        'Another runtime serves this workspace: pid 4711, since noon. Stop it, or use another --workspace.',
    }),
  )
  expect(isLocked(path), 'a refused process has not let it go').toBe(true)
})

test('the holder is not asked for while no process holds it', () => {
  const lock = Lock.acquire(lockPath(), () => {
    throw new Error('asked')
  })
  lock.release()
})

test('a process that only checks the lock keeps no runtime from starting', async () => {
  const path = lockPath()
  acquire(path).release()
  const { says } = await other('probe', path)
  await says('probing')
  for (let n = 0; n < 30; n++) acquire(path).release()
})

test('looking makes no file, and says no where there is nothing to lock', () => {
  const dir = tempDir()
  expect(isLocked(join(dir, 'none'))).toBe(false)
  expect(isLocked(join(dir, 'no', 'folder', 'none'))).toBe(false)
  expect(existsSync(join(dir, 'none'))).toBe(false)
  mkdirSync(join(dir, 'folder'))
  expect(isLocked(join(dir, 'folder'))).toBe(false)
})

test.each<[string, (path: string) => void]>([
  ['in a folder that does not exist', () => {}],
  ['where a folder stands', (path) => mkdirSync(path, { recursive: true })],
  [
    'where a text stands',
    (path) => {
      mkdirSync(dirname(path))
      writeFileSync(path, 'notes that are longer than a header, and no database'.repeat(4))
    },
  ],
])('%s no lock can be made, and the error says where and for whom', (_, make) => {
  const path = join(tempDir(), 'folder', '.runtime.lock')
  make(path)
  expect(() => acquire(path)).toThrow(
    expect.objectContaining({
      code: 'outbound_unusable',
      message: expect.stringMatching(new RegExp(`^Cannot lock ${path}: .* for uid \\d+\\.$`)),
    }),
  )
})

test.each<[string, (target: string, path: string) => void, RegExp]>([
  ['a link to inbound.db', symlinkSync, /it is a symbolic link\. Remove it\.$/],
  ['a hard link to it', linkSync, /it is a hard link to another file\. Remove it\.$/],
  ['a link to nothing', (target, path) => symlinkSync(`${target}-none`, path), /it is a symbolic link/],
  ['a FIFO', (_, path) => execFileSync('mkfifo', [path]), /it is no regular file\. Remove it\.$/],
  ['a database', (_, path) => headInbound(path).close(), /is a database with other tables\. Remove it\.$/],
])(
  '%s in the place of the lock is refused, locks the host out of nothing, and makes no file [113]',
  (_, put, text) => {
    const path = lockPath()
    const target = join(dirname(path), 'inbound.db')
    const inbound = headInbound(target)
    put(target, path)
    expect(() => acquire(path)).toThrow(
      expect.objectContaining({ code: 'outbound_unusable', message: expect.stringMatching(text) }),
    )
    inbound.exec('begin exclusive')
    expect(isLocked(path)).toBe(false)
    expect(existsSync(`${target}-none`)).toBe(false)
  },
)

test('nor does a link lock the host out that comes and goes while the lock is taken [113]', async () => {
  const path = lockPath()
  const target = join(dirname(path), 'inbound.db')
  const inbound = headInbound(target)
  inbound.pragma('busy_timeout = 0')
  writeFileSync(path, '')
  await attacker('swap', path, target)
  let taken = 0
  // Most rounds meet the link; it goes on until one did not, so that both ends have been seen.
  for (let round = 0; round < 300 || taken === 0; round++) {
    try {
      const lock = Lock.acquire(path, () => '')
      inbound.exec('begin exclusive; commit')
      lock.release()
      taken++
    } catch (error) {
      expect(error).toMatchObject({ code: 'outbound_unusable' })
    }
  }
})

test('locks of one process that share connections are taken, refused and freed one by one, and write nothing', async () => {
  const connections = new LockConnections()
  const paths = Array.from({ length: 25 }, lockPath)
  const { child, says } = await other('hold', paths[12]!)
  await says('held')
  const take = (path: string) => {
    const lock = Lock.acquire(path, () => 'the test', connections)
    onTestFinished(() => lock.release())
    return lock
  }
  const locks = paths.map((path, n) => (n === 12 ? undefined : take(path)))
  const held = () => paths.map(isLocked)
  const all = paths.map(() => true)
  expect(() => take(paths[12]!)).toThrow(expect.objectContaining({ code: 'locked' }))
  expect(() => take(paths[3]!)).toThrow(expect.objectContaining({ code: 'locked' }))
  expect(held()).toEqual(all)
  for (const n of [0, 7, 24]) {
    locks[n]!.release()
    expect(held()).toEqual(all.map((_, at) => at !== n))
    locks[n] = take(paths[n]!)
  }
  expect(held()).toEqual(all)
  for (const path of paths) expect([statSync(path).size, existsSync(`${path}-journal`)]).toEqual([0, false])
  locks[5]!.release(7)
  expect(take(paths[5]!).stoppedEpoch).toBe(7)
  child.kill('SIGKILL')
  await until(() => !isLocked(paths[12]!))
  expect(held()).toEqual(all.map((_, at) => at !== 12))
})

test('a process that has several locks on one connection loses them all, and no earlier, when it is killed', async () => {
  const paths = [lockPath(), lockPath(), lockPath()]
  const { child, says } = await other('hold', ...paths)
  await says('held held held')
  expect(paths.map(isLocked)).toEqual([true, true, true])
  child.kill('SIGKILL')
  for (const path of paths) await until(() => !isLocked(path))
})

test('two workspaces have nothing to do with each other', () => {
  acquire(lockPath())
  acquire(lockPath())
})

test('says which stop was in order, to the next one that takes it and to no other file [163]', () => {
  const path = lockPath()
  const take = () => Lock.acquire(path, () => 'the test')
  const first = take()
  expect(first.stoppedEpoch).toBe(0)
  first.release(7)
  for (let n = 0; n < 2; n++) {
    const next = take()
    expect([next.stoppedEpoch, isLocked(path)]).toEqual([7, true])
    next.release()
  }
  take().release(9)
  const last = take()
  expect(last.stoppedEpoch).toBe(9)
  last.release()
  expect(isLocked(path)).toBe(false)
})
