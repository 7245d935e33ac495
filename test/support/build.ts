// Compiles the runtime once before the tests: those that start it as a process of its own run what users run.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Type errors are told by `npm run types`; the code is written all the same. */
export default function setup(): void {
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const { error } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'runtime'], { cwd })
  if (error) throw error
}
