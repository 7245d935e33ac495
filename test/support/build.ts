// Compiles the runtime before the tests when it is older than its sources: those that start it as a process
// of its own run what users run. What is up to date is left alone, so that two test runs at a time do not
// pull the files from each other.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** `npm run types` reports type errors; the code is written nevertheless. */
export default function setup(): void {
  const built = join(ROOT, 'dist/bin/main.js')
  const newest = Math.max(...sources(join(ROOT, 'runtime')).map((file) => statSync(file).mtimeMs))
  if (existsSync(built) && statSync(built).mtimeMs > newest) return
  const { error } = spawnSync('npm', ['run', 'build', '--silent'], { cwd: ROOT })
  if (error) throw error
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file))
}
