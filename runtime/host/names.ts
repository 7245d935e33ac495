// Names that come from outside and become part of a path: ids of messages, names of files. Only a plain name is ever joined
// to a folder, and only a real folder inside its parent is ever written to, read from or removed.
import { lstatSync } from 'node:fs'
import { join } from 'node:path'

/** What every file system in use takes. */
const NAME_BYTES_MAX = 255

/** A name that stays in its folder: no separator, no NUL, not `.` or `..`. */
export function isPlainName(name: string): boolean {
  return (
    name !== '' &&
    name !== '.' &&
    name !== '..' &&
    !/[/\\\0]/.test(name) &&
    Buffer.byteLength(name) <= NAME_BYTES_MAX
  )
}

/** The folder `parent/name` if both are real folders, no links; it then lies in the parent. Otherwise undefined. */
export function realFolder(parent: string, name: string): string | undefined {
  if (!isPlainName(name)) return undefined
  const folder = join(parent, name)
  return isFolder(parent) && isFolder(folder) ? folder : undefined
}

function isFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
