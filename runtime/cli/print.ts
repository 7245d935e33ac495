// The only printing helpers. Data goes to stdout, talk to stderr; colour only on a terminal. Text from a file
// or a function passes through `plain` first: it must not move the cursor or fake a line.
import { stripVTControlCharacters, styleText } from 'node:util'

export interface Screen {
  write(text: string): unknown
  readonly isTTY?: boolean
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'
export type Paint = (style: Style, text: string) => string

export class Print {
  readonly #stdout: Screen
  readonly #stderr: Screen
  /** For text that goes to stdout. */
  readonly paint: Paint
  /** For text that goes to stderr. */
  readonly paintTalk: Paint

  constructor(stdout: Screen, stderr: Screen, env: Readonly<Record<string, string | undefined>>) {
    this.#stdout = stdout
    this.#stderr = stderr
    this.paint = painter(hasColor(stdout, env))
    this.paintTalk = painter(hasColor(stderr, env))
  }

  data(...lines: readonly string[]): void {
    this.#stdout.write(lines.map((line) => `${line}\n`).join(''))
  }

  talk(...lines: readonly string[]): void {
    this.#stderr.write(lines.map((line) => `${line}\n`).join(''))
  }

  json(value: unknown): void {
    this.data(JSON.stringify(value))
  }
}

/**
 * FORCE_COLOR wins over NO_COLOR, as in Node itself; without either, a terminal has colour and a file has
 * not.
 */
function hasColor(screen: Screen, env: Readonly<Record<string, string | undefined>>): boolean {
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false'
  if (env.NO_COLOR) return false
  return screen.isTTY === true && env.TERM !== 'dumb'
}

function painter(colored: boolean): Paint {
  if (!colored) return (_, text) => text
  return (style, text) => (text === '' ? '' : styleText(style, text, { validateStream: false }))
}

/** Rows with aligned columns. Drops a column whose cells are all empty. */
export function table(rows: readonly (readonly string[])[], indent = ''): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, at) =>
    Math.max(0, ...rows.map((row) => shownLength(row[at] ?? ''))),
  )
  return rows.map((row) => {
    const cells = row.flatMap((cell, at) =>
      widths[at] ? [cell + ' '.repeat(widths[at] - shownLength(cell))] : [],
    )
    return (indent + cells.join('  ')).trimEnd()
  })
}

function shownLength(text: string): number {
  return stripVTControlCharacters(text).length
}

/** One line of untrusted text: control characters are escaped, and it is cut after `max` characters. */
export function plain(text: string, max = 200): string {
  const cut = text.length > max ? `${text.slice(0, max)}…` : text
  return cut.replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0) ?? 0
    return ESCAPES[character] ?? `\\u${code.toString(16).padStart(4, '0')}`
  })
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }
/** C0, DEL, C1, and characters that change the direction of text or break a line invisibly. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g

/** Untrusted text of several lines, each passed through `plain`. */
export function plainLines(text: string, linesMax: number, max = 200): string[] {
  const lines = text.split(/\r\n|\r|\n/)
  const shown = lines.slice(0, linesMax).map((line) => plain(line, max))
  return lines.length > linesMax ? [...shown, `… ${lines.length - linesMax} more lines`] : shown
}
