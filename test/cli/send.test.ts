import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDb, wireOutbound } from '../support/files.ts'
import { emptyProject, nanoclaw } from './cli.ts'

function rows(dir: string) {
  return openDb(join(dir, '.nanoclaw/inbound.db'))
    .prepare(
      'select id, kind, content, thread_id, channel_type, platform_id, process_after from messages_in order by seq',
    )
    .all() as Record<string, string | null>[]
}

test('a message lands in inbound.db, its id on stdout, with a note that no runtime serves it', async () => {
  const dir = emptyProject()
  const address = ['--thread', 't', '--channel', 'slack', '--platform', 'p']
  const { code, stdout, stderr } = await nanoclaw(dir, ['send', 'chat', 'hello', ...address, '--after', '1h'])
  expect(code).toBe(0)
  const [row] = rows(dir)
  expect(row).toMatchObject({
    id: stdout.trim(),
    kind: 'chat',
    content: '{"text":"hello"}',
    thread_id: 't',
    channel_type: 'slack',
    platform_id: 'p',
  })
  const dueInMs = Date.parse(`${row?.process_after}Z`) - Date.now()
  expect(dueInMs).toBeGreaterThan(3_590_000)
  expect(dueInMs).toBeLessThanOrEqual(3_600_000)
  expect(stderr).toMatch(/^No runtime serves .*inbound\.db now; start one: nanoclaw dev\n$/)
})

test.each([
  { from: 'a file', args: ['--file', 'delivery.json'], input: '', content: '{"action":"opened"}' },
  {
    from: 'standard input',
    args: ['-'],
    input: 'said over a pipe\n',
    content: '{"text":"said over a pipe"}',
  },
  { from: 'standard input as a file', args: ['--file', '-'], input: '[1]', content: '[1]' },
  { from: 'nowhere', args: [], input: '', content: '{}' },
])('content comes from $from', async ({ args, input, content }) => {
  const dir = emptyProject()
  writeFileSync(join(dir, 'delivery.json'), '{ "action": "opened" }')
  expect(await nanoclaw(dir, ['send', 'hook', ...args], { input })).toMatchObject({ code: 0 })
  expect(rows(dir)).toMatchObject([{ kind: 'hook', content }])
})

test('the same id twice is one message, with a note', async () => {
  const dir = emptyProject()
  const send = (...args: string[]) => nanoclaw(dir, ['send', 'chat', 'x', '--id', 'once', ...args])
  expect(await send()).toMatchObject({ code: 0, stdout: 'once\n' })
  expect(await send()).toMatchObject({
    code: 0,
    stdout: 'once\n',
    stderr: expect.stringContaining('exists already'),
  })
  expect(JSON.parse((await send('--json')).stdout)).toEqual({ id: 'once', duplicate: true })
  expect(rows(dir)).toHaveLength(1)
})

test('--wait ends with 1 and a message when the time limit passes', async () => {
  const { code, stdout, stderr } = await nanoclaw(emptyProject(), [
    'send',
    'chat',
    'x',
    '--id',
    'm',
    '--wait',
    '100ms',
  ])
  expect({ code, stdout }).toEqual({ code: 1, stdout: 'm\n' })
  expect(stderr).toContain('m has not ended after 100 ms: no runtime is running; start one: nanoclaw dev')
})

test('--wait for a message that has failed already ends with 1 at once', async () => {
  const dir = emptyProject()
  mkdirSync(join(dir, '.nanoclaw'))
  const outbound = wireOutbound(join(dir, '.nanoclaw/outbound.db'))
  outbound.exec("insert into processing_ack values ('m', 'failed', '2026-11-24T00:00:00Z')")
  const { code, stdout } = await nanoclaw(dir, ['send', 'chat', 'x', '--id', 'm', '--wait', '--json'])
  expect(code).toBe(1)
  expect(JSON.parse(stdout)).toEqual({
    id: 'm',
    duplicate: false,
    state: 'failed',
    reason: null,
    error: null,
    replies: [],
  })
})

test('with the files in different folders, set by variables, nothing is sent', async () => {
  const dir = emptyProject()
  const env = { SESSION_INBOUND_DB_PATH: join(dir, 'a.db'), SESSION_OUTBOUND_DB_PATH: join(dir, 'b.db') }
  const { code, stderr } = await nanoclaw(dir, ['send', 'chat', 'x'], { env })
  expect(code).toBe(2)
  expect(stderr).toContain('another host owns them')
})

test.each([
  { where: 'a file', workspace: 'file', linux: false },
  { where: 'below a file', workspace: 'file/below', linux: false },
  { where: 'a link to nothing', workspace: 'nowhere', linux: false },
  { where: 'a folder that takes no other', workspace: '/proc/nope', linux: true },
])(
  'a workspace that is $where is a configuration error, for send, dev and start',
  async ({ workspace, linux }) => {
    if (linux && process.platform !== 'linux') return
    const dir = emptyProject()
    writeFileSync(join(dir, 'file'), '')
    symlinkSync('missing', join(dir, 'nowhere'))
    for (const args of [['send', 'chat', 'x'], ['dev'], ['start']]) {
      const { code, stdout, stderr } = await nanoclaw(dir, [...args, '--workspace', workspace])
      expect({ code, stdout }).toEqual({ code: 78, stdout: '' })
      expect(stderr).toMatch(/^Cannot make the folder .*Choose another (folder|--workspace)\.\n$/)
    }
  },
)
