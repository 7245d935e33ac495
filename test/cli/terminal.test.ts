// A real terminal, closed under the command: `script` owns the other side of it and is killed.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openDb } from '../support/files.ts'
import { initProject, MAIN, nanoclaw } from './cli.ts'

const LEADER = fileURLToPath(new URL('../fixtures/terminal.mjs', import.meta.url))
const NO_SCRIPT = spawnSync('script', ['--version']).status !== 0
const DEADLINE = { timeout: 30_000, interval: 20 }
/** Prints all the time, also while the runtime drains. */
const CHATTY = `export default async (message, ctx) => {
  for (let tick = 0; tick < 20; tick++) {
    console.log('out', tick)
    console.error('err', tick)
    ctx.log.info('log')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return 'done'
}`

test.skipIf(NO_SCRIPT).each([
  ['dev', 1],
  ['dev', 2],
  ['dev --json', 1],
  ['start', 1],
  ['start', 2],
])(
  'the terminal of `%s` is closed (%i × SIGHUP): running messages finish, and it ends with 0 [119]',
  async (line, hangups) => {
    const { dir, ended, close } = await inTerminal(line, hangups)
    await expect.poll(() => statusOf(dir), DEADLINE).toEqual(['processing'])
    await close()
    await expect.poll(ended, DEADLINE).toEqual({ code: 0, signal: null })
    expect(statusOf(dir)).toEqual(['completed'])
  },
)

test.skipIf(NO_SCRIPT).each([['dev'], ['start']])(
  'the terminal of `%s` is closed and no SIGHUP comes, as for a disowned job: it continues [119]',
  async (line) => {
    const { dir, ended, close } = await inTerminal(line, 0)
    await close()
    await expect.poll(() => statusOf(dir), DEADLINE).toEqual(['completed'])
    await nanoclaw(dir, ['send', 'chatty'])
    await expect.poll(() => statusOf(dir), DEADLINE).toEqual(['completed', 'completed'])
    const { pid } = JSON.parse(readFileSync(join(dir, '.nanoclaw/.runtime.json'), 'utf8')) as { pid: number }
    process.kill(pid, 'SIGTERM')
    await expect.poll(ended, DEADLINE).toEqual({ code: 0, signal: null })
  },
)

test('a one-time command whose output could not be written reports that and ends with 1', async () => {
  const dir = await initProject()
  const { status, stderr } = spawnSync('sh', ['-c', `"${process.execPath}" "${MAIN}" status > /dev/full`], {
    cwd: dir,
    encoding: 'utf8',
  })
  expect(status).toBe(1)
  expect(stderr).toMatch(/^Not everything could be printed: .*ENOSPC/)
})

test('a log on a full disk does not end the runtime', async () => {
  const dir = await initProject()
  const shell = `exec "${process.execPath}" "${MAIN}" start 2> /dev/full`
  const start = spawn('sh', ['-c', shell], { cwd: dir })
  onTestFinished(() => void start.kill('SIGKILL'))
  expect(await nanoclaw(dir, ['send', 'chat', 'hello', '--wait'])).toMatchObject({ code: 0 })
  start.kill('SIGTERM')
  await expect.poll(() => start.exitCode, DEADLINE).toBe(0)
})

/** A project whose function runs in `nanoclaw <line>`, which runs in a terminal. */
async function inTerminal(line: string, hangups: number) {
  const dir = await initProject()
  writeFileSync(join(dir, 'functions/chatty.ts'), CHATTY)
  await nanoclaw(dir, ['send', 'chatty'])
  const file = join(dir, 'ended.json')
  const command = ['exec', process.execPath, LEADER, file, hangups, process.execPath, MAIN, line].join(' ')
  const terminal = spawn('script', ['-qfc', command, '/dev/null'], {
    cwd: dir,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let shown = ''
  terminal.stdout.on('data', (text) => (shown += text))
  onTestFinished(() => void terminal.kill('SIGKILL'))
  await expect.poll(() => shown, DEADLINE).toContain('out')
  return {
    dir,
    ended: () => (existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as unknown) : undefined),
    async close() {
      terminal.kill('SIGKILL')
      await expect.poll(() => existsSync(join(dir, 'closed')), DEADLINE).toBe(true)
    },
  }
}

function statusOf(dir: string): unknown[] {
  const outbound = openDb(join(dir, '.nanoclaw/outbound.db'), { readonly: true })
  const states = outbound.prepare('select status from processing_ack').pluck().all()
  outbound.close()
  return states
}
