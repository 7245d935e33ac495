// Ctrl-C while a start still builds and loads functions. A terminal sends SIGINT to the whole group, so it
// ends the bundler's helper, too.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../support/runtime.ts'
import { initProject, MAIN } from './cli.ts'

const FUNCTIONS = 12

test.each(
  ['dev', 'start'].flatMap((command) => [
    [
      command,
      'has locked its workspace',
      (dir: string) => existsSync(join(dir, '.nanoclaw/.runtime.lock')),
    ] as const,
    [command, 'has built one function', (dir: string) => built(dir) >= 1] as const,
    [command, 'has built half of them', (dir: string) => built(dir) >= FUNCTIONS / 2] as const,
    [command, 'has built all of them', (dir: string) => built(dir) >= FUNCTIONS] as const,
  ]),
)(
  'Ctrl-C when `%s` %s, its cache cold, ends it with 0 and reports no broken function [124]',
  async (command, _, reached) => {
    const dir = await initProject()
    for (let n = 1; n < FUNCTIONS; n++)
      writeFileSync(join(dir, `functions/f${n}.ts`), `export default () => ${n}`)
    const child = spawn(process.execPath, [MAIN, command], { cwd: dir, detached: true })
    onTestFinished(() => void child.kill('SIGKILL'))
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text))
    await until(() => reached(dir) || child.exitCode !== null)
    expect(child.exitCode, said).toBeNull()
    process.kill(-child.pid!, 'SIGINT')
    const [code] = await once(child, 'close')
    expect(said).not.toMatch(/broken|cannot be|does not load|bug/)
    expect(code, said).toBe(0)
  },
)

function built(dir: string): number {
  const cache = join(dir, '.nanoclaw/build')
  return existsSync(cache)
    ? readdirSync(cache).filter((file) => /^(chat|f\d+)-.*\.c?m?js$/.test(file)).length
    : 0
}
