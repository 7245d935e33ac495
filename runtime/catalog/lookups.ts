// Where an import is looked for: the paths that decide what it finds, in the order in which they are tried. A path stands for
// itself and for the same name with an ending (`.ts`, `/index.js`). Pure, but for `standing`, which asks the file system.
import { statSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'

/** What `specifier` in the file `importer` may mean; none where the file system does not decide (`node:fs`, a URL, `#name`). */
export function lookupsOf(importer: string, specifier: string): string[] {
  if (/^\.{1,2}(\/|$)/.test(specifier) || isAbsolute(specifier))
    return [resolve(dirname(importer), specifier)]
  const name = packageOf(specifier)
  return name === undefined ? [] : foldersAbove(importer).map((folder) => join(folder, 'node_modules', name))
}

/** The folder of a file, and those above it, the nearest first. */
function foldersAbove(path: string): string[] {
  const folder = dirname(path)
  return folder === path ? [] : [folder, ...foldersAbove(folder)]
}

/** The folder at this path, or the nearest above it that is there: what is missing shows itself there first. */
export function standing(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false })
  return found?.isDirectory() || dirname(path) === path ? path : standing(dirname(path))
}

/** `@scope/name` of `@scope/name/deep.js`. */
function packageOf(specifier: string): string | undefined {
  return specifier.match(/^(@[^/:]+\/)?[^@#/.:][^/:]*(?=\/|$)/)?.[0]
}
