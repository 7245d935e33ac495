// A process that works against the host in a folder that both may write, until the test ends: see
// swap-child.ts.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { compiled } from './compiled.ts'

const CHILD = fileURLToPath(new URL('./swap-child.ts', import.meta.url))

/** Resolves once it is at work. */
export async function attacker(...args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [await compiled(CHILD), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  await once(child.stdout, 'data')
  return child
}
