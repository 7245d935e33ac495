// Did you mean …? For names that people typed.

/** The one of `words` that `typed` most likely meant, or undefined when none is close. Case, `_` and `-` do not count. */
export function nearest(typed: string, words: readonly string[]): string | undefined {
  const plain = plainOf(typed)
  const allowed = Math.max(1, Math.floor(plain.length / 3))
  let best: string | undefined
  let least = allowed + 1
  for (const word of words) {
    const edits = distance(plain, plainOf(word))
    if (edits < least) [best, least] = [word, edits]
  }
  return best
}

function plainOf(word: string): string {
  return word.slice(0, 40).toLowerCase().replace(/[_-]/g, '')
}

/** Levenshtein's, one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
