// Whether `npm run mutants` would still know where to put its faults; what it finds takes minutes and is not
// asked here.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { changed, MUTANTS } from './list.ts'

test('every mutant fits the core as it is', () => {
  for (const { name, changes } of MUTANTS)
    for (const change of changes) {
      const path = fileURLToPath(new URL(`../../runtime/${change.file}`, import.meta.url))
      expect(() => changed(readFileSync(path, 'utf8'), change), name).not.toThrow()
    }
})
