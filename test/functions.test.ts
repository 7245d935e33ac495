// From sources to functions in use: when a start has to build, and when it need not.
import { readdirSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Config } from '../runtime/config/options.ts'
import { benchOf, project, testConfig } from './support/runtime.ts'

const LONG_AGO = new Date('2026-01-01T00:00:00Z')

it('a start takes what the last one has built, whatever has been set otherwise since', async () => {
  const root = project(['echo'])
  // A source that was only just written may change again: what comes of it is not remembered.
  utimesSync(join(root, 'functions', 'echo.ts'), LONG_AGO, LONG_AGO)
  await startAndStop(root, { concurrency: 1 })
  const built = memoriesIn(root)
  expect(built).toHaveLength(1)
  await startAndStop(root, { concurrency: 2, timeoutMs: 1_234, maxLogBytes: 5_678 })
  expect(memoriesIn(root)).toEqual(built)
  await startAndStop(root, { external: ['some-package'] })
  expect(memoriesIn(root)).not.toEqual(built)
})

async function startAndStop(root: string, change: Partial<Config>): Promise<void> {
  const { runtime } = benchOf(testConfig(root, change))
  await runtime.start()
  await runtime.stop()
}

/** What the cache remembers of builds, and since when. */
function memoriesIn(root: string): string[] {
  const cache = join(root, 'cache')
  return readdirSync(cache)
    .filter((file) => file.endsWith('.json'))
    .map((file) => `${file} ${statSync(join(cache, file)).mtimeMs}`)
}
