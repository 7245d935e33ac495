// Creates a folder that the runtime or a host needs, with one error for all failures.
import { mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { errorText, NanoclawError } from './protocol/errors.ts'

/**
 * Creates a folder and its missing parents.
 * @param choice what the user may change, for the error text
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

/** Failures that other permissions would repair. */
const NOT_ALLOWED: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM', 'EROFS'])

/**
 * Does not use mkdir's `recursive`: where a folder exists and accepts no child, as in /proc, the kernel
 * returns ENOENT, and Node creates the parent again and again, for ever.
 */
function make(folder: string, mode: number | undefined): void {
  if (isFolder(folder)) return
  const error = tryOnce(folder, mode)
  if (!error) return
  if (codeOf(error) !== 'ENOENT') throw error
  // Another process may create the parents at the same moment, so mkdir is tried again in any case.
  make(dirname(folder), mode)
  const again = tryOnce(folder, mode)
  if (again) throw again
}

/**
 * Returns the error, or undefined where the folder exists, perhaps created by another process at the same
 * moment.
 */
function tryOnce(folder: string, mode: number | undefined): unknown {
  try {
    mkdirSync(folder, { mode })
    return undefined
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') return error
    return isFolder(folder) ? undefined : new Error(`${folder} exists and is not a directory`)
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
