// How fast a host writes many messages in one transaction, each checked as if it came alone.
import { rmSync } from 'node:fs'
import { openHost } from '../runtime/host/index.ts'
import { scratch } from './lab.ts'
import { type Row, spread } from './table.ts'

const MESSAGES = 100_000

export function enqueueRow(rounds: number): Row {
  const rates: number[] = []
  for (let n = 0; n < rounds; n++) {
    const dir = scratch('enqueue')
    const host = openHost(dir)
    const all = Array.from({ length: MESSAGES }, (_, m) => ({
      kind: 'chat',
      content: { text: `hello ${m}` },
      channelType: 'slack',
      platformId: 'p',
      threadId: `t${m % 100}`,
    }))
    const startMs = performance.now()
    host.enqueueMany(all)
    rates.push(MESSAGES / ((performance.now() - startMs) / 1_000))
    host.close()
    rmSync(dir, { recursive: true })
  }
  const ours = spread(rates)
  return {
    what: 'enqueueMany, 100,000 messages in one transaction',
    unit: 'rows/s',
    ours,
    target: { value: ours.median, unit: 'rows/s', better: 'more', must: 100_000 },
  }
}
