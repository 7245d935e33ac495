// Results that are kept: in results/ with the machine, and as tables in the documents between two marks, so that what a
// person reads is what was measured.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './lab.ts'
import { type Row, verdictOf } from './table.ts'

export interface Result {
  readonly machine: Readonly<Record<string, unknown>>
  readonly rows: readonly Row[]
}

export function save(name: string, machine: Result['machine'], rows: readonly Row[]): void {
  const folder = join(ROOT, 'bench/results')
  mkdirSync(folder, { recursive: true })
  const told = rows.map((row) => ({ ...row, verdict: verdictOf(row.target) }))
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify({ machine, rows: told }, null, 2)}\n`)
}
