// The commands with which nanoclaw's own hosts start their container, in a folder that stands for the image.
// Docker itself is not needed: what must answer are the scripts that the image puts into the places of bun
// and tsc.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { headInbound, insertMessage, openDb, seedInbound } from '../support/files.ts'
import { project, until } from '../support/runtime.ts'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))

/** A project in the place of /app, and a folder on PATH with what the image installs. */
function image(): { app: string; workspace: string; path: string } {
  const app = project([], { 'chat.js': 'export default ({ content }) => content.text' })
  const bin = join(app, 'bin')
  const local = join(app, 'node_modules/.bin')
  for (const folder of [bin, local]) mkdirSync(folder, { recursive: true })
  symlinkSync(join(REPOSITORY, 'dist/cli/main.js'), join(bin, 'nanoclaw'))
  // As `npm run build` does.
  chmodSync(join(bin, 'nanoclaw'), 0o755)
  copyFileSync(join(REPOSITORY, 'examples/nanoclaw/bun'), join(bin, 'bun'))
  copyFileSync(join(REPOSITORY, 'examples/nanoclaw/tsc'), join(local, 'tsc'))
  return { app, workspace: join(app, 'workspace'), path: `${bin}:${process.env.PATH}` }
}

function run(command: string, env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn('bash', ['-c', command], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
    detached: true,
  })
  onTestFinished(() => {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // It has ended.
    }
  })
  return child
}

async function answered(outbound: string, id: string): Promise<void> {
  await until(() => {
    try {
      const db = openDb(outbound, { readonly: true })
      const found = db.prepare('select content from messages_out where in_reply_to = ?').pluck().get(id)
      db.close()
      return found === '{"text":"hello"}'
    } catch {
      return false
    }
  })
}

test('the newest host: bun run, the workspace at the one place it knows, a second to stop', async () => {
  const { app, workspace, path } = image()
  const { id } = insertMessage(headInbound(join(workspace, 'inbound.db')), { content: { text: 'hello' } })
  const env = {
    PATH: path,
    TZ: 'UTC',
    NANOCLAW_LOG_LEVEL: 'error',
    NANOCLAW_APP: app,
    NANOCLAW_WORKSPACE: workspace,
    NANOCLAW_DRAIN: '700ms',
  }
  const child = run('exec bun run /app/src/index.ts', env)
  await answered(join(workspace, 'outbound.db'), id)
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([0, null])
})

test('the first host: npx tsc, then node, whose shell becomes the runtime and so gets the SIGTERM; the files at the places that three variables say', async () => {
  const { app, workspace, path } = image()
  const session = join(app, 'session')
  mkdirSync(session)
  const { id } = insertMessage(seedInbound(join(session, 'inbound.db')), { content: { text: 'hello' } })
  const env = {
    PATH: path,
    TZ: 'UTC',
    NANOCLAW_LOG_LEVEL: 'error',
    HOME: app,
    NANOCLAW_WORKSPACE: workspace,
    SESSION_INBOUND_DB_PATH: join(session, 'inbound.db'),
    SESSION_OUTBOUND_DB_PATH: join(session, 'outbound.db'),
    SESSION_HEARTBEAT_PATH: join(session, '.heartbeat'),
    NANOCLAW_DRAIN: '700ms',
  }
  const child = run(`cd ${app} && npx tsc --outDir ${app}/out --pretty && node ${app}/out/index.js`, env)
  await answered(join(session, 'outbound.db'), id)
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([0, null])
})
