// What an idle runtime costs: memory of its warm child beside an empty Node child, processor time of both
// processes.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { NOOP, pause, rate, scratch, withRuntime } from '../lab.ts'
import { cpuMs, HAS_PROC, nodeChildren, pssMiB } from '../proc.ts'
import { type Row, ratio, round, spread } from '../table.ts'
import type { Benchmark } from '../world.ts'

const MESSAGES = 20_000
const IDLE_MS = 10_000
/** After the last message, until everything has settled. */
const SETTLE_MS = 1_000
/**
 * V8 tidies up its memory in the first seconds after work, once; what follows is what an idle runtime costs
 * from then on.
 */
const CALM_MS = 10_000

export const idle: Benchmark = {
  name: 'idle',
  async run(world) {
    if (!HAS_PROC) {
      console.log('  idle: skipped, this system has no /proc')
      return []
    }
    return withRuntime(NOOP, [], async (bench, { pid }) => {
      const empty = await emptyChild()
      await pause(SETTLE_MS)
      const ours = nodeChildren(pid).map(pssMiB)
      const against = ours.map(() => pssMiB(empty.pid ?? 0))
      await pause(world.count(CALM_MS))
      const cpu = await idleCpuPercent([pid, ...nodeChildren(pid)], world.count(IDLE_MS))
      await rate(bench, world.count(MESSAGES))
      await pause(SETTLE_MS)
      const after = nodeChildren(pid).map(pssMiB)
      empty.disconnect()
      return [
        {
          what: 'warm idle child, PSS',
          unit: 'MiB',
          ours: spread(ours),
          against: { name: 'empty Node child', ...spread(against) },
          target: { value: ratio(ours, against), unit: '×', better: 'less', must: 1.35, goal: 1.1 },
          note: 'after one message; most of a Node process is shared with the others of the machine',
        },
        {
          what: `the same after ${world.count(MESSAGES).toLocaleString('en-US')} messages`,
          unit: 'MiB',
          ours: spread(after),
        },
        {
          what: 'idle CPU of the runtime and its child',
          unit: '%',
          ours: spread([cpu]),
          target: { value: cpu, unit: '%', better: 'less', must: 0.5, goal: 0.2 },
          note: `of one core, over ${world.count(IDLE_MS) / 1000} s that begin ${world.count(CALM_MS) / 1000} s after the last message`,
        },
      ] satisfies Row[]
    })
  },
}

async function emptyChild(): Promise<ChildProcess> {
  const root = scratch('empty')
  const path = join(root, 'empty.cjs')
  writeFileSync(path, `process.on('message', () => {}); process.send('up')`)
  const child = fork(path, { execArgv: [] })
  await once(child, 'message')
  rmSync(root, { recursive: true })
  return child
}

async function idleCpuPercent(pids: readonly number[], overMs: number): Promise<number> {
  const spent = () => pids.reduce((sum, pid) => sum + cpuMs(pid), 0)
  const before = spent()
  const startMs = performance.now()
  await pause(overMs)
  return round((100 * (spent() - before)) / (performance.now() - startMs))
}
