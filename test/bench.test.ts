// The benchmarks run, and the documents show what they have measured.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { documents } from '../bench/results.ts'
import { verdictOf } from '../bench/table.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

describe('benchmarks', () => {
  it('a row can be run alone, as small as one likes', () => {
    const args = ['--import', 'tsx', 'bench/bench.ts', '--only', 'look', '--scale', '0.001', '--rounds', '1']
    const said = execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })
    expect(said).toMatch(/one look with nothing new, 1,000 rows of history +[\d.,]+ µs .*≤ 50 µs/)
  })

  it.each([
    { better: 'more', value: 0.8, verdict: 'goal' },
    { better: 'more', value: 0.6, verdict: 'must' },
    { better: 'more', value: 0.4, verdict: 'missed' },
    { better: 'less', value: 0.4, verdict: 'goal' },
    { better: 'less', value: 0.6, verdict: 'missed' },
  ] as const)('$value, where $better is better, is: $verdict', ({ better, value, verdict }) => {
    const bounds = better === 'more' ? { must: 0.5, goal: 0.7 } : { must: 0.5, goal: 0.4 }
    expect(verdictOf({ value, unit: '×', better, ...bounds })).toBe(verdict)
  })

  it.each(documents())(
    '$path shows what bench/results/ holds (`--save` writes both; UPDATE_DOCS=1 the documents)',
    ({ path, text }) => {
      if (process.env.UPDATE_DOCS) writeFileSync(path, text)
      expect(readFileSync(path, 'utf8')).toBe(text)
    },
  )
})
