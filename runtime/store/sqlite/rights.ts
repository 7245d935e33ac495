// Why this process may not use a database file: whose it is, who the process is, and what mends it. SQLite
// has few words for it ("unable to open database file", "attempt to write a readonly database"), so the file
// system is asked. Nothing is opened.
import { accessSync, constants, type Stats, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

export type Use = 'read' | 'write'

/**
 * SQLite keeps these beside a database; one that an earlier user left is in the way as much as the database
 * itself.
 */
const BESIDE = ['-journal', '-wal', '-shm']

/** Undefined: rights are not what keeps it from being used. */
export function denialOf(file: string, use: Use): string | undefined {
  const path = resolve(file)
  const folder = dirname(path)
  for (const above of foldersTo(folder)) {
    const denied = denial(`the folder ${above}`, above, constants.X_OK, 'enter')
    if (denied) return denied
  }
  for (const each of [path, ...BESIDE.map((suffix) => path + suffix)]) {
    const flags = use === 'read' ? constants.R_OK : constants.R_OK | constants.W_OK
    const denied = denial(each, each, flags, use)
    if (denied) return denied
  }
  // A commit makes a journal beside the file.
  return use === 'write' ? denial(`the folder ${folder}`, folder, constants.W_OK, 'write') : undefined
}

/** Of one file or folder; undefined also when it is not there. */
function denial(name: string, path: string, flags: number, use: Use | 'enter'): string | undefined {
  const code = refusalOf(path, flags)
  const stats = code && lookAt(path)
  if (!stats) return undefined
  if (code === 'EROFS')
    return `${name} is on a read-only file system; mount it writable, or use another place`
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0')
  const uid = process.getuid?.()
  if (code === 'EPERM')
    return `${name} is protected by its file system (an attribute such as immutable, see lsattr), uid ${uid} may not ${use} it; remove that protection`
  if (stats.uid === uid)
    return `${name} has mode ${mode}, which does not let its owner, uid ${uid}, ${use} it; change the mode (chmod u+${RIGHT[use]})`
  return `${name} belongs to uid ${stats.uid} and has mode ${mode}; this process runs as uid ${uid}, which may not ${use} it: run it as uid ${stats.uid}, or give it to uid ${uid} (chown)`
}

const RIGHT = { read: 'r', write: 'rw', enter: 'x' } as const

/** From the root down. */
function foldersTo(folder: string): string[] {
  const above = dirname(folder)
  return above === folder ? [folder] : [...foldersTo(above), folder]
}

function refusalOf(path: string, flags: number): string | undefined {
  try {
    accessSync(path, flags)
    return undefined
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    return code === 'EACCES' || code === 'EPERM' || code === 'EROFS' ? code : undefined
  }
}

function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}
