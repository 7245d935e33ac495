// The runtime killed again and again under load: no message is lost or answered twice.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { type Db, headInbound, insertMessage, openDb } from '../support/files.ts'
import { project, testConfig, until } from '../support/runtime.ts'

const CLI = fileURLToPath(new URL('../../dist/bin/main.js', import.meta.url))
const KILLS = 6
const MESSAGES = 300

it('kill -9 at any time: every message ends, each with its replies exactly once [W3, W4, 33 to 39]', async () => {
  const root = project([], { 'work.js': WORK, 'flaky.js': FLAKY })
  const { paths, workspace } = testConfig(root)
  const inbound = headInbound(paths.inbound)
  let runtime: ChildProcess | undefined
  onTestFinished(() => void runtime?.kill('SIGKILL'))
  for (let kill = 0; kill < KILLS; kill++) {
    for (let n = 0; n < MESSAGES / KILLS; n++)
      insertMessage(inbound, { kind: n % 5 === 0 ? 'flaky' : 'work', thread_id: `t${n % 4}`, content: { n } })
    runtime = start(root, workspace)
    await until(() => isWorking(paths.outbound, kill))
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 60))
    runtime.kill('SIGKILL')
    await once(runtime, 'exit')
  }
  runtime = start(root, workspace)
  // Until it has recovered, the journal of the one before it may keep every reader out.
  await until(() => epochOf(paths.outbound) === KILLS + 1)
  const outbound = openDb(paths.outbound, { readonly: true })
  const ended = () =>
    outbound
      .prepare("select count(*) from processing_ack where status in ('completed', 'failed')")
      .pluck()
      .get() as number
  await until(
    () => ended() === MESSAGES,
    () => `${ended()} of ${MESSAGES} ended`,
  )
  expect(outbound.prepare('select status, count(*) from processing_ack group by status').raw().all()).toEqual(
    [['completed', MESSAGES]],
  )
  expect(repliesPerMessage(outbound)).toEqual([[2, MESSAGES]])
  expect(outbound.pragma('integrity_check', { simple: true })).toBe('ok')
  expect(outbound.prepare('select epoch from nanoclaw_runtime').pluck().get()).toBe(KILLS + 1)
  runtime.kill('SIGTERM')
  expect(await once(runtime, 'exit')).toEqual([0, null])
})

it.each([
  ['where the kernel sees to it', process.env.PATH ?? ''],
  ['where a thread has to', '/nowhere'],
])(
  'no child outlives a killed runtime by more than a second, though it blocks its event loop: %s [35]',
  async (_where, path) => {
    const root = project(['block'])
    const { paths, workspace } = testConfig(root)
    insertMessage(headInbound(paths.inbound), { kind: 'block' })
    writeFileSync(
      `${root}/functions/block.ts`,
      'export default { timeout: "60s", handler: () => { for (;;); } }',
    )
    const runtime = start(root, workspace, { PATH: path })
    onTestFinished(() => void runtime.kill('SIGKILL'))
    await until(() => isWorking(paths.outbound, 0))
    const worker = openDb(paths.outbound, { readonly: true })
      .prepare('select worker from nanoclaw_batch')
      .pluck()
      .get() as number
    expect(isAlive(worker)).toBe(true)
    runtime.kill('SIGKILL')
    await until(
      () => !isAlive(worker),
      () => 'the child is still there',
      1_000,
    )
  },
)

it('a child whose parent ends before it has loaded ends at once [35]', async () => {
  const root = project(['block'])
  const { paths, workspace } = testConfig(root)
  insertMessage(headInbound(paths.inbound), { kind: 'block' })
  writeFileSync(
    `${root}/functions/block.ts`,
    'export default () => {}; for (const end = Date.now() + 300; Date.now() < end; );',
  )
  const runtime = start(root, workspace)
  onTestFinished(() => void runtime.kill('SIGKILL'))
  await until(() => isWorking(paths.outbound, 0))
  const built = join(root, '.nanoclaw', 'build')
  const bundle = join(built, readdirSync(built).find((file) => file.startsWith('block'))!)
  const parent = `
    const setup = JSON.stringify({ functionName: 'block', parent: process.pid, watchParent: false })
    const child = require('node:child_process').fork(${JSON.stringify(bundle)}, [setup], { stdio: 'ignore' })
    require('node:fs').writeSync(1, String(child.pid))
    process.kill(process.pid, 'SIGKILL')`
  const { stdout } = spawnSync(process.execPath, ['-e', parent], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const child = Number(stdout)
  expect(child).toBeGreaterThan(0)
  await until(
    () => !isAlive(child),
    () => 'the child is still there',
  )
})

it('a message during which the runtime dies each time fails, with a log line [W28, 31, 99]', async () => {
  const root = project([], {
    'calm.js': `export default () => 'hello'`,
    'poison.js': `export default () => process.kill(process.ppid, 'SIGKILL')`,
  })
  const { paths, workspace } = testConfig(root)
  const inbound = headInbound(paths.inbound)
  const poison = insertMessage(inbound, { kind: 'poison' })
  const limit = 2
  for (let life = 0; life < limit; life++)
    expect(await once(start(root, workspace, { NANOCLAW_CRASH_LIMIT: `${limit}` }), 'exit')).toEqual([
      null,
      'SIGKILL',
    ])
  const calm = insertMessage(inbound, { kind: 'calm' })
  const runtime = start(root, workspace, { NANOCLAW_CRASH_LIMIT: `${limit}` }, 'pipe')
  onTestFinished(() => void runtime.kill('SIGKILL'))
  let log = ''
  runtime.stderr?.on('data', (text) => (log += text))
  const outbound = openDb(paths.outbound, { readonly: true })
  const acks = () => outbound.prepare('select message_id, status from processing_ack order by 2').raw().all()
  const end = [
    [calm.id, 'completed'],
    [poison.id, 'failed'],
  ]
  await until(
    () => JSON.stringify(acks()) === JSON.stringify(end),
    () => JSON.stringify(acks()),
  )
  runtime.kill('SIGTERM')
  await once(runtime, 'close')
  expect(
    log
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  ).toEqual([
    expect.objectContaining({ level: 'error', id: poison.id, reason: 'crash_limit', msg: 'failed' }),
  ])
})

const WORK = `export default async (message, ctx) => {
  ctx.reply('one')
  await new Promise((resolve) => setTimeout(resolve, message.content.n % 7))
  return 'two'
}`
const FLAKY = `export default { retry: { attempts: 3, minDelay: 1, maxDelay: 20 }, handler(message, ctx) {
  ctx.reply('one')
  if (ctx.attempt < 2) throw new Error('not yet')
  return 'two'
} }`

function start(
  root: string,
  workspace: string,
  env: Record<string, string> = {},
  stderr: 'inherit' | 'pipe' = 'inherit',
): ChildProcess {
  return spawn(process.execPath, [CLI, 'start', '--workspace', workspace, '--log-level', 'error'], {
    cwd: root,
    env: { ...process.env, NANOCLAW_CRASH_LIMIT: '50', ...env },
    stdio: ['ignore', 'ignore', stderr],
  })
}

/** Zombies, which wait for their parent to reap them, are not alive. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/**
 * The runtime of this round has started, and has or had messages: on a busy machine a test may not observe
 * running ones.
 */
function isWorking(path: string, round: number): boolean {
  try {
    const db = openDb(path, { readonly: true })
    const started = db
      .prepare(
        `select (select count(*) from nanoclaw_batch) + (select count(*) from nanoclaw_run r where r.epoch = n.epoch)
          from nanoclaw_runtime n where n.epoch > ?`,
      )
      .pluck()
      .get(round) as number | undefined
    db.close()
    return started !== undefined && started > 0
  } catch {
    return false
  }
}

/** How often a runtime has started here; undefined while the file is not readable. */
function epochOf(path: string): unknown {
  try {
    const db = openDb(path, { readonly: true })
    return db.prepare('select epoch from nanoclaw_runtime').pluck().get()
  } catch {
    return undefined
  }
}

/** How many messages have how many replies. */
function repliesPerMessage(outbound: Db): unknown[] {
  return outbound
    .prepare(
      'select replies, count(*) from (select count(*) as replies from messages_out group by in_reply_to) group by replies',
    )
    .raw()
    .all()
}
