// The build that is tested: a copy of dist/, with the packages it needs. A wrong one is changed as text and
// bundled again, as the build script does it, so that its start costs what the right one's does.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CHANGED, changed, type Variant } from './variants.ts'

/**
 * Puts a build into `folder`, which does not exist yet.
 * @param variant a change that does not fit is an error
 * @returns its command
 */
export function copyBuild(repository: string, folder: string, variant?: Variant): string {
  mkdirSync(folder)
  for (const part of ['dist', 'package.json'])
    cpSync(join(repository, part), join(folder, part), { recursive: true })
  symlinkSync(join(repository, 'node_modules'), join(folder, 'node_modules'))
  if (variant) {
    const path = join(folder, CHANGED)
    writeFileSync(path, changed(readFileSync(path, 'utf8'), variant))
    rmSync(join(folder, 'dist/bin'), { recursive: true })
    execFileSync('npm', ['run', '--silent', 'build:bin'], { cwd: folder, stdio: 'inherit' })
  }
  return join(folder, 'dist/bin/main.js')
}
