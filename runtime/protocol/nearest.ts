// The suggestion for a mistyped name.

/** Longer input is not a typing error. */
const WORD_CHARS_MAX = 40

/**
 * The one of `words` that `typed` most likely meant, or undefined when none is close. Case, `_` and `-` do
 * not count.
 */
export function nearest(typed: string, words: readonly string[]): string | undefined {
  const [best] = words
    .map((word) => ({ word, steps: editSteps(plainOf(typed), plainOf(word)) }))
    .filter(({ word, steps }) => steps <= Math.max(1, Math.floor(word.length / 3)))
    .sort((a, b) => a.steps - b.steps)
  return best?.word
}

function plainOf(word: string): string {
  return word.slice(0, WORD_CHARS_MAX).toLowerCase().replace(/[_-]/g, '')
}

/** Letters to insert, delete, replace or swap with their neighbour to get from `a` to `b`. */
function editSteps(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? beforeLast[j - 2]! + 1 : replaced
      row.push(Math.min(last[j]! + 1, row[j - 1]! + 1, replaced, swapped))
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
