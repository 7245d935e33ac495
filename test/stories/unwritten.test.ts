// A stop while another process keeps outbound.db locked: unwritten results are reported, and no message is
// charged.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { headInbound, insertMessage, openDb } from '../support/files.ts'
import { project, testConfig, until } from '../support/runtime.ts'
import { acksAt, serve } from '../support/serve.ts'

const WAITS = `import { existsSync, writeFileSync } from 'node:fs'
  export default { timeout: '10m', async handler() {
    writeFileSync('begun', '')
    while (!existsSync('go')) await new Promise((resolve) => setTimeout(resolve, 5))
    writeFileSync('ended', '')
    return 'done'
  } }`
const CRASH_LIMIT = 3

it('a stop that cannot write results ends with its own exit code, and none of any number of such stops counts as a death [163]', async () => {
  const root = project([], { 'waits.js': WAITS })
  const { workspace, paths } = testConfig(root)
  mkdirSync(workspace, { recursive: true })
  const { id } = insertMessage(headInbound(paths.inbound), { kind: 'waits' })
  const args = ['--crash-limit', String(CRASH_LIMIT), '--drain', '400ms', '--abort-grace', '100ms']
  const [begun, go, ended] = ['begun', 'go', 'ended'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ]
  for (let stop = 0; stop <= CRASH_LIMIT; stop++) {
    for (const flag of [begun, go, ended]) rmSync(flag, { force: true })
    const runtime = serve(root, workspace, { args })
    await until(() => existsSync(begun), runtime.text)
    const reader = openDb(paths.outbound, { readonly: true })
    reader.exec('begin')
    reader.prepare('select count(*) from messages_out').get()
    writeFileSync(go, '')
    await until(() => existsSync(ended))
    runtime.process.kill('SIGTERM')
    expect(await runtime.ended).toBe(74)
    expect(runtime.lines()).toContainEqual(expect.objectContaining({ level: 'error', claims: 1, results: 1 }))
    reader.close()
  }
  const runtime = serve(root, workspace, { args })
  await until(() => acksAt(paths.outbound)[id] === 'completed', runtime.text)
  runtime.process.kill('SIGTERM')
  expect(await runtime.ended).toBe(0)
  const outbound = openDb(paths.outbound, { readonly: true })
  expect(
    outbound.prepare('select attempt, outcome, reason from nanoclaw_run order by run').raw().all(),
  ).toEqual([
    ...Array.from({ length: CRASH_LIMIT + 1 }, () => [1, 'cancelled', 'shutdown']),
    [1, 'replied', null],
  ])
})
