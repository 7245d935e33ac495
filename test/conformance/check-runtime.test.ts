// `conform --command` against runtimes: this one, another one that keeps the rules, and the same one set to
// break them. A check is mostly waiting, so all of them run at the same time, and each test waits for its
// own.
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { CheckName, Finding } from '../../runtime/conformance/checks.ts'
import { tempDir } from '../support/files.ts'
import { until } from '../support/runtime.ts'

const STRANGER = fileURLToPath(new URL('../fixtures/conform/runtime.mjs', import.meta.url))
const CHECK_ONE = fileURLToPath(new URL('../fixtures/conform/check-one.mjs', import.meta.url))
const OURS = fileURLToPath(new URL('../../dist/bin/main.js', import.meta.url))
const WIDTH = 80
/** How long to wait for what a broken runtime never does. */
const WAIT_MS = 1_500

interface Mutant {
  readonly faults: string
  readonly stage: 'work' | 'kill' | 'rough'
  readonly fails: readonly CheckName[]
}

const MUTANTS: readonly Mutant[] = [
  {
    faults: 'newest-ten,even-seq,no-address,no-heartbeat,answers-context,raw-ids',
    stage: 'work',
    fails: ['burst', 'heartbeat', 'never-alone', 'order', 'reply-folders', 'reply-routing', 'reply-seq'],
  },
  {
    faults: 'raw-time,no-lock,writes-inbound',
    stage: 'work',
    fails: ['bad-time', 'later', 'second', 'time-forms', 'untouched'],
  },
  { faults: 'two-commits,ignores-pause,quits', stage: 'work', fails: ['one-commit', 'pause', 'stays'] },
  { faults: 'two-commits', stage: 'kill', fails: ['kill'] },
  { faults: 'impatient', stage: 'rough', fails: ['hot-journal', 'late-file', 'locked'] },
]

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const ends: (() => unknown)[] = []
const root = tempDir((end) => void ends.push(end))
const stopping = new AbortController()
let ours: Promise<Ended>
let stranger: Promise<Ended>
let unanswered: Promise<Ended>
let mutants: readonly Promise<readonly CheckName[]>[] = []

beforeAll(() => {
  ours = conform('--wait', '60s', '--command', `node '${OURS}' start`)
  stranger = conform('--json', '--wait', '60s', '--command', `node '${STRANGER}' {dir}`)
  unanswered = conform('--wait', '1s', '--command', 'sh -c "echo no luck; exit 3"')
  mutants = MUTANTS.map(failures)
})

afterAll(async () => {
  stopping.abort()
  await Promise.allSettled([ours, stranger, unanswered, ...mutants])
  for (const end of ends) await end()
})

test('this runtime keeps every rule, and the table fits a terminal', async () => {
  const { code, stdout, stderr } = await ours
  expect(stdout).toMatch(/^0 failed, \d+ passed, 0 skipped/m)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.split('\n').filter((line) => line.length > WIDTH && !line.startsWith('node '))).toEqual([])
})

test('so does another runtime, which gets its folder by {dir}', async () => {
  const { code, stdout } = await stranger
  const { checks, kept } = JSON.parse(stdout) as { checks: readonly Finding[]; kept: string | null }
  expect(checks.filter(({ verdict }) => verdict !== 'pass')).toEqual([])
  expect({ code, kept }).toEqual({ code: 0, kept: null })
})

test('a command that never answers fails its checks, with its last output and exit code 1', async () => {
  const { code, stdout, stderr } = await unanswered
  expect(stdout).toMatch(/FAIL {2}answers .*\n +seen .*ended with code 3; its\n +last line: no luck/)
  expect(stdout).toMatch(/skip {2}burst .*no answer/)
  expect(code).toBe(1)
  expect(stderr).toContain(`Its folders are kept in ${root}`)
})

test('a signal ends it and the processes that it started, and it leaves no files', async () => {
  const scratch = join(root, 'interrupted')
  mkdirSync(scratch)
  const env = { PATH: process.env.PATH, TMPDIR: scratch }
  const command = `node '${STRANGER}' {dir} interrupted`
  const child = spawn(process.execPath, [OURS, 'conform', '--command', command], { env, stdio: 'ignore' })
  const works = () =>
    readdirSync(scratch, { recursive: true }).some((name) => /work.\.heartbeat$/.test(String(name)))
  await until(works)
  child.kill('SIGINT')
  expect(await once(child, 'exit')).toEqual([130, null])
  expect(readdirSync(scratch)).toEqual([])
  expect(spawnSync('pgrep', ['-f', `${STRANGER} ${scratch}`], { encoding: 'utf8' }).stdout).toBe('')
})

test.each(MUTANTS.map((mutant, at) => ({ ...mutant, at })))('$faults: $fails', async ({ fails, at }) => {
  expect([...(await mutants[at]!)].sort()).toEqual(fails)
})

function conform(...args: readonly string[]): Promise<Ended> {
  return run(OURS, 'conform', ...args)
}

async function failures({ faults, stage }: Mutant, at: number): Promise<readonly CheckName[]> {
  const command = [process.execPath, STRANGER, '{dir}', faults]
  const { stdout, stderr } = await run(
    CHECK_ONE,
    stage,
    join(root, `mutant-${at}`),
    String(WAIT_MS),
    ...command,
  )
  return stderr === '' ? JSON.parse(stdout) : expect.fail(stderr)
}

function run(...args: readonly string[]): Promise<Ended> {
  const options = { cwd: root, env: { PATH: process.env.PATH, TMPDIR: root }, signal: stopping.signal }
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, options, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })
}
