// The example hosts run as documented, each against this runtime: first stopped with a hot journal left
// behind, then started.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { examineInbound, examineOutbound } from '../../runtime/conformance/folder.ts'
import { openDb, wireOutbound } from '../support/files.ts'
import { leaveHotJournal } from '../support/hot-journal.ts'
import { project, testConfig, until, workbenchAt } from '../support/runtime.ts'

const HOSTS = fileURLToPath(new URL('../../examples/hosts/', import.meta.url))
const CHAT = `export default (message, ctx) => { ctx.reply('first'); return message.content }`
const TEXTS = ["it's ünïcode", 'two "words"', '-n $HOME `x` \\n %s']
const REPLIES = TEXTS.flatMap((text) => [{ text: 'first' }, { text }])

interface Host {
  readonly name: string
  readonly command: readonly string[]
  readonly needs: string
}

describe.each<Host>([
  { name: 'host.sh', command: ['sh', join(HOSTS, 'host.sh')], needs: 'sqlite3' },
  { name: 'host.py', command: ['python3', join(HOSTS, 'host.py')], needs: 'python3' },
])('$name', ({ command, needs }) => {
  test.skipIf(isMissing(needs))(`prints each reply once and keeps the rules (needs ${needs})`, async () => {
    const root = project([], { 'chat.js': CHAT })
    const { workspace, paths } = testConfig(root)
    await leaveHotOutbound(paths.outbound)

    const host = run(command, workspace, TEXTS)
    const sent = () => existsSync(paths.inbound) && countMessages(paths.inbound) === TEXTS.length
    await until(sent, () => host.output.stderr)
    expect(isHot(paths.outbound)).toBe(true)
    await workbenchAt(root)
    expect(await host.ended).toBe(0)
    // Messages without an address have no order.
    expect(sorted(printed(host.output.stdout))).toEqual(sorted(REPLIES))

    // As if it had died between printing and marking.
    openDb(paths.inbound).exec("update messages_in set status = 'pending' where seq = 2")
    const again = run(command, workspace, ['once more'])
    expect(await again.ended).toBe(0)
    expect(printed(again.output.stdout)).toEqual([{ text: 'first' }, { text: 'once more' }])

    const messages = openDb(paths.inbound, { readonly: true }).prepare('select seq, status from messages_in')
    expect(messages.raw().all()).toEqual([2, 4, 6, 8].map((seq) => [seq, 'completed']))
    const findings = [...examineInbound(paths), ...examineOutbound(paths, Date.now())]
    expect(findings.filter(({ verdict }) => verdict === 'fail')).toEqual([])
    expect(host.output.stderr + again.output.stderr).toBe('')
  })
})

function sorted(replies: readonly unknown[]): string[] {
  return replies.map((reply) => JSON.stringify(reply)).sort()
}

function isMissing(command: string): boolean {
  return spawnSync(command, ['--version']).status !== 0
}

/** What a runtime leaves that was killed in the middle of a commit. */
async function leaveHotOutbound(path: string): Promise<void> {
  const outbound = wireOutbound(path)
  outbound.exec(`with recursive n (i) as (select 1 union all select i + 1 from n where i < 1000)
    insert into processing_ack select 'old-' || i, 'completed', '2026-11-24T06:00:00Z' from n`)
  outbound.close()
  await leaveHotJournal(path, "update processing_ack set status = 'torn'")
}

function isHot(path: string): boolean {
  return (statSync(`${path}-journal`, { throwIfNoEntry: false })?.size ?? 0) > 0
}

function countMessages(path: string): number {
  const db = openDb(path, { readonly: true })
  try {
    return db.prepare('select count(*) from messages_in').pluck().get() as number
  } catch {
    return 0
  } finally {
    db.close()
  }
}

function run(command: readonly string[], workspace: string, texts: readonly string[]) {
  const [file = '', ...args] = command
  const child = spawn(file, [...args, workspace, ...texts])
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  return { output, ended: once(child, 'close').then(([code]) => code as number) }
}

function printed(stdout: string): unknown[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}
