// The example host, run as documented.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { tempDir } from '../support/files.ts'
import { until } from '../support/runtime.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

test('the example host answers a message, and leaves no process behind', async () => {
  const sessions = join(tempDir(), 'sessions')
  const host = spawn(process.execPath, ['--import', 'tsx', 'examples/host/host.ts', sessions], { cwd: ROOT })
  onTestFinished(() => void host.kill('SIGKILL'))
  const exited = once(host, 'exit')
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    host[name].on('data', (data) => {
      said[name] += data
    })
  host.stdin.write('nonsense\nalice good morning\n')

  await until(
    // The supervisor looks now and then whether the runtime is up; the answer may come before that.
    () => said.stdout.includes('alice: You said: good morning\n') && /state: 'running'/.test(said.stderr),
    () => JSON.stringify(said),
  )
  host.stdin.end()
  expect(await exited).toEqual([0, null])
  expect(readdirSync(sessions)).toEqual(['alice'])
  const pids = [...said.stderr.matchAll(/pid: (\d+)/g)].map(([, pid]) => Number(pid))
  expect(pids.length).toBeGreaterThan(0)
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow()
})
