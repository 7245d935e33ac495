// What ctx.step costs: a lone one beside the commit that it needs, several processes beside one, and a row of
// it in a full transaction beside the row of a reply.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type CommitBatch, EMPTY_BATCH } from '../../runtime/protocol/commit-batch.ts'
import { Outbox } from '../../runtime/store/sqlite/outbox.ts'
import { answered, enqueue, type Lab, scratch, withRuntime } from '../lab.ts'
import { Durability } from '../limits.ts'
import { percentile, type Row, ratio, round, spread } from '../table.ts'
import type { Benchmark } from '../world.ts'

const STEPS = 300
const PROCESSES = 4
const ROWS = 2_000

/** Replies with the milliseconds of each step. */
const STEPPING = {
  'steps.js': `export default { concurrency: ${PROCESSES}, async handler({ content: { count } }, ctx) {
    const tookMs = []
    for (let n = 0; n < count; n++) {
      const from = process.hrtime.bigint()
      await ctx.step('step ' + n, () => n)
      tookMs.push(Number(process.hrtime.bigint() - from) / 1e6)
    }
    return { tookMs }
  } }`,
}

export const steps: Benchmark = {
  name: 'steps',
  async run(world) {
    const count = world.count(STEPS)
    const [lone, one, several, commits, stepRows, replyRows]: number[][] = [[], [], [], [], [], []]
    for (let n = 0; n < world.rounds; n++) {
      const disk = new Durability()
      for (let each = 0; each < 100; each++) commits!.push(disk.commitMs())
      disk.close()
      await withRuntime(STEPPING, ['--concurrency', String(PROCESSES)], async (bench) => {
        await stepping(bench, PROCESSES, 5)
        const alone = await stepping(bench, 1, count)
        lone!.push(...alone.tookMs)
        one!.push(alone.rate)
        several!.push((await stepping(bench, PROCESSES, count)).rate)
      })
      stepRows!.push(rowUs('steps'))
      replyRows!.push(rowUs('replies'))
    }
    const p50 = percentile(lone!, 0.5)
    const commit = spread(commits!)
    return [
      {
        what: 'a lone step, from its body to its promise, p50',
        unit: 'ms',
        ours: spread(lone!),
        against: { name: 'durable commit of one row', ...commit },
        target: { value: round(p50 / commit.median), unit: '×', better: 'less', goal: 3 },
      },
      {
        what: `steps in ${PROCESSES} processes`,
        unit: 'steps/s',
        ours: spread(several!),
        against: { name: 'in one', ...spread(one!) },
        target: { value: ratio(several!, one!), unit: '×', better: 'more', goal: 2 },
      },
      {
        what: `a step in a transaction of ${ROWS}`,
        unit: 'µs',
        ours: spread(stepRows!),
        against: { name: 'a reply', ...spread(replyRows!) },
        target: { value: ratio(stepRows!, replyRows!), unit: '×', better: 'less', goal: 1.2 },
      },
    ] satisfies Row[]
  },
}

/** So many messages, each in a process of its own, with so many steps one after the other. */
async function stepping(
  bench: Lab,
  messages: number,
  count: number,
): Promise<{ rate: number; tookMs: number[] }> {
  const before = await answered(bench, 0)
  const startMs = performance.now()
  enqueue(bench.inbound, messages, (n) => ({
    kind: 'steps',
    thread: `t-${n}`,
    content: JSON.stringify({ count }),
  }))
  await answered(bench, before + messages)
  const seconds = (performance.now() - startMs) / 1000
  const outbound = bench.outbound()
  const texts = outbound.prepare('select content from messages_out where rowid > ?').pluck().all(before)
  outbound.close()
  return {
    rate: (messages * count) / seconds,
    tookMs: texts.flatMap((text) => JSON.parse(text as string).tookMs as number[]),
  }
}

/** Microseconds of one row among many, beyond what the same commit takes without any. */
function rowUs(what: 'steps' | 'replies'): number {
  const dir = scratch('rows')
  const outbox = new Outbox(join(dir, 'outbound.db'), 'delete')
  outbox.recover(0, 3)
  const ids = Array.from({ length: 10 }, (_, n) => `m-${n}`)
  const worker = { functionName: 'f', worker: 1, alone: false }
  const claim = (run: number) => ids.map((id) => ({ id, run, attempt: 1, ...worker }))
  const value = JSON.stringify({ text: 'hello' })
  const reply = {
    kind: 'chat',
    platformId: null,
    channelType: null,
    threadId: null,
    deliverAfterMs: null,
    content: value,
  }
  const result = { run: 1, outcome: 'replied', reason: null, error: null, durationMs: 1, version: 1 }
  const each = ROWS / ids.length
  const batch: CommitBatch =
    what === 'steps'
      ? {
          ...EMPTY_BATCH,
          nowMs: 0,
          steps: ids.flatMap((id) =>
            Array.from(
              { length: each },
              (_, n) =>
                ({ id, run: 1, name: `step ${n}`, state: 'done', value, durationMs: 1, version: 1 }) as const,
            ),
          ),
        }
      : {
          ...EMPTY_BATCH,
          nowMs: 0,
          results: ids.map((id) => ({
            id,
            ...result,
            next: { type: 'completed', replies: Array(each).fill(reply) },
          })),
        }
  outbox.commit({ ...EMPTY_BATCH, nowMs: 0, claims: claim(1) })
  const startMs = performance.now()
  outbox.commit(batch)
  const us = ((performance.now() - startMs) / ROWS) * 1000
  outbox.close()
  rmSync(dir, { recursive: true })
  return us
}
