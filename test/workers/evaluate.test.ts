// A bundle that runs for its one value: the error without a value.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { realClock } from '../../runtime/protocol/clock.ts'
import { evaluate } from '../../runtime/workers/evaluate.ts'
import { tempDir } from '../support/files.ts'

test.each([
  ['never ends', 'for (;;);', 300, 'it did not end within 300 ms.'],
  ['waits for ever', 'setInterval(() => {}, 1000)', 300, 'it did not end within 300 ms.'],
  ['ends without a word', 'process.exit(3)', 30_000, 'it ended (code 3) without a value.'],
  ['is killed', "process.kill(process.pid, 'SIGKILL')", 30_000, 'it ended (SIGKILL) without a value.'],
])('code that %s is reported', async (_, code, limitMs, text) => {
  const dir = tempDir()
  const bundle = join(dir, 'bundle.cjs')
  writeFileSync(bundle, code)
  await expect(evaluate(bundle, dir, process.env, realClock, limitMs)).rejects.toThrow(text)
})
