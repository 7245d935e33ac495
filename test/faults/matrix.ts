// The fault matrix: its rows (rows.txt), their tests (found by the numbers in brackets behind their titles),
// and the table that docs/faults.md shows. A title ends with the numbers of its rows, like `… [33 to 39]` or
// `… [W14, 47]`.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { listFiles } from '../support/tree.ts'

export interface Row {
  readonly number: number
  readonly fault: string
  readonly seen: string
  readonly onDisk: string
  readonly whyNoTest: string | undefined
}

/** Number of a row → the files with a test for it. */
export type Tested = ReadonlyMap<number, readonly string[]>

export const ROWS_FILE = 'test/faults/rows.txt'
/** The highest number of a row: missing ones up to it are reported. */
export const LAST = 184

const TITLE = / \[((?:W?\d+(?:, | to ))*W?\d+)\]['"`]/g

export function readRows(text: string): Row[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [number, fault, seen, onDisk, whyNoTest, ...more] = line.split(' | ')
      if (!fault || !seen || !onDisk || more.length > 0) throw new Error(`not a row: ${line}`)
      return { number: Number(number), fault, seen, onDisk, whyNoTest }
    })
}

export function findTests(root: string): Tested {
  const found = new Map<number, string[]>()
  for (const file of listFiles(root).filter((path) => /^test\/.*\.test\.ts$/.test(path)))
    for (const [, numbers = ''] of readFileSync(join(root, file), 'utf8').matchAll(TITLE))
      for (const number of numbersIn(numbers)) {
        const files = found.get(number) ?? []
        if (!files.includes(file)) found.set(number, [...files, file])
      }
  return found
}

/** `W3, 33 to 35` → 33, 34, 35. */
export function numbersIn(text: string): number[] {
  return text.split(', ').flatMap((part) => {
    const [, first, last] = /^(\d+)(?: to (\d+))?$/.exec(part) ?? []
    if (first === undefined) return []
    return Array.from({ length: Number(last ?? first) - Number(first) + 1 }, (_, n) => Number(first) + n)
  })
}

/**
 * The problems of the matrix: rows that are missing, or have neither a test nor a reason, or both; tests of
 * unknown rows.
 */
export function problems(rows: readonly Row[], tested: Tested): string[] {
  const numbers = rows.map(({ number }) => number)
  const missing = Array.from({ length: LAST }, (_, n) => n + 1).filter((number) => !numbers.includes(number))
  return [
    ...missing.map((number) => `row ${number} is not in ${ROWS_FILE}`),
    ...numbers.filter((number, at) => numbers.indexOf(number) !== at).map((number) => `row ${number} twice`),
    ...rows.flatMap(({ number, whyNoTest }) => {
      const files = tested.get(number)
      if (!files && !whyNoTest)
        return [`row ${number} has neither a test whose title ends with it nor a reason`]
      return files && whyNoTest ? [`row ${number} has a reason for no test, and a test in ${files}`] : []
    }),
    ...[...tested]
      .filter(([number]) => !numbers.includes(number))
      .map(([number, files]) => `${files}: a title ends with ${number}, which is not a row`),
  ]
}

export function render(rows: readonly Row[], tested: Tested): string {
  const cells = rows.map(({ number, fault, seen, onDisk, whyNoTest }) => {
    const files = tested
      .get(number)
      ?.map((file) => `[${file.replace(/^test\/|\.test\.ts$/g, '')}](../${file})`)
    return [number, fault, seen, onDisk, files?.join(', ') ?? `not tested: ${whyNoTest}`]
  })
  const head = ['#', 'Fault', 'What you see', 'What is on disk afterwards', 'Tested in']
  return [head, head.map(() => '---'), ...cells].map((row) => `| ${row.join(' | ')} |`).join('\n')
}
