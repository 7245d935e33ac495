// A process that leads a group, with real processes: how it ends, what is read of it, and what a signal
// reaches.
import { expect, test } from 'vitest'
import { realClock } from '../../runtime/protocol/clock.ts'
import { type GroupExit, ProcessGroup, Tail } from '../../runtime/workers/process-group.ts'
import { until } from '../support/runtime.ts'

function start(argv: readonly string[], about: { cwd?: string; lastWordsMs?: number } = {}) {
  const { cwd, lastWordsMs = 60_000 } = about
  const group = new ProcessGroup({ argv, env: process.env, cwd, read: ['stdout', 'stderr'] }, realClock)
  const said = new Tail(1_000)
  for (const stream of ['stdout', 'stderr'] as const) group.onOutput(stream, (text) => said.add(text))
  const exited = new Promise<GroupExit>((resolve) => group.onExit(resolve))
  const ended = new Promise<GroupExit>((resolve) => group.onEnd(resolve, lastWordsMs))
  return { group, said, exited, ended }
}

const shell = (code: string) => ['sh', '-c', code]
const isGone = (pid: number) => {
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}

test.each([
  ['with its code', shell('exit 3'), { code: 3, signal: null }],
  ['with its signal', shell('kill -KILL $$'), { code: null, signal: 'SIGKILL' }],
])('a listener gets the exit of a process %s', async (_what, argv, exit) => {
  const it = start(argv)
  expect(await it.ended).toEqual({ ...exit, unstarted: undefined })
  expect(it.group.exit).toEqual(await it.exited)
})

test.each([
  ['a program that is missing', ['nanoclaw-has-no-such-program'], {}, /ENOENT/],
  ['a folder that is missing', ['true'], { cwd: '/nanoclaw-has-no-such-folder' }, /ENOENT/],
  ['no program', [''], {}, /file/],
  ['an argument that no program can get', ['true', '\0'], {}, /null bytes/],
])(
  'a process that cannot be started for %s has exited, with the reason',
  async (_what, argv, about, reason) => {
    const it = start(argv, about)
    const end = await it.ended
    expect(end).toMatchObject({ code: null, signal: null })
    expect(end.unstarted).toMatch(reason)
    expect(it.group.pid).toBeUndefined()
    expect(it.group.exit).toEqual(end)
    it.group.signal('SIGKILL')
    expect(await new Promise((resolve) => it.group.onExit(resolve))).toEqual(end)
  },
)

test('a late listener is called with the exit', async () => {
  const it = start(shell('exit 3'))
  await it.ended
  expect(await new Promise((resolve) => it.group.onExit(resolve))).toMatchObject({ code: 3 })
  expect(await new Promise((resolve) => it.group.onEnd(resolve, 0))).toMatchObject({ code: 3 })
})

test('all output of a process is read before its end is reported', async () => {
  const it = start(shell('head -c 300000 /dev/zero | tr "\\0" x; echo end >&2'))
  const seen = { stdout: 0 }
  it.group.onOutput('stdout', (text) => (seen.stdout += text.length))
  await it.ended
  expect(seen.stdout).toBe(300_000)
  expect(it.said.text).toHaveLength(1_000)
  expect(it.said.text).toContain('end\n')
})

test('a process is over although one that it started holds its output; a signal to the group still reaches that one', async () => {
  const it = start(shell('sleep 600 & echo $!'), { lastWordsMs: 20 })
  expect(await it.ended).toMatchObject({ code: 0 })
  const grandchild = Number(it.said.text)
  expect(isGone(grandchild)).toBe(false)
  it.group.signal('SIGKILL')
  await until(() => isGone(grandchild))
  it.group.signal('SIGKILL')
})
