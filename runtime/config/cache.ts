// The default folder of built functions: in the project. Where that is not writable (a read-only root file
// system, a container that runs as another user), in the workspace, which must be writable in any case.
import { accessSync, constants, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Only checks access. Where neither is writable it returns the first one, which the later error names. */
export function usableCache(preferred: string, workspace: string): string {
  return takesFiles(preferred) || !takesFiles(workspace) ? preferred : join(workspace, '.cache')
}

/** A missing folder can be created where its nearest existing parent is writable. */
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
