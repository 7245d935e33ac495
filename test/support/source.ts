// TypeScript read as text, well enough for the house rules of tidy.test.ts: which names a file takes from
// where, which it gives away, and its code without comments and strings. No parser: it relies on the
// formatter, which puts every import, export and top-level statement at the start of a line.

export interface Import {
  readonly from: string
  readonly line: number
  /** Erased by the compiler: nothing of it is there at run time. */
  readonly typesOnly: boolean
  /** `*` among them: all of them. */
  readonly names: readonly string[]
}

export interface Source {
  readonly path: string
  readonly text: string
  /** Comments blanked, everything else where it was. */
  readonly uncommented: string
  /** Comments and the insides of strings, templates and regular expressions blanked. */
  readonly code: string
  readonly imports: readonly Import[]
  readonly exports: readonly Export[]
  /** Those exports whose declaration is in this file. */
  readonly declared: readonly Export[]
}

export interface Export {
  readonly name: string
  readonly line: number
  /** An interface or a type; a class counts as a value. */
  readonly isType: boolean
}

export function parseSource(path: string, text: string): Source {
  const { uncommented, code } = blank(text)
  const imports = [...staticImports(uncommented, code), ...dynamicImports(uncommented, code)]
  const declared = declaredIn(code)
  const exports = [...declared, ...listedIn(code)]
  return { path, text, uncommented, code, imports, exports, declared }
}

export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

const STATIC = /^(?:import|export)\s+(type\s+)?([^'"`;=()]*?)\s*\bfrom\s+'([^']+)'/gm
const BARE = /^import\s+'([^']+)'/gm
const DYNAMIC = /(?:\{([^{}]*)\}\s*=\s*await\s+)?\bimport\(\s*'([^']+)'\s*\)(?:\)?\.(\w+))?/g

function* staticImports(uncommented: string, code: string): Generator<Import> {
  for (const match of uncommented.matchAll(STATIC)) {
    const [, type, clause = '', from = ''] = match
    if (code[match.index] === ' ') continue
    const names = namesIn(clause)
    const typesOnly = type !== undefined || (names.length > 0 && names.every(({ isType }) => isType))
    yield { from, line: lineAt(uncommented, match.index), typesOnly, names: names.map(({ name }) => name) }
  }
  for (const match of uncommented.matchAll(BARE))
    if (code[match.index] !== ' ')
      yield { from: match[1] ?? '', line: lineAt(uncommented, match.index), typesOnly: false, names: [] }
}

function* dynamicImports(uncommented: string, code: string): Generator<Import> {
  for (const match of uncommented.matchAll(DYNAMIC)) {
    const [whole, taken, from = '', member] = match
    if (code[match.index + whole.indexOf('import(')] === ' ') continue
    const names = taken === undefined ? [member ?? '*'] : namesIn(`{${taken}}`).map(({ name }) => name)
    yield { from, line: lineAt(uncommented, match.index), typesOnly: false, names }
  }
}

/** `Default, { a, type B, c as d }` → the names as the other side calls them. */
function namesIn(clause: string): { name: string; isType: boolean }[] {
  const braces = /\{([^}]*)\}/.exec(clause)
  const outside = clause.replace(/\{[^}]*\}/, '')
  const named = (braces?.[1] ?? '')
    .split(',')
    .map((part) => /^\s*(type\s+)?(\w+)/.exec(part))
    .flatMap((match) => (match ? [{ name: match[2] ?? '', isType: match[1] !== undefined }] : []))
  if (outside.includes('*')) named.push({ name: '*', isType: false })
  else if (/\w/.test(outside)) named.push({ name: 'default', isType: false })
  return named
}

const DECLARED =
  /^export\s+(?:abstract\s+|async\s+)*(function\*?|class|const|let|var|interface|type|enum)\s+(\w+)/gm
const LISTED = /^export\s+(type\s+)?\{([^}]*)\}/gm

function declaredIn(code: string): Export[] {
  return [...code.matchAll(DECLARED)].map(({ index, 1: keyword = '', 2: name = '' }) => {
    return { name, line: lineAt(code, index), isType: keyword === 'interface' || keyword === 'type' }
  })
}

/** Exported in a list: declared above in the same file without `export`, or in another file. */
function listedIn(code: string): Export[] {
  return [...code.matchAll(LISTED)].flatMap(({ index, 1: type, 2: list = '' }) =>
    list
      .split(',')
      .map((part) => /(\w+)\s*$/.exec(part)?.[1])
      .flatMap((name) => (name ? { name, line: lineAt(code, index), isType: type !== undefined } : [])),
  )
}

type Inside = 'code' | 'line' | 'block' | 'template' | 'regex' | "'" | '"'

/**
 * What is blanked keeps its length and its line breaks, so an index means the same place in all three texts.
 */
function blank(text: string): { uncommented: string; code: string } {
  // UTF-16 units, so that indices agree with those of the text.
  const uncommented = text.split('')
  const code = [...uncommented]
  /** For each template that is open: how many braces stand open in its current hole. */
  const holes: number[] = []
  let inside: Inside = 'code'
  let inClass = false
  const hide = (at: number, comment: boolean) => {
    if (text[at] === '\n') return
    code[at] = ' '
    if (comment) uncommented[at] = ' '
  }
  for (let at = 0; at < text.length; at++) {
    const here = text[at]
    const pair = text.slice(at, at + 2)
    if (inside === 'line' || inside === 'block') {
      const ends = inside === 'line' ? here === '\n' : pair === '*/'
      hide(at, true)
      if (ends && inside === 'block') hide(++at, true)
      if (ends) inside = 'code'
    } else if (inside === 'code') {
      if (pair === '//' || pair === '/*') {
        inside = pair === '//' ? 'line' : 'block'
        hide(at, true)
        hide(++at, true)
      } else if (here === "'" || here === '"') inside = here
      else if (here === '`') inside = 'template'
      else if (here === '/' && startsRegex(text, at)) inside = 'regex'
      else if (holes.length > 0 && here === '{') holes[holes.length - 1]!++
      else if (holes.length > 0 && here === '}' && holes[holes.length - 1]!-- === 0) {
        holes.pop()
        inside = 'template'
      }
    } else if (here === '\\') {
      hide(at, false)
      hide(++at, false)
    } else if (inside === 'template' && pair === '${') {
      hide(at, false)
      hide(++at, false)
      holes.push(0)
      inside = 'code'
    } else if (inside === 'regex') {
      if (here === '[') inClass = true
      else if (here === ']') inClass = false
      if (here === '/' && !inClass) inside = 'code'
      else hide(at, false)
    } else if (here === (inside === 'template' ? '`' : inside)) inside = 'code'
    else hide(at, false)
  }
  return { uncommented: uncommented.join(''), code: code.join('') }
}

/** A slash divides after a value, and begins a regular expression after anything else. */
function startsRegex(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - 80), at).trimEnd()
  return before === '' || /[(,=:[!&|?{};+\-*%<>~^]$|\b(?:return|typeof|case|of|in|await)$/.test(before)
}
