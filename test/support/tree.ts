// Which files the repository holds, as paths from its root.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'

/** What git tracks or would track; without git, everything but what is made here. */
export function listFiles(root: string): string[] {
  try {
    const output = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const listed = [...new Set(output.split('\0'))]
    return listed.filter((file) => file !== '' && existsSync(join(root, file))).sort()
  } catch {
    return walk(root)
      .map((path) => relative(root, path))
      .sort()
  }
}

const MADE_HERE = new Set(['.git', 'node_modules', 'dist', 'coverage', '.nanoclaw'])

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (MADE_HERE.has(entry.name)) return []
    const path = join(folder, entry.name)
    return entry.isDirectory() ? walk(path) : entry.isFile() ? [path] : []
  })
}
