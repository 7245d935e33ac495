// One process for several folders: real processes, real files.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { enter, found } from '../../runtime/queue/message.ts'
import { type Config, createEvents, createRuntime, type RuntimeOptions } from '../../runtime/runtime.ts'
import { isLocked } from '../../runtime/store/sqlite/lock.ts'
import { nanoclaw } from '../cli/cli.ts'
import { openDb } from '../support/files.ts'
import { project, testConfig, until } from '../support/runtime.ts'
import { type Session, session, started } from '../support/sessions.ts'

const SLOW = `export default ({ content }) => new Promise((end) => setTimeout(() => end('done'), content.ms))`
const WHO = `export default () => String(process.ppid)`
const HANGS = `export default () => new Promise(() => setInterval(() => {}, 1000))`

/** A runtime in this process, and the results of its workspaces. */
function several(
  root: string,
  sessions: readonly Session[],
  change: Partial<Config>,
  more: RuntimeOptions = {},
) {
  const config = testConfig(root, change)
  const workspaces = sessions.map(({ folder }) => testConfig(root, { workspace: folder })).map(placeIn)
  const events = createEvents()
  const failed: { workspace: string; code: string; message: string; exitCode: number }[] = []
  events.on('workspace-failed', (about) => failed.push(about))
  const runtime = createRuntime(config, events, { workspaces, ...more })
  onTestFinished(() => runtime.stop())
  return { runtime, events, failed }
}

function placeIn({ workspace, paths }: Config) {
  const inFolder = Object.entries(paths).map(([name, path]) => [name, join(workspace, basename(path))])
  return { workspace, paths: Object.fromEntries(inFolder) as Config['paths'] }
}

test('one process serves two folders: answers, locks, status files and log lines are each folder’s own [173]', async () => {
  const root = project([], { 'who.js': WHO })
  const [a, b] = [session(root, 'a'), session(root, 'b')]
  const { child, said, lines } = started(root, '--workspace', 'a', '--workspace', 'b')
  const ids = [a, b].map((each) => each.send('who'))
  await until(() => a.ack(ids[0]!) === 'completed' && b.ack(ids[1]!) === 'completed')
  expect([a.replies(), b.replies()]).toEqual([[String(child.pid)], [String(child.pid)]])
  for (const { folder } of [a, b]) {
    expect(isLocked(join(folder, '.runtime.lock'))).toBe(true)
    await until(() => existsSync(join(folder, '.runtime.json')))
    const status = JSON.parse(readFileSync(join(folder, '.runtime.json'), 'utf8'))
    expect(status).toMatchObject({ pid: child.pid, workspace: folder })
    expect(said('started', folder)).toBe(true)
  }
  const second = await nanoclaw(root, ['start', '--workspace', 'b'])
  expect(second.code).toBe(75)
  expect(second.stderr).toContain(`process ${child.pid}`)
  expect(lines().filter(({ msg }) => msg === 'started')).toHaveLength(2)
})

test('a folder that cannot be served, at the start or later, does not stop others; the last one ends the process [174]', async () => {
  const root = project([], { 'who.js': WHO })
  const [a, b, c] = [session(root, 'a'), session(root, 'b'), session(root, 'c')]
  writeFileSync(join(a.folder, 'outbound.db'), 'no database '.repeat(1000))
  const { said, lines, ended } = started(root, '--workspace', 'a', '--workspace', 'b', '--workspace', 'c')
  await until(() => said('started', b.folder) && said('started', c.folder))
  const failure = 'workspace cannot be served; others are not affected'
  expect(lines().find(({ msg }) => msg === failure)).toMatchObject({
    level: 'error',
    workspace: a.folder,
    code: 'outbound_unusable',
    exitCode: 78,
  })
  renameSync(join(b.folder, 'outbound.db'), join(b.folder, 'away'))
  await until(() => said(failure, b.folder))
  expect(isLocked(join(b.folder, '.runtime.lock'))).toBe(false)
  const id = c.send('who')
  await until(() => c.ack(id) === 'completed')
  renameSync(join(c.folder, 'outbound.db'), join(c.folder, 'away'))
  expect((await ended()).code).toBe(78)
})

test('where none of several folders can be served the start fails [174]', async () => {
  const root = project([], { 'who.js': WHO })
  const all = [session(root, 'a'), session(root, 'b')]
  for (const { folder } of all) writeFileSync(join(folder, 'outbound.db'), 'no database '.repeat(1000))
  const { code, stderr } = await nanoclaw(root, ['start', '--workspace', 'a', '--workspace', 'b'])
  expect(code).toBe(78)
  expect(stderr).toContain(join(all[0]!.folder, 'outbound.db'))
})

test('new folders are served, removed ones are dropped, and a returning one is served again [175]', async () => {
  const root = project([], { 'who.js': WHO })
  const a = session(root, 'sessions/a')
  const { child, said, ended } = started(root, '--workspaces', 'sessions/*')
  const first = a.send('who')
  await until(() => a.ack(first) === 'completed')

  const b = session(root, 'sessions/b')
  const second = b.send('who')
  await until(() => b.ack(second) === 'completed')
  expect(b.replies()).toEqual([String(child.pid)])

  renameSync(b.folder, join(root, 'gone'))
  await until(() => said('workspace is not served any more', b.folder))
  expect(said('workspace cannot be served; others are not affected', b.folder)).toBe(false)
  expect(isLocked(join(root, 'gone', '.runtime.lock'))).toBe(false)
  const third = a.send('who')
  await until(() => a.ack(third) === 'completed')

  renameSync(join(root, 'gone'), b.folder)
  const fourth = b.send('who')
  await until(() => b.ack(fourth) === 'completed')

  rmSync(a.folder, { recursive: true })
  await until(() => said('workspace is not served any more', a.folder))
  child.kill('SIGTERM')
  expect((await ended()).code).toBe(0)
})

test('a folder that another runtime holds is tried again until it is free [175]', async () => {
  const root = project([], { 'who.js': WHO })
  const a = session(root, 'sessions/a')
  const other = started(root, '--workspace', 'sessions/a')
  await until(() => other.lines().some(({ msg }) => msg === 'started'))
  const { child, said } = started(root, '--workspaces', 'sessions/*')
  await until(() => said('workspace cannot be served; others are not affected', a.folder))
  other.child.kill('SIGTERM')
  await other.ended()
  const id = a.send('who')
  await until(() => a.ack(id) === 'completed')
  expect(a.replies()).toEqual([String(child.pid)])
})

test('a folder with 5,000 messages keeps the one message of another folder waiting for a turn, not for its backlog [176]', async () => {
  const root = project([], { 'slow.js': SLOW })
  const [a, b] = [session(root, 'a'), session(root, 'b')]
  a.inbound.transaction(() => {
    for (let n = 0; n < 5_000; n++) a.send('slow', { ms: 20 })
  })()
  const { runtime, events } = several(root, [a, b], { concurrency: 1 })
  const order: string[] = []
  events.on('claimed', ({ ids }, workspace) => {
    for (const _ of ids) order.push(basename(workspace!))
  })
  await runtime.start()
  await until(() => a.ended() > 20)
  const before = order.length
  const id = b.send('slow', { ms: 1 })
  await until(() => b.ack(id) === 'completed')
  // The look at inbound.db takes some milliseconds, in which those before it go on.
  expect(order.indexOf('b') - before).toBeLessThan(30)
  expect(a.ended()).toBeLessThan(1_000)
})

test('of two folders with long backlogs each gets half [176]', async () => {
  const root = project([], { 'slow.js': SLOW })
  const all = [session(root, 'a'), session(root, 'b')]
  for (const each of all)
    each.inbound.transaction(() => {
      for (let n = 0; n < 300; n++) each.send('slow', { ms: 20 })
    })()
  const { runtime, events } = several(root, all, { concurrency: 1 })
  const claimed = new Map(all.map(({ folder }) => [folder, 0]))
  events.on('claimed', ({ ids }, workspace) => claimed.set(workspace!, claimed.get(workspace!)! + ids.length))
  await runtime.start()
  await until(() => Math.max(...claimed.values()) >= 100)
  expect(Math.min(...claimed.values())).toBeGreaterThan(70)
})

test('SIGTERM drains all folders: running messages of each end and are written [177]', async () => {
  const root = project([], { 'slow.js': SLOW })
  const all = [session(root, 'a'), session(root, 'b')]
  const { child, ended } = started(root, '--workspace', 'a', '--workspace', 'b')
  const ids = all.map((each) => each.send('slow', { ms: 1_500 }))
  await until(() => all.every((each, at) => each.ack(ids[at]!) === 'processing'))
  child.kill('SIGTERM')
  expect((await ended()).code).toBe(0)
  expect(all.map((each, at) => each.ack(ids[at]!))).toEqual(['completed', 'completed'])
  for (const { folder } of all) expect(isLocked(join(folder, '.runtime.lock'))).toBe(false)
})

test('a failing folder ends its own handlers, and affects no message of another folder [178]', async () => {
  const root = project([], { 'hangs.js': HANGS, 'who.js': WHO })
  const [a, b] = [session(root, 'a'), session(root, 'b')]
  const { runtime, events, failed } = several(root, [a, b], {})
  const ended: string[] = []
  events.on('worker-ended', ({ functionName }) => ended.push(functionName))
  await runtime.start()
  const hanging = a.send('hangs')
  await until(() => a.ack(hanging) === 'processing')
  openDb(join(a.folder, 'outbound.db')).exec('update nanoclaw_runtime set epoch = epoch + 1')
  a.send('who')
  await until(() => failed.length > 0)
  expect(failed).toMatchObject([{ workspace: a.folder, code: 'fenced', exitCode: 75 }])
  await until(() => ended.includes('hangs'))
  const id = b.send('who')
  await until(() => b.ack(id) === 'completed')
  expect(runtime.workspaces).toEqual([b.folder])
})

test.each([
  ['in a timer', 'claimed'],
  ['where a worker reports how a run ended', 'random'],
])('a bug that occurs %s ends its folder alone, with the history of the message [179]', async (_, where) => {
  const root = project([], { 'who.js': WHO })
  const [a, b] = [session(root, 'a'), session(root, 'b')]
  let isArmed = false
  const bug = () => enter(found('m-1', 2, undefined as never), { type: 'finishing' } as never)
  const random = () => {
    if (isArmed && where === 'random') bug()
    return 0.5
  }
  const { runtime, events, failed } = several(root, [a, b], {}, { random })
  events.on('claimed', (_about, workspace) => {
    if (where === 'claimed' && workspace === a.folder) bug()
  })
  await runtime.start()
  isArmed = true
  a.send('who')
  await until(() => failed.length > 0)
  isArmed = false
  expect(failed).toMatchObject([{ workspace: a.folder, code: 'bug', exitCode: 1 }])
  expect(failed[0]!.message).toMatch(/message "m-1" cannot become finishing: it went found/)
  const id = b.send('who')
  await until(() => b.ack(id) === 'completed')
})

test('in a runtime of one folder such a bug is fatal, with exit code 1 [179]', async () => {
  const root = project([], { 'who.js': WHO })
  const a = session(root, 'workspace')
  const events = createEvents()
  const runtime = createRuntime(testConfig(root), events)
  onTestFinished(() => runtime.stop())
  events.on('claimed', () => {
    throw new Error('a slip')
  })
  const fatal: unknown[] = []
  events.on('fatal', (about, workspace) => fatal.push({ ...about, workspace }))
  await runtime.start()
  a.send('who')
  await until(() => fatal.length > 0)
  expect(fatal).toMatchObject([{ error: { message: 'a slip' }, exitCode: 1, workspace: a.folder }])
})

test('what a function prints and logs names the folder of its message', async () => {
  const root = project([], {
    'talks.js': `export default (_, ctx) => { console.log('printed'); ctx.log.info('logged') }`,
  })
  const all = [session(root, 'a'), session(root, 'b')]
  const { runtime, events } = several(root, all, {})
  const seen: string[] = []
  events.on('output', ({ line }, workspace) => seen.push(`${line} ${basename(workspace ?? '?')}`))
  events.on('log', ({ text }, workspace) => seen.push(`${text} ${basename(workspace ?? '?')}`))
  await runtime.start()
  const ids = all.map((each) => each.send('talks'))
  await until(() => all.every((each, at) => each.ack(ids[at]!) === 'completed') && seen.length >= 4)
  expect(seen.filter((line) => line.startsWith('logged')).sort()).toEqual(['logged a', 'logged b'])
})

test.each([
  [['--workspaces', 'a/*/b'], {}, 2, /--workspaces: found "a\/\*\/b"; expected a path with one \*/],
  [['--workspaces', 'sessions'], {}, 2, /expected a path with one \*/],
  [['--workspace', 'a', '--workspace', ''], {}, 2, /--workspace: found ""/],
  [
    ['--workspace', 'a', '--workspace', 'b'],
    { SESSION_INBOUND_DB_PATH: 'x.db' },
    78,
    /SESSION_INBOUND_DB_PATH/,
  ],
])('illegal options of several folders are an error: %s %o', async (args, env, code, says) => {
  const root = project(['echo'])
  const ended = await nanoclaw(root, ['start', ...args], { env })
  expect(ended.code).toBe(code)
  expect(ended.stderr).toMatch(says)
  expect(existsSync(join(root, 'a'))).toBe(false)
})
