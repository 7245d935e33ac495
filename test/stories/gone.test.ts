// The workspace of a running runtime removed: outbound.db, or the whole folder, deleted, moved or exchanged.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createEvents } from '../../runtime/protocol/events.ts'
import { createRuntime } from '../../runtime/runtime.ts'
import { headInbound, insertMessage } from '../support/files.ts'
import { project, testConfig, until, workbench, workbenchAt } from '../support/runtime.ts'
import { acksAt, serve } from '../support/serve.ts'

/** The runtime may write a file there in the middle of it. */
const DELETED = { recursive: true, maxRetries: 20 } as const

const WAYS: readonly (readonly [what: string, take: (workspace: string) => void])[] = [
  ['outbound.db is deleted', (workspace) => rmSync(`${workspace}/outbound.db`)],
  [
    'outbound.db is moved',
    (workspace) => renameSync(`${workspace}/outbound.db`, `${workspace}/outbound.old`),
  ],
  [
    'outbound.db is exchanged for another file',
    (workspace) => {
      writeFileSync(`${workspace}/outbound.new`, readFileSync(`${workspace}/outbound.db`))
      renameSync(`${workspace}/outbound.new`, `${workspace}/outbound.db`)
    },
  ],
  ['the whole folder is deleted', (workspace) => rmSync(workspace, DELETED)],
  [
    'the whole folder is exchanged for an empty one',
    (workspace) => {
      renameSync(workspace, `${workspace}.old`)
      mkdirSync(workspace)
    },
  ],
]

const WAY_OUT = 'the file was moved or deleted while in use; put it back, or start again'

describe('a runtime [74, 114]', () => {
  it.each(WAYS)('without work ends with 78 and the remedy when %s', async (_what, take) => {
    const { runtime, workspace } = await serving()
    take(workspace)
    expect(await runtime.ended).toBe(78)
    const { err } = runtime.lines().find(({ msg }) => msg === 'fatal error')!
    expect(err.message).toMatch(`${workspace}/outbound.db: ${WAY_OUT}`)
    expect(runtime.text().trim().split('\n').at(-1)).toContain(WAY_OUT)
    expect(existsSync(`${workspace}/outbound.db-journal`)).toBe(false)
  })
})

it.each(['delete', 'wal'] as const)(
  'a result that arrives after outbound.db was deleted is not reported as written (journal %s) [74, 114]',
  async (journal) => {
    const bench = await workbench(['slow'], { journal })
    const [fatal, settled]: [unknown[], unknown[]] = [[], []]
    bench.events.on('fatal', ({ exitCode, error }) => fatal.push([exitCode, error.message]))
    bench.events.on('runs-ended', (all) => settled.push(...all))
    const id = bench.send('slow', { ms: 20 })
    await until(() => bench.ack(id) === 'processing')
    const { outbound } = bench.config.paths
    for (const suffix of ['', '-wal', '-shm']) rmSync(outbound + suffix, { force: true })
    await until(() => fatal.length > 0)
    expect([fatal, settled]).toEqual([[[78, `${outbound}: ${WAY_OUT}`]], []])
  },
)

async function serving() {
  const root = project(['echo'])
  const { paths, workspace } = testConfig(root)
  const inbound = headInbound(paths.inbound)
  const { id } = insertMessage(inbound, { kind: 'echo' })
  const runtime = serve(root, workspace)
  onTestFinished(() => void runtime.process.kill('SIGKILL'))
  await until(() => acksAt(paths.outbound)[id] === 'completed')
  return { runtime, workspace }
}

it('a lock whose file was deleted is taken again, and keeps a second runtime out [166]', async () => {
  const bench = await workbench(['echo'])
  const { lock } = bench.config.paths
  rmSync(lock)
  await until(() => existsSync(lock))
  await expect(createRuntime(bench.config, createEvents()).start()).rejects.toMatchObject({ code: 'locked' })
  await bench.ended(bench.send('echo'))
})

it('when a second runtime was quicker, the first ends with 75, also without work [166]', async () => {
  const bench = await workbench(['echo'])
  const fatal: number[] = []
  bench.events.on('fatal', ({ exitCode }) => fatal.push(exitCode))
  rmSync(bench.config.paths.lock)
  const second = await workbenchAt(bench.config.root)
  await until(() => fatal.length > 0)
  expect(fatal).toEqual([75])
  await second.ended(second.send('echo'))
})
