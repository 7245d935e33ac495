// The benchmarks run, and the documents show what they have measured.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it, onTestFinished } from 'vitest'
import { documents } from '../bench/results.ts'
import { poll } from '../bench/rows/poll.ts'
import { verdictOf } from '../bench/table.ts'
import { World } from '../bench/world.ts'

describe('benchmarks', () => {
  it('a row is measured on a history that the runtime of today has made', async () => {
    const world = new World(0.001, 1)
    onTestFinished(() => world.close())
    const [quiet] = await poll.run(world)
    expect(quiet).toMatchObject({ what: 'one poll with nothing new, 1,000 rows of history', unit: 'µs' })
    expect(quiet?.ours.median).toBeGreaterThan(0)
    const { workspace } = await world.history(1_000, 'time-ordered')
    const rows = countRows(workspace)
    expect(rows).toEqual({ messages: 1_001, acks: 1_001, replies: 1_001, runs: 1_001 })
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

function countRows(workspace: string): Record<string, unknown> {
  const count = (file: string, table: string) => {
    const db = new Database(join(workspace, file), { readonly: true })
    const rows = db.prepare(`select count(*) from ${table}`).pluck().get()
    db.close()
    return rows
  }
  return {
    messages: count('inbound.db', 'messages_in'),
    acks: count('outbound.db', 'processing_ack'),
    replies: count('outbound.db', 'messages_out'),
    runs: count('outbound.db', 'nanoclaw_run'),
  }
}
