// docs/faults.md shows every row of the fault matrix with its tests: UPDATE_DOCS=1 rewrites it.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { findTests, LAST, numbersIn, problems, ROWS_FILE, readRows, render } from './matrix.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FILE = join(ROOT, 'docs/faults.md')
const [BEGIN, END] = ['<!-- matrix -->', '<!-- /matrix -->']
const rows = readRows(readFileSync(join(ROOT, ROWS_FILE), 'utf8'))
const tested = findTests(ROOT)

test('every fault has a test whose title has its number, or a reason why it has none', () => {
  expect(problems(rows, tested)).toEqual([])
})

test('missing rows, rows without a test or reason, rows with both, and unknown numbers are reported', () => {
  const row = { fault: 'f', seen: 's', onDisk: 'd' }
  const all = Array.from({ length: LAST }, (_, n) => ({ ...row, number: n + 1, whyNoTest: 'because' }))
  const few = [{ ...row, number: 1, whyNoTest: undefined }, ...all.slice(1, -1)]
  const found = new Map([
    [2, ['a.test.ts']],
    [LAST + 1, ['b.test.ts']],
  ])
  expect(problems(few, found)).toEqual([
    `row ${LAST} is not in test/faults/rows.txt`,
    'row 1 has neither a test whose title ends with it nor a reason',
    'row 2 has a reason for no test, and a test in a.test.ts',
    `b.test.ts: a title ends with ${LAST + 1}, which is not a row`,
  ])
})

test('the brackets of a title name one row, several, or a range', () => {
  expect(['7', '7, 9', 'W3, 33 to 35', 'W3', '1 to 2, 5'].map(numbersIn)).toEqual([
    [7],
    [7, 9],
    [33, 34, 35],
    [],
    [1, 2, 5],
  ])
})

test('docs/faults.md has the rows and their tests', () => {
  const shown = readFileSync(FILE, 'utf8')
  const [before, rest] = shown.split(BEGIN)
  const after = rest?.split(END)[1]
  const made = `${before}${BEGIN}\n\n${render(rows, tested)}\n\n${END}${after}`
  if (process.env.UPDATE_DOCS !== undefined) writeFileSync(FILE, made)
  else expect(shown, 'run UPDATE_DOCS=1 npx vitest run test/faults/matrix.test.ts').toBe(made)
})
