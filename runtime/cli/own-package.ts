// This package as installed: its version, and its dependency specifier for another project. Works from the
// sources and from the build: both are two folders below the package root.
import { existsSync, readFileSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('../..', import.meta.url))
const NAME = 'nanoclaw-functions'

interface Manifest {
  readonly version?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

export function ownVersion(): string {
  return manifestIn(FOLDER)?.version ?? ''
}

export function dependsOnUs(project: string): boolean {
  return specIn(manifestIn(project)) !== undefined
}

/** The dependency specifier of this package for the package.json of a project in `project`. */
export function dependencySpec(project: string, own = FOLDER): string {
  const file = (path: string) => {
    const way = relative(project, path).split(sep).join('/')
    return `file:${way.startsWith('.') ? way : `./${way}`}`
  }
  const parts = own.split(sep)
  const at = parts.indexOf('node_modules')
  // A clone: npm links it.
  if (at === -1) return file(own)
  // The specifier of the project in which this package is installed: a version, a repository, a tarball.
  const outer = parts.slice(0, at).join(sep)
  const spec = specIn(manifestIn(outer))
  if (spec === undefined || /^(workspace|catalog):/.test(spec)) return file(own)
  const [, path] = /^(?:file|link|portal):(.*)/.exec(spec) ?? []
  if (path === undefined) return spec
  const target = resolve(outer, path)
  return file(existsSync(target) ? target : own)
}

function specIn(manifest: Manifest | undefined): string | undefined {
  return manifest?.dependencies?.[NAME] ?? manifest?.devDependencies?.[NAME]
}

function manifestIn(folder: string): Manifest | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
  } catch {
    return undefined
  }
}
