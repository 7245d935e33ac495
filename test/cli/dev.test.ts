import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDb } from '../support/files.ts'
import { initProject, nanoclaw, startNanoclaw } from './cli.ts'

const READY = 'Ctrl+C stops.'

test('a new project answers at once, reloads changes, and stops gracefully', async () => {
  const dir = await initProject()
  const dev = startNanoclaw(dir, ['dev'])
  await dev.says(READY)
  expect(dev.stdout()).toMatch(/^ {2}chat {2}kind chat {2}functions\/chat\.ts$/m)

  const first = await nanoclaw(dir, ['send', 'chat', 'hello', '--wait'])
  expect(first).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/^msg-\S+\nYou said: hello\n$/),
  })
  const id = first.stdout.split('\n')[0] ?? ''
  await dev.says(
    new RegExp(`^\\d\\d:\\d\\d:\\d\\d {2}done {4}chat {2}${id} {2}[\\d.]+ ms\\n {18}→ You said: hello$`, 'm'),
  )
  expect(dev.stdout()).toContain('chat | info: answering {"attempt":1}')

  writeFileSync(
    join(dir, 'functions/loud.ts'),
    `export default { retry: { attempts: 2, minDelay: 1 }, handler() {
      console.log('almost \\u001b[2J')
      throw new TypeError('too loud')
    } }`,
  )
  await dev.says(/reload {2}loud {2}kind loud/)
  const failed = await nanoclaw(dir, ['send', 'loud', 'x', '--wait'])
  expect(failed).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('failed (handler_error: TypeError: too loud)'),
  })
  await dev.says(
    /failed {2}loud .*attempt 2 {2}handler_error: TypeError: too loud\n +at handler \(.*functions\/loud\.ts:3/,
  )
  expect(dev.stdout()).toMatch(/retry {3}loud .*again (at once|in)/)
  expect(dev.stdout()).toContain('loud | almost \\u001b[2J')
  expect(dev.stdout()).not.toContain('\u001b')

  writeFileSync(
    join(dir, 'functions/after.ts'),
    `export default () => { setTimeout(() => { throw new Error('background boom') }, 20); return 'ok' }`,
  )
  await dev.says(/reload {2}after/)
  await nanoclaw(dir, ['send', 'after', '--wait'])
  await dev.says(
    /ended {3}after {2}a process; no message is charged: uncaught Error: background boom\n +at .*functions\/after\.ts:1/,
  )

  await nanoclaw(dir, ['send', 'nobody'])
  await dev.says(/parked {2}msg-\S+ {2}no function takes kind nobody; functions\/nobody\.ts would take it/)
  writeFileSync(join(dir, 'functions/broken.ts'), 'export default {')
  await dev.says(/broken {2}broken; fix it and save/)
  rmSync(join(dir, 'functions/broken.ts'))
  await expect.poll(async () => (await nanoclaw(dir, ['status'])).stdout).toMatch(/^ {2}nobody {2}1$/m)
  expect((await nanoclaw(dir, ['status'])).stdout).toMatch(/^runtime +running: process \d+/m)

  dev.child.kill('SIGINT')
  expect(await dev.ended()).toMatchObject({ code: 0, stderr: '' })
  const inbound = openDb(join(dir, '.nanoclaw/inbound.db'), { readonly: true })
  const states = inbound.prepare('select kind, status from messages_in order by seq').raw().all()
  expect(states).toEqual([
    ['chat', 'completed'],
    ['loud', 'failed'],
    ['after', 'completed'],
    ['nobody', 'pending'],
  ])
})

test('every event is a JSON line for programs', async () => {
  const dir = await initProject()
  const dev = startNanoclaw(dir, ['dev', '--json'])
  await dev.says('"event":"started"')
  await nanoclaw(dir, ['send', 'chat', 'hello', '--id', 'm'])
  await dev.says('"event":"runs-ended"')
  dev.child.kill('SIGTERM')
  const { code, stdout } = await dev.ended()
  expect(code).toBe(0)
  const events = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; about: any })
  expect(events.find(({ event }) => event === 'runs-ended')?.about).toMatchObject([
    { id: 'm', verdict: 'done' },
  ])
  expect(events.at(-1)?.event).toBe('stopped')
})

test('start logs JSON on stderr and nothing on stdout; a second runtime ends with 75 and names the first', async () => {
  const dir = await initProject()
  const first = startNanoclaw(dir, ['start'])
  await expect.poll(() => first.stderr()).toContain('"msg":"started"')
  for (const command of ['start', 'dev']) {
    const { code, stderr } = await nanoclaw(dir, [command])
    expect(code).toBe(75)
    expect(stderr).toContain(`process ${first.child.pid} on`)
  }
  first.child.kill('SIGTERM')
  const { code, stdout, stderr } = await first.ended()
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
  for (const line of stderr.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg')
})

test('it continues without a reader of its output, and stops gracefully', async () => {
  const dir = await initProject()
  const dev = startNanoclaw(dir, ['dev'])
  await dev.says(READY)
  dev.child.stdout?.destroy()
  dev.child.stderr?.destroy()
  for (const text of ['one', 'two'])
    expect(await nanoclaw(dir, ['send', 'chat', text, '--wait'])).toMatchObject({ code: 0 })
  dev.child.kill('SIGTERM')
  expect((await dev.ended()).code).toBe(0)
})

test('a second signal ends it at once', async () => {
  const dir = await initProject()
  writeFileSync(
    join(dir, 'functions/slow.ts'),
    'export default () => new Promise(() => setInterval(() => {}, 1000))',
  )
  const dev = startNanoclaw(dir, ['dev', '--json', '--drain', '1h', '--timeout', '1h'])
  await dev.says('"event":"started"')
  await nanoclaw(dir, ['send', 'slow'])
  await dev.says('"event":"claimed"')
  dev.child.kill('SIGINT')
  await dev.says('"event":"stopping"')
  dev.child.kill('SIGINT')
  expect((await dev.ended()).code).toBe(130)
})

test('replies of kind system are executed and printed; unknown actions are printed as well [128]', async () => {
  const dir = await initProject()
  writeFileSync(
    join(dir, 'functions/ask.ts'),
    `export default (message, ctx) => ctx.reply(message.content, { kind: 'system' })`,
  )
  writeFileSync(
    join(dir, 'functions/task.ts'),
    'export default (message) => "doing " + message.content.prompt',
  )
  writeFileSync(
    join(dir, 'functions/draw.ts'),
    `import { mkdirSync, writeFileSync } from 'node:fs'
    export default (message, ctx) => {
      const id = message.id + ':0'
      ctx.reply({ text: 'a drawing', files: ['a.txt'] })
      mkdirSync('.nanoclaw/outbox/' + id, { recursive: true })
      writeFileSync('.nanoclaw/outbox/' + id + '/a.txt', 'lines')
    }`,
  )
  const dev = startNanoclaw(dir, ['dev'])
  await dev.says(READY)
  const ask = (content: object) => nanoclaw(dir, ['send', 'ask', JSON.stringify(content), '--wait'])
  const processAfter = new Date().toISOString()
  await ask({ action: 'schedule_task', taskId: 'tea', prompt: 'tea', processAfter, recurrence: '0 9 * * *' })
  await dev.says(/host {4}schedule_task {2}\S+/)
  await dev.says('→ doing tea')
  await ask({ action: 'cancel_task', taskId: 'tea' })
  await dev.says(/host {4}cancel_task {2}\S+/)
  await ask({ action: 'fly' })
  await dev.says(/host {4}\S+ {2}given up: .*there is no action "fly"; this host knows schedule_task/)
  await ask({ action: 'schedule_task', taskId: 'bad', prompt: 'x', processAfter: 'whenever' })
  await dev.says(/host {4}schedule_task {2}\S+ {2}given up: .*processAfter/)
  expect((await nanoclaw(dir, ['send', 'draw', '--wait'])).code).toBe(0)
  await expect.poll(() => existsSync(join(dir, '.nanoclaw/sent'))).toBe(true)
  const [reply = ''] = readdirSync(join(dir, '.nanoclaw/sent'))
  await expect.poll(() => readdirSync(join(dir, '.nanoclaw/outbox'))).toEqual([])
  expect(readFileSync(join(dir, '.nanoclaw/sent', reply, 'a.txt'), 'utf8')).toBe('lines')
  dev.child.kill('SIGINT')
  expect(await dev.ended()).toMatchObject({ code: 0, stderr: '' })
  const inbound = openDb(join(dir, '.nanoclaw/inbound.db'), { readonly: true })
  const tasks = inbound
    .prepare("select status from messages_in where kind = 'task' order by seq")
    .pluck()
    .all()
  expect(new Set(tasks)).toEqual(new Set(['completed']))
})

test('the same in JSON [128]', async () => {
  const dir = await initProject()
  writeFileSync(
    join(dir, 'functions/ask.ts'),
    `export default (message, ctx) => ctx.reply(message.content, { kind: 'system' })`,
  )
  const dev = startNanoclaw(dir, ['dev', '--json'])
  await dev.says('"event":"started"')
  await nanoclaw(dir, ['send', 'ask', '{"action":"schedule_task","taskId":"t","prompt":"p"}', '--wait'])
  await dev.says(/"event":"action".*"type":"delivered".*"action":"schedule_task"/)
})
