// What a failed round leaves: both files with their journals as they are, the handlers' trace, the runtime's
// log, and a note with the seed, the round as it was planned, the runtime's pid and what was found.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Lane } from './lane.ts'
import type { Round } from './plan.ts'

export interface Evidence {
  readonly seed: number
  /** Undefined: the drain at the end. */
  readonly round: Round | undefined
  readonly found: readonly string[]
}

/** @returns the folder */
export function keepEvidence(lane: Lane, evidence: Evidence): string {
  const name = `nanoclaw-soak-seed-${evidence.seed}-${lane.name}-${evidence.round?.n ?? 'drain'}-`
  const folder = mkdtempSync(join(tmpdir(), name))
  mkdirSync(join(folder, 'workspace'))
  for (const file of readdirSync(lane.workspace).filter((each) => /bound\.db/.test(each)))
    cpSync(join(lane.workspace, file), join(folder, 'workspace', file))
  cpSync(lane.trace, join(folder, 'trace'))
  writeFileSync(join(folder, 'runtime.log'), lane.log)
  writeFileSync(join(folder, 'round.json'), `${JSON.stringify({ ...evidence, life: lane.life }, null, 2)}\n`)
  return folder
}
