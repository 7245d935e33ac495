// Whether `npm run soak -- --prove` would still know where to put what is wrong; what the soak finds takes
// minutes and is not asked here.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { changed, VARIANTS } from './variants.ts'

test('every wrong build can be made from the right one', () => {
  const dist = fileURLToPath(new URL('../../dist/', import.meta.url))
  for (const variant of VARIANTS)
    expect(() => changed(readFileSync(dist + variant.file, 'utf8'), variant), variant.name).not.toThrow()
})
