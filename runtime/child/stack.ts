// Stack traces that name what the author wrote, not the bundle. Node can do that by a flag, but then it reads and parses the
// map of every module when it is loaded, which for a large bundle costs more than the module itself; here the map is read when
// somebody first looks at a stack.
import { readFileSync } from 'node:fs'
import type { SourceMap } from 'node:module'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Line and column of a frame that lies in a file. */
const PLACE = /(file:\/\/[^\s()]+|\/[^\s()]+):(\d+):(\d+)/

/** From now on, for every error of this process. `bundle`: the file that was started; its map lies beside it. */
export function mapStacks(bundle: string): void {
  let map: SourceMap | null | undefined
  Error.prepareStackTrace = (error, frames) => {
    map ??= readMap(bundle)
    return [
      textOf(error),
      ...frames.map((frame) => `    at ${map ? original(String(frame), bundle, map) : frame}`),
    ].join('\n')
  }
}

function original(frame: string, bundle: string, map: SourceMap): string {
  return frame.replace(PLACE, (place, file: string, line: string, column: string) => {
    if ((file.startsWith('file:') ? fileURLToPath(file) : file) !== bundle) return place
    const found = map.findEntry(Number(line) - 1, Number(column) - 1)
    if (!('originalSource' in found)) return place
    return `${resolve(dirname(bundle), found.originalSource)}:${found.originalLine + 1}:${found.originalColumn + 1}`
  })
}

/** null: none that can be read; the stack then names the bundle. */
function readMap(bundle: string): SourceMap | null {
  try {
    const { SourceMap } = process.getBuiltinModule('node:module')
    return new SourceMap(JSON.parse(readFileSync(`${bundle}.map`, 'utf8')))
  } catch {
    return null
  }
}

/** What Error.prototype.toString says, or less, of something that throws when it is looked at. */
function textOf(error: Error): string {
  try {
    return String(error)
  } catch {
    return 'Error'
  }
}
