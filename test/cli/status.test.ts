import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { EMPTY_BATCH } from '../../runtime/protocol/commit-batch.ts'
import { filesIn } from '../../runtime/protocol/files.ts'
import { OWN_TABLES } from '../../runtime/protocol/schema.ts'
import { Lock } from '../../runtime/store/sqlite/lock.ts'
import { ReopeningOutbox } from '../../runtime/store/sqlite/reopening-outbox.ts'
import { headInbound, insertMessage, insertRow, openDb, wireOutbound } from '../support/files.ts'
import { emptyProject, nanoclaw } from './cli.ts'

/** A workspace without a runtime: one message completed, one failed, one due, one hostile. */
function usedWorkspace(): string {
  const dir = emptyProject()
  const workspace = join(dir, '.nanoclaw')
  mkdirSync(workspace)
  const inbound = headInbound(join(workspace, 'inbound.db'))
  for (const id of ['good', 'bad']) insertMessage(inbound, { id, thread_id: 't' })
  insertMessage(inbound, { id: 'waits', kind: 'webhook' })
  insertMessage(inbound, {
    id: 'evil\u001b[2J',
    kind: '\u001b[31mred',
    content: '{"text":"\u001b]0;title\u0007"}',
  })
  const outbound = wireOutbound(join(workspace, 'outbound.db'))
  outbound.exec(OWN_TABLES)
  const changed = { status_changed: new Date().toISOString() }
  insertRow(outbound, 'processing_ack', { message_id: 'good', status: 'completed', ...changed })
  insertRow(outbound, 'processing_ack', { message_id: 'bad', status: 'failed', ...changed })
  const run = {
    function: 'chat',
    alone: 1,
    epoch: 1,
    started_at: Date.now() - 10,
    ended_at: Date.now(),
    duration_ms: 10,
  }
  insertRow(outbound, 'nanoclaw_run', { ...run, message_id: 'good', run: 1, attempt: 1, outcome: 'replied' })
  const stack = 'TypeError: no good\n    at handler (/p/functions/chat.ts:3:9)\n    at x (node:internal)'
  const error = JSON.stringify({ name: 'TypeError', message: 'no good', stack })
  const threw = { ...run, message_id: 'bad', outcome: 'threw', error }
  insertRow(outbound, 'nanoclaw_run', { ...threw, run: 1, attempt: 1 })
  insertRow(outbound, 'nanoclaw_run', { ...threw, run: 2, attempt: 2, reason: 'handler_error' })
  const reply = { id: 'good:0', seq: 9, in_reply_to: 'good', timestamp: 't', kind: 'chat', thread_id: 't' }
  insertRow(outbound, 'messages_out', { ...reply, content: '{"text":"hi"}' })
  inbound.close()
  outbound.close()
  return dir
}

test('the status of a new project names missing files, and creates none', async () => {
  const dir = emptyProject()
  const { code, stdout } = await nanoclaw(dir, ['status'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^runtime +not running$/m)
  expect(stdout).toMatch(/^inbound\.db +not readable: .*does not exist yet$/m)
  expect(existsSync(join(dir, '.nanoclaw'))).toBe(false)
})

test('the status shows counts, parked messages, and recent failures', async () => {
  const { code, stdout, stderr } = await nanoclaw(usedWorkspace(), ['status'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^due +2 {2}oldest for/m)
  expect(stdout).toMatch(/^completed +1$/m)
  expect(stdout).toMatch(/^failed +1$/m)
  expect(stdout).toMatch(/^ {2}webhook +1$/m)
  expect(stdout).toMatch(/ago {2}bad {2}chat {2}handler_error: TypeError: no good$/m)
})

test('status --json prints one object', async () => {
  const { stdout } = await nanoclaw(usedWorkspace(), ['status', '--json'])
  expect(stdout.trim().split('\n')).toHaveLength(1)
  expect(JSON.parse(stdout)).toMatchObject({
    runtime: { running: false },
    backlog: { due: 2, processing: 0 },
    ended: { completed: 1, failed: 1 },
    failures: [{ id: 'bad', functionName: 'chat', reason: 'handler_error', error: { name: 'TypeError' } }],
    unroutable: null,
  })
})

test('the status works with a broken config file when the workspace is given', async () => {
  const dir = usedWorkspace()
  writeFileSync(join(dir, 'nanoclaw.config.json'), '{')
  expect(await nanoclaw(dir, ['status'])).toMatchObject({ code: 78 })
  const env = { NANOCLAW_WORKSPACE: '.nanoclaw' }
  expect(await nanoclaw(dir, ['status'], { env })).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/^due +2/m),
  })
})

test('a message is shown with its row, its runs, the useful part of its error, its replies', async () => {
  const dir = usedWorkspace()
  const good = await nanoclaw(dir, ['show', 'good'])
  expect(good.code).toBe(0)
  expect(good.stdout).toMatch(/^state +completed at/m)
  expect(good.stdout).toMatch(/^content +\{"text":"hello"\}$/m)
  expect(good.stdout).toMatch(/^ {2}good:0 {2}seq 9, chat, to t\n {4}\{"text":"hi"\}$/m)
  const bad = await nanoclaw(dir, ['show', 'bad'])
  expect(bad.stdout).toMatch(/^state +failed \(handler_error\) at/m)
  expect(bad.stdout).toMatch(/^ {2}#1 {2}attempt 1 {2}chat .*threw/m)
  expect(bad.stdout).toMatch(/^ {2}#2 {2}attempt 2 {2}chat .*threw {2}handler_error$/m)
  expect(bad.stdout).toContain('      TypeError: no good\n          at handler (/p/functions/chat.ts:3:9)\n')
  expect(bad.stdout).not.toContain('node:internal')
})

test('show --json prints one object', async () => {
  const { stdout } = await nanoclaw(usedWorkspace(), ['show', 'bad', '--json'])
  expect(JSON.parse(stdout)).toMatchObject({
    id: 'bad',
    message: { kind: 'chat', thread_id: 't' },
    ack: { status: 'failed' },
    runs: [{ run: 1 }, { run: 2, reason: 'handler_error', error: { message: 'no good' } }],
  })
})

test('an unknown id ends with 1 and an error on stderr', async () => {
  const dir = usedWorkspace()
  const { code, stdout, stderr } = await nanoclaw(dir, ['show', 'nobody', '--json'])
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain(`No message nobody in ${join(dir, '.nanoclaw/inbound.db')}`)
  expect(await nanoclaw(emptyProject(), ['show', 'x'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^Cannot read message x: .*does not exist yet/),
  })
})

test('a failed message whose id is not text has a line like any other, with its reason', async () => {
  const dir = usedWorkspace()
  const outbound = openDb(join(dir, '.nanoclaw/outbound.db'))
  outbound.exec("insert into processing_ack values (x'ff00', 'failed', '2026-11-24T06:02:20Z')")
  outbound.exec(`insert into nanoclaw_run (message_id, run, attempt, epoch, function, alone, started_at, ended_at,
      outcome, reason, error)
    values ('\ufffd' || char(0), 1, 0, 1, '', 0, 0, 0, 'rejected', 'bad_id', 'the id is not UTF-8 text')`)
  outbound.close()
  const { code, stdout, stderr } = await nanoclaw(dir, ['status'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/ago +\ufffd\\u0000 +bad_id: the id is not UTF-8 text$/m)
  const { failures } = JSON.parse((await nanoclaw(dir, ['status', '--json'])).stdout)
  expect(failures).toContainEqual(expect.objectContaining({ id: '\ufffd\0', reason: 'bad_id' }))
})

test('a message that waits for a broken function has that as its reason', async () => {
  const dir = usedWorkspace()
  const functions = [{ name: 'webhook', file: 'functions/webhook.ts', broken: 'functions/webhook.ts: no' }]
  const note = { functions, unroutable: { webhook: 1, nobody: 2 }, state: 'running', pid: 1, host: 'h' }
  writeFileSync(join(dir, '.nanoclaw/.runtime.json'), JSON.stringify({ ...note, startedAt: '' }))
  const lock = Lock.acquire(join(dir, '.nanoclaw/.runtime.lock'), () => 'nobody')
  const { stdout } = await nanoclaw(dir, ['status'])
  lock.release()
  expect(stdout).toMatch(
    /^ {2}webhook {2}1 {2}functions\/webhook\.ts is broken and must be fixed\n {2}nobody {3}2$/m,
  )
})

test('a function whose backlog does not fit in memory is named, with its number of retrying messages', async () => {
  const dir = usedWorkspace()
  const crowded = [
    { name: 'slow', ready: 20_000, retrying: 0 },
    { name: 'flaky', ready: 2_000, retrying: 1_999 },
  ]
  const note = { functions: [], unroutable: {}, crowded, state: 'running', pid: 1, host: 'h', startedAt: '' }
  writeFileSync(join(dir, '.nanoclaw/.runtime.json'), JSON.stringify(note))
  const lock = Lock.acquire(join(dir, '.nanoclaw/.runtime.lock'), () => 'nobody')
  const { stdout } = await nanoclaw(dir, ['status'])
  lock.release()
  expect(stdout).toMatch(
    /^More messages of these than fit .*not affected:\n {2}slow {3}20000 in memory\n {2}flaky {2}2000 in memory {3}1999 of them wait for their next attempt$/m,
  )
})

test('a run whose runtime was killed is shown as interrupted until the next start', async () => {
  const dir = usedWorkspace()
  const paths = filesIn(join(dir, '.nanoclaw'))
  insertMessage(openDb(paths.inbound), { id: 'cut' })
  const outbound = new ReopeningOutbox(paths.outbound, 'delete')
  outbound.recover(Date.now(), 1)
  const claim = { id: 'cut', run: 1, attempt: 1, functionName: 'chat', worker: 4711, alone: true }
  outbound.commit({ ...EMPTY_BATCH, nowMs: Date.now(), claims: [claim] })
  const lock = Lock.acquire(join(dir, '.nanoclaw/.runtime.lock'), () => 'nobody')
  const alive = await nanoclaw(dir, ['show', 'cut'])
  expect(alive.stdout).toMatch(/^ {2}#1 .* running +process 4711$/m)
  expect(alive.stdout).not.toMatch(/^waits/m)

  lock.release()
  outbound.close()
  const { stdout } = await nanoclaw(dir, ['show', 'cut'])
  expect(stdout).toMatch(/^waits +its runtime ended while it ran; the next one runs it again/m)
  expect(stdout).toMatch(/^ {2}#1 .* interrupted: its runtime has ended$/m)
  const report = JSON.parse((await nanoclaw(dir, ['show', 'cut', '--json'])).stdout)
  expect(report).toMatchObject({ runtime: { running: false }, runs: [{ outcome: null }] })
})

test('text of a message never reaches the terminal unescaped', async () => {
  const dir = usedWorkspace()
  const outputs = await Promise.all([nanoclaw(dir, ['status']), nanoclaw(dir, ['show', 'evil\u001b[2J'])])
  for (const { code, stdout } of outputs) {
    expect(code).toBe(0)
    expect(stdout).toContain('\\u001b[31mred')
    expect(stdout).not.toContain('\u001b')
    expect(stdout).not.toContain('\u0007')
  }
})

test('colour is on when it is requested', async () => {
  const { stdout } = await nanoclaw(usedWorkspace(), ['status'], { env: { FORCE_COLOR: '1' } })
  expect(stdout).toContain('\u001b[31mfailed\u001b[39m')
})
