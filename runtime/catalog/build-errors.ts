// What the bundler found wrong, told to the author: one line for each error, `file:line:column: text`, as editors and
// terminals can follow it, with the way out where we know one.
import { bytesBeforeAuthor } from './here.ts'

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

export function explainBuild(file: string, errors: readonly BuildError[]): string {
  return [`${file} cannot be bundled:`, ...errors.map(explain)].join('\n  ')
}

function explain({ text, location }: BuildError): string {
  const advised = text + adviceFor(text)
  if (!location) return advised
  const { file, line, column, lineText } = location
  const shift = line === 1 ? bytesBeforeAuthor(lineText) : 0
  return `${file}:${line}:${column - shift + 1}: ${advised}`
}

function adviceFor(text: string): string {
  if (/^Could not resolve "[^./]/.test(text)) return ' (not installed? npm install it in the project)'
  if (text.startsWith('No loader is configured for ".node"'))
    return ' (a native module cannot be bundled: name its package in `external` of nanoclaw.config.ts)'
  return ''
}
