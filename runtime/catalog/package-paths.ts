// Where a source file is, said inside the bundle. A bundle lies in the cache, so import.meta.url, __dirname and their kin
// would name the cache: a template beside a handler would not be found. Each file that mentions one of them gets its own
// truth in front of its first line, and the bundler replaces the mention where no local declaration has that name.
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'

/** For esbuild's `define`, which leaves a name alone where the file declares it itself. */
export const HERE_NAMES: Readonly<Record<string, string>> = {
  'import.meta.url': '__nanoclawUrl',
  'import.meta.filename': '__nanoclawFile',
  'import.meta.dirname': '__nanoclawFolder',
  __filename: '__nanoclawFile',
  __dirname: '__nanoclawFolder',
}

/** Stands for import.meta where more is asked of it than that; esbuild warns of some such places only. */
export const META = '__nanoclawMeta'

const MENTION = /\bimport\.meta\b|\b__(?:dirname|filename)\b/
const END = ';/*nanoclaw*/'

/** The text with its place in front, or undefined when the file does not ask where it is. */
export function sayHere(path: string, text: string): string | undefined {
  if (!MENTION.test(text)) return undefined
  const url = JSON.stringify(pathToFileURL(path).href)
  const place = `__nanoclawUrl=${url},__nanoclawFile=${JSON.stringify(path)},__nanoclawFolder=${JSON.stringify(dirname(path))}`
  return `var ${place}${END}${text.replace(/^#!/, '//')}`
}

/** How many bytes of a first line are ours, so that a column can be told as the author sees it. */
export function bytesBeforeAuthor(lineText: string): number {
  const end = lineText.startsWith('var __nanoclawUrl=') ? lineText.indexOf(END) : -1
  return end < 0 ? 0 : Buffer.byteLength(lineText.slice(0, end + END.length))
}
