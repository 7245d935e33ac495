// Dynamic imports that a bundle still has: of node's modules, of computed paths, of a missing package.
// Unchanged, they would resolve from the cache folder, and Node 20 rejects them in a script from V8's code
// cache. Each becomes a call of a function that imports from the original file. `import` is replaced by names
// of the same length, which the builder defines in the first line: so the source map stays valid.
import { SourceMap, type SourceMapPayload } from 'node:module'
import { dirname, resolve } from 'node:path'

export interface Linked {
  readonly code: string
  /**
   * A string may be run as code that imports (`new Function('x', 'return import(x)')`), which cannot be
   * replaced here.
   */
  readonly hidden: boolean
}

/** Whether this text is valid code for esbuild or V8. */
type Parses = (text: string) => Promise<boolean>

const WORD = 'import'
const CALL = /(?<![\w$.#])import\(/g
const HIDDEN = /\bimport\s*\(\s*[^\s)]/
/**
 * Two names of the same length as WORD: one is never valid code, one is valid wherever a call is. Both are
 * harmless in a string or a comment.
 */
const NO_CODE = 'imp rt'
const A_VALUE = '( 0  )'
/** A CommonJS module imports relative to its file; a vm.Script can do that with a warning only. */
const importerNamed = (name: string) =>
  `const ${name} = (file) => { const it = new (process.getBuiltinModule('node:module'))(file); ` +
  `it._compile('module.exports = (name, options) => import(name, options)', file); return it.exports };`

/** `bundle`: path of the code; the paths in its map are relative to it. */
export async function linkImports(
  code: string,
  map: string,
  bundle: string,
  parses: Parses,
): Promise<Linked> {
  const found = [...code.matchAll(CALL)].map(({ index }) => index)
  const live = found.length === 0 ? [] : await liveOf(code, found, parses)
  const hidden = HIDDEN.test(put(code, live, () => NO_CODE))
  return { code: live.length === 0 ? code : link(code, live, filesAt(code, map, bundle)), hidden }
}

/** Occurrences that are code, not text in a string. */
async function liveOf(code: string, found: readonly number[], parses: Parses): Promise<number[]> {
  if (await parses(put(code, found, () => NO_CODE))) return []
  if (found.length === 1) return (await parses(put(code, found, () => A_VALUE))) ? [...found] : []
  const middle = found.length >> 1
  return [
    ...(await liveOf(code, found.slice(0, middle), parses)),
    ...(await liveOf(code, found.slice(middle), parses)),
  ]
}

function link(code: string, live: readonly number[], fileAt: (at: number) => string): string {
  const names = new Map<string, string>()
  const prefix = unusedIn(code)
  const linked = put(code, live, (at) => {
    const file = fileAt(at)
    const name =
      names.get(file) ?? prefix + names.size.toString(36).padStart(WORD.length - prefix.length, '0')
    names.set(file, name)
    return name
  })
  const importer = `${prefix}From`
  const meanings = [...names].map(([file, name]) => `const ${name} = ${importer}(${JSON.stringify(file)});`)
  const [first = '', ...rest] = linked.split('\n')
  return [first + importerNamed(importer) + meanings.join(''), ...rest].join('\n')
}

/** A prefix for names that the code does not use. */
function unusedIn(code: string): string {
  for (let n = 0; ; n++) {
    const prefix = `$${n.toString(36).padStart(2, '0')}`
    if (!code.includes(prefix)) return prefix
  }
}

function filesAt(code: string, map: string, bundle: string): (at: number) => string {
  const sources = new SourceMap(JSON.parse(map) as SourceMapPayload)
  return (at) => {
    const before = code.slice(0, at)
    const lineAt = before.lastIndexOf('\n') + 1
    const found = sources.findEntry(before.split('\n').length - 1, at - lineAt)
    // The sources of a map are URLs.
    return 'originalSource' in found
      ? resolve(dirname(bundle), decodeURIComponent(found.originalSource))
      : bundle
  }
}

function put(code: string, places: readonly number[], wordAt: (at: number) => string): string {
  let end = 0
  const parts: string[] = []
  for (const at of places) {
    parts.push(code.slice(end, at), wordAt(at))
    end = at + WORD.length
  }
  return parts.join('') + code.slice(end)
}
