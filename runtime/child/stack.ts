// Maps stack traces from the bundle to the author's sources. Node can do that by a flag, but then it parses
// the map of every module at load, which for a large bundle costs more than the module itself; here the map
// is read at the first access of a stack.
import { readFileSync } from 'node:fs'
import type { SourceMap } from 'node:module'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ENTRY } from '../protocol/ipc.ts'

/** Applies to every later error of this process. `bundle`: the started file; its map is beside it. */
export function mapStacks(bundle: string): void {
  const place = placeIn(bundle)
  let map: SourceMap | null | undefined
  Error.prepareStackTrace = (error, frames) => {
    map ??= readMap(bundle)
    const lines = map ? readable(frames.map(String), place, bundle, map) : frames
    return [textOf(error), ...lines.map((line) => `    at ${line}`)].join('\n')
  }
}

/** Removes frames of esbuild, and frames below the author's code at load. */
function readable(frames: readonly string[], place: RegExp, bundle: string, map: SourceMap): string[] {
  const lines = frames.map((frame) => original(frame, place, bundle, map))
  const below = lines.findIndex((line) => line.includes(`/${ENTRY}:`))
  return lines.slice(0, below < 0 ? lines.length : below).filter((line) => !place.test(line))
}

function original(frame: string, place: RegExp, bundle: string, map: SourceMap): string {
  return frame.replace(place, (here, line: string, column: string) => {
    const found = map.findEntry(Number(line) - 1, Number(column) - 1)
    if (!('originalSource' in found)) return here
    // The sources of a map are URLs.
    const source = resolve(dirname(bundle), decodeURIComponent(found.originalSource))
    return `${source}:${found.originalLine + 1}:${found.originalColumn + 1}`
  })
}

/** Line and column in a frame of the bundle, whose path may contain spaces and parentheses. */
function placeIn(bundle: string): RegExp {
  const names = [bundle, pathToFileURL(bundle).href].map((name) => name.replace(/\W/g, '\\$&'))
  return new RegExp(`(?:${names.join('|')}):(\\d+):(\\d+)`)
}

/** null: not readable; the stack then names the bundle. */
function readMap(bundle: string): SourceMap | null {
  try {
    const { SourceMap } = process.getBuiltinModule('node:module')
    return new SourceMap(JSON.parse(readFileSync(`${bundle}.map`, 'utf8')))
  } catch {
    return null
  }
}

/** Error.prototype.toString, or a fallback for a value that throws on access. */
function textOf(error: Error): string {
  try {
    return String(error)
  } catch {
    return 'Error'
  }
}
