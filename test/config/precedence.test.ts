// Flags win over variables, variables over the file, the file over defaults, for any combination.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../runtime/config/load.ts'
import { flagKeyOf, variableOf } from '../../runtime/config/names.ts'

/** Name of a setting → its field of Config, and its default. Each takes a bare number. */
const NUMBERS = {
  crashLimit: ['crashLimit', 5],
  poll: ['pollMs', 250],
  heartbeat: ['heartbeatMs', 2_000],
  drain: ['drainMs', 7_000],
  warmMax: ['warmMax', 16],
  maxMessagesPerWorker: ['maxMessagesPerWorker', 100_000],
} as const

type Name = keyof typeof NUMBERS
const NAMES = Object.keys(NUMBERS) as Name[]

const said = fc.option(fc.integer({ min: 100, max: 999 }), { nil: undefined })
const places = fc.record({ flag: said, variable: said, file: said })
const settings = fc.record(Object.fromEntries(NAMES.map((name) => [name, places])))

test('each setting has the value of its highest origin, whatever the others are', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'nanoclaw-precedence-'))
  onTestFinished(() => rmSync(cwd, { recursive: true }))
  await fc.assert(
    fc.asyncProperty(settings, async (drawn) => {
      const given = (place: 'flag' | 'variable' | 'file', key: (name: Name) => string, as = String) =>
        Object.fromEntries(
          NAMES.flatMap((name) => {
            const value = drawn[name]?.[place]
            return value === undefined ? [] : [[key(name), as(value)]]
          }),
        )
      const file = given('file', (name) => name, Number as never)
      writeFileSync(join(cwd, 'nanoclaw.config.json'), JSON.stringify(file))
      const config = await loadConfig({
        cwd,
        env: given('variable', variableOf),
        flags: given('flag', flagKeyOf),
        evaluate: () => Promise.reject(new Error('JSON needs no process to run it')),
      })
      for (const name of NAMES) {
        const [field, fallback] = NUMBERS[name]
        const { flag, variable, file } = drawn[name]!
        expect(config[field], name).toBe(flag ?? variable ?? file ?? fallback)
      }
    }),
    { numRuns: 60 },
  )
})
