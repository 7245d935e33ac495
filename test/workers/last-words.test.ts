// V8's messages before it ends a process, on Node 20 to 26: only a heap at its limit counts as out of memory.
import { expect, test } from 'vitest'
import { StderrTail } from '../../runtime/workers/stderr-tail.ts'

test.each([
  'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
  'FATAL ERROR: Ineffective mark-compacts near heap limit Allocation failed - JavaScript heap out of memory',
  'FATAL ERROR: Scavenger: semi-space copy Allocation failed - JavaScript heap out of memory',
  'FATAL ERROR: CALL_AND_RETRY_LAST Allocation failed - JavaScript heap out of memory',
])('the heap is full: %s [8]', (line) => {
  expect(wordsOf(line).heapFull).toBe(true)
})

test.each([
  'FATAL ERROR: invalid table size Allocation failed - JavaScript heap out of memory',
  'FATAL ERROR: invalid array length Allocation failed - JavaScript heap out of memory',
  'FATAL ERROR: Committing semi space failed. Allocation failed - JavaScript heap out of memory',
  'FATAL ERROR: Zone Allocation failed - process out of memory',
  'FATAL ERROR: CodeRange setup: allocate virtual memory Allocation failed - process out of memory',
  'FATAL ERROR: v8::ToLocalChecked Empty MaybeLocal',
  'FATAL ERROR: my heap of work is in memory',
  'RangeError: Array buffer allocation failed',
  'RangeError: Failed to allocate memory',
  'JavaScript heap out of memory',
])('the heap is not full: %s [172]', (line) => {
  expect(wordsOf(line).heapFull).toBe(false)
  expect(wordsOf(line).tail).toContain(line)
})

function wordsOf(line: string): StderrTail {
  const words = new StderrTail()
  for (const each of ['<--- Last few GCs --->', line, '----- Native stack trace -----']) words.add(each)
  return words
}
