// Where built functions are kept when nothing says so: with the project. Where that cannot be written (a read-only root file
// system, a container that runs as another user), in the workspace, which has to be writable in any case.
import { accessSync, constants, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Changes nothing. Where neither can be written the first one stays, and the error names it. */
export function usableCache(preferred: string, workspace: string): string {
  return takesFiles(preferred) || !takesFiles(workspace) ? preferred : join(workspace, '.cache')
}

/** A folder that is missing can be made where the nearest one above it is writable. */
function takesFiles(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found) return dirname(path) !== path && takesFiles(dirname(path))
  try {
    accessSync(path, constants.W_OK | constants.X_OK)
    return found.isDirectory()
  } catch {
    return false
  }
}
