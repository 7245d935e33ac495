// Paths of source files inside the bundle. A bundle is in the cache, so import.meta.url, __dirname and the
// like would point there: a template beside a handler would not be found. Each file that uses one of them
// gets its own values before its first line, and the bundler replaces the uses where no local declaration has
// that name.
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'

/** For esbuild's `define`, which does not replace a name that the file declares itself. */
export const HERE_NAMES: Readonly<Record<string, string>> = {
  'import.meta.url': '__nanoclawUrl',
  'import.meta.filename': '__nanoclawFile',
  'import.meta.dirname': '__nanoclawFolder',
  __filename: '__nanoclawFile',
  __dirname: '__nanoclawFolder',
}

/** Replaces other uses of import.meta; esbuild warns about some of them only. */
export const META = '__nanoclawMeta'

const MENTION = /\bimport\.meta\b|\b__(?:dirname|filename)\b/
const END = ';/*nanoclaw*/'

/** The text with its paths in front, or undefined when the file uses none of them. */
export function sayHere(path: string, text: string): string | undefined {
  if (!MENTION.test(text)) return undefined
  const url = JSON.stringify(pathToFileURL(path).href)
  const place = `__nanoclawUrl=${url},__nanoclawFile=${JSON.stringify(path)},__nanoclawFolder=${JSON.stringify(dirname(path))}`
  return `var ${place}${END}${text.replace(/^#!/, '//')}`
}

/** Length of the inserted prefix in bytes, to correct the columns of the first line. */
export function bytesBeforeAuthor(lineText: string): number {
  const end = lineText.startsWith('var __nanoclawUrl=') ? lineText.indexOf(END) : -1
  return end < 0 ? 0 : Buffer.byteLength(lineText.slice(0, end + END.length))
}
