// A folder of a runtime of several in which nothing happens: it costs little, and misses nothing.
import { copyFileSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { isLocked } from '../../runtime/store/sqlite/lock.ts'
import type { RestTimes } from '../../runtime/workspace.ts'
import { nanoclaw, startScript } from '../cli/cli.ts'
import { compiled } from '../support/compiled.ts'
import { descriptors, insertMessage, openDb, tempDir } from '../support/files.ts'
import { project, until } from '../support/runtime.ts'
import { logged, type Session, session } from '../support/sessions.ts'

const CHILD = fileURLToPath(new URL('../support/resting-child.ts', import.meta.url))
const WHO = `export default () => String(process.ppid)`
/** Runs until its test makes a file. */
const HELD = `
import { existsSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
export default async ({ content }) => {
  while (!existsSync(content.until)) await setTimeout(5)
  return 'done'
}`
/** For users the two are 5 and 10 seconds. */
const SOON: RestTimes = { afterMs: 400, everyMs: 500 }

describe('a folder in which nothing happens', () => {
  const LONG_AGO = new Date(Date.now() - 60_000)
  /** What this process has open in this folder. */
  const openIn = (pid: number | undefined, { folder }: Session) =>
    descriptors(pid)
      .filter((file) => dirname(file) === folder)
      .map((file) => basename(file))
  /** Folders that their host wrote a minute ago, at rest in a runtime of several. */
  async function atRest(sources: Record<string, string>, before: (a: Session) => void = () => undefined) {
    const root = project([], sources)
    const [a, b] = [session(root, 'a'), session(root, 'b')]
    before(a)
    for (const { folder } of [a, b]) utimesSync(join(folder, 'inbound.db'), LONG_AGO, LONG_AGO)
    const script = await compiled(CHILD)
    const runtime = logged(startScript(script, root, [JSON.stringify(SOON), a.folder, b.folder]))
    const { pid } = runtime.child
    const isAtRest = (each: Session) => openIn(pid, each).join() === '.runtime.lock'
    await until(
      () => [a, b].every((each) => runtime.said('started', each.folder) && isAtRest(each)),
      () => `open: ${[a, b].map((each) => openIn(pid, each))}\n${runtime.stderr()}`,
    )
    return { root, a, b, ...runtime, isAtRest: () => isAtRest(a) }
  }

  test('has its lock open and no other file; a message wakes it, and it comes to rest again', async () => {
    const { root, a, b, child, isAtRest } = await atRest({ 'held.js': HELD })
    for (let n = 0; n < 2; n++) {
      const end = join(root, `end-${n}`)
      const id = a.send('held', { until: end })
      await until(() => a.ack(id) === 'processing')
      await until(() => openIn(child.pid, a).sort().join() === '.runtime.lock,inbound.db,outbound.db')
      expect(openIn(child.pid, b)).toEqual(['.runtime.lock'])
      writeFileSync(end, '')
      await until(() => a.ack(id) === 'completed')
      await until(isAtRest)
    }
    expect(a.replies()).toHaveLength(2)
  })

  test('runs a message when its time comes', async () => {
    for (let delayMs = 2_000; ; delayMs *= 2) {
      const dueAtMs = Date.now() + delayMs
      let id = ''
      const { a, isAtRest } = await atRest({ 'who.js': WHO }, (before) => {
        id = before.send('who', {}, { process_after: new Date(dueAtMs).toISOString() })
      })
      // On a busy machine its time came before the rest.
      if (!isAtRest() || a.ack(id) !== undefined) continue
      await until(() => a.ack(id) === 'completed')
      expect(Date.now()).toBeGreaterThanOrEqual(dueAtMs)
      return
    }
  })

  test('is served by its runtime alone: another one does not start, and status says that it runs', async () => {
    const { root, a, child, isAtRest } = await atRest({ 'who.js': WHO })
    const second = await nanoclaw(root, ['start', '--workspace', 'a'])
    expect(second.code).toBe(75)
    expect(second.stderr).toContain(`process ${child.pid}`)
    const status = await nanoclaw(root, ['status', '--workspace', 'a', '--json'])
    expect(JSON.parse(status.stdout)).toMatchObject({ runtime: { running: true } })
    expect([isAtRest(), isLocked(join(a.folder, '.runtime.lock'))]).toEqual([true, true])
  })

  test('fails when its outbound.db is deleted or replaced, with the reason', async () => {
    const { a, b, lines, said } = await atRest({ 'who.js': WHO })
    const [path, other] = [a, b].map(({ folder }) => join(folder, 'outbound.db')) as [string, string]
    rmSync(path)
    copyFileSync(other, `${other}.copy`)
    renameSync(`${other}.copy`, other)
    const failure = 'workspace cannot be served; others are not affected'
    for (const { folder } of [a, b]) {
      await until(() => said(failure, folder))
      expect(lines().find(({ msg, workspace }) => msg === failure && workspace === folder)).toMatchObject({
        code: 'outbound_unusable',
        message: expect.stringContaining(
          'the file was moved or deleted while in use; put it back, or start again',
        ),
      })
    }
  })

  test('notices that its inbound.db is gone, and reads the one that comes instead', async () => {
    const { root, a, said } = await atRest({ 'who.js': WHO })
    const other = session(root, 'other')
    const id = other.send('who')
    other.inbound.close()
    rmSync(join(a.folder, 'inbound.db'))
    await until(() => said('waiting for inbound.db', a.folder))
    renameSync(join(other.folder, 'inbound.db'), join(a.folder, 'inbound.db'))
    await until(() => a.ack(id) === 'completed')
  })

  test('is polled as often as ever once two messages have come without an event of the file system', async () => {
    const { a, lines, isAtRest } = await atRest({ 'who.js': WHO }, ({ folder, inbound }) => {
      // Events come from the folder of the link.
      const elsewhere = tempDir()
      inbound.close()
      renameSync(join(folder, 'inbound.db'), join(elsewhere, 'inbound.db'))
      symlinkSync(join(elsewhere, 'inbound.db'), join(folder, 'inbound.db'))
    })
    const inbound = openDb(join(a.folder, 'inbound.db'))
    const isBlind = () => lines().some(({ msg }) => msg.startsWith('no file events'))
    for (let n = 0; n < 2; n++) {
      await until(isAtRest)
      expect(isBlind()).toBe(false)
      const { id } = insertMessage(inbound, { kind: 'who' })
      await until(() => a.ack(id) === 'completed')
    }
    await until(isBlind)
  })

  test('stops writing when another runtime has taken it over meanwhile', async () => {
    const { a, lines, said } = await atRest({ 'who.js': WHO })
    const outbound = openDb(join(a.folder, 'outbound.db'))
    outbound.exec('update nanoclaw_runtime set epoch = epoch + 1')
    const id = a.send('who')
    const failure = 'workspace cannot be served; others are not affected'
    await until(() => said(failure, a.folder))
    expect(lines().find(({ msg }) => msg === failure)).toMatchObject({ code: 'fenced', exitCode: 75 })
    expect(a.ack(id)).toBeUndefined()
  })
})
