// A folder that the runtime or a host needs, and the one error that says why it cannot be had.
import { mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { errorText, NanoclawError } from './protocol/errors.ts'

/**
 * Makes a folder, and those above it, where there are none.
 * @param choice what a person may choose another of
 * @throws NanoclawError `bad_config`
 */
export function makeFolder(path: string, choice: '--workspace' | '--cache' | 'folder', mode?: number): void {
  const folder = resolve(path)
  try {
    make(folder, mode)
  } catch (error) {
    const other = NOT_ALLOWED.has(codeOf(error)) ? `, or let uid ${process.getuid?.()} write there` : ''
    throw new NanoclawError(
      'bad_config',
      `Cannot make the folder ${folder}: ${errorText(error)}. Choose another ${choice}${other}.`,
      { cause: error },
    )
  }
}

/** What other rights would mend. */
const NOT_ALLOWED: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM', 'EROFS'])

/**
 * Not by mkdir's own `recursive`: where a folder exists and takes no other, as in /proc, the kernel says ENOENT of the new
 * one, and Node makes the one above again and again, for ever.
 */
function make(folder: string, mode: number | undefined): void {
  if (isFolder(folder)) return
  const error = tryOnce(folder, mode)
  if (!error) return
  if (codeOf(error) !== 'ENOENT') throw error
  // Somebody else may make those above at the same moment, so it is tried again in any case.
  make(dirname(folder), mode)
  const again = tryOnce(folder, mode)
  if (again) throw again
}

/** Returns why there is no folder now; somebody else may have made it at the same moment. */
function tryOnce(folder: string, mode: number | undefined): unknown {
  try {
    mkdirSync(folder, { mode })
    return undefined
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') return error
    return isFolder(folder) ? undefined : new Error(`${folder} is there and is no folder`)
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
