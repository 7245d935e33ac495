// Errors of the bundler as text for the author: one line per error, `file:line:column: text`, which editors
// and terminals can follow, with a remedy where one is known.
import { dirname, resolve, sep } from 'node:path'
import { type ErrorCode, NanoclawError } from '../protocol/errors.ts'
import { lookupsOf, standing } from './lookups.ts'
import { bytesBeforeAuthor } from './package-paths.ts'

/** As esbuild reports it: lines from 1, columns from 0 and in bytes, the file relative to the project. */
export interface BuildError {
  readonly text: string
  readonly location: {
    readonly file: string
    readonly line: number
    readonly column: number
    readonly lineText: string
  } | null
}

/** Inputs of a failed build: a change there may repair it. */
export interface Causes {
  /** Files that were read, absolute. */
  readonly inputs: readonly string[]
  /** Folders to watch without their subfolders: a missing import would appear there. */
  readonly awaited: readonly string[]
}

export class BuildFault extends NanoclawError {
  readonly causes: Causes
  constructor(code: ErrorCode, message: string, causes: Causes, options: ErrorOptions) {
    super(code, message, options)
    this.causes = causes
  }
}

/** `read`: the files whose code the build has read. Only folders of the project are watched. */
export function causesOf(errors: readonly BuildError[], root: string, read: Iterable<string>): Causes {
  const inputs = new Set(read)
  const awaited = new Set<string>()
  const within = (folder: string) => folder === root || folder.startsWith(root + sep)
  for (const { text, location } of errors) {
    if (!location) continue
    const file = resolve(root, location.file)
    inputs.add(file)
    const specifier = text.match(/^Could not resolve "([^"]+)"/)?.[1]
    for (const path of specifier === undefined ? [] : lookupsOf({ importer: file, specifier }))
      for (const folder of [standing(path), standing(dirname(path))])
        if (within(folder) || !path.includes(`${sep}node_modules${sep}`)) awaited.add(folder)
  }
  return { inputs: [...inputs].sort(), awaited: [...awaited].sort() }
}

export function explainBuild(file: string, errors: readonly BuildError[]): string {
  return [`${file} cannot be bundled:`, ...errors.map(explain)].join('\n  ')
}

function explain({ text, location }: BuildError): string {
  const advised = text + adviceFor(text, location?.file ?? '')
  if (!location) return advised
  const { file, line, column, lineText } = location
  const shift = line === 1 ? bytesBeforeAuthor(lineText) : 0
  return `${file}:${line}:${column - shift + 1}: ${advised}`
}

function adviceFor(text: string, file: string): string {
  const name = file.match(/.*(?:^|[/\\])node_modules[/\\]((?:@[^/\\]+[/\\])?[^/\\]+)[/\\]/)?.[1]
  const external = `name ${name ? `'${name}'` : 'its package'} in \`external\` of nanoclaw.config.ts`
  if (/^Could not resolve "[^./]/.test(text))
    return ` (not installed? npm install it in the project${name ? `; or, if ${name} works without it, ${external}` : ''})`
  if (text.startsWith('No loader is configured for ".node"'))
    return ` (a native module cannot be bundled: ${external})`
  return ''
}
