// One poll of inbound.db that finds nothing new, behind a long history: when nothing was committed, and when
// something was that holds no work.
import { join } from 'node:path'
import { Inbox, START } from '../../runtime/store/sqlite/inbox.ts'
import { type Row, round, spread } from '../table.ts'
import type { Benchmark } from '../world.ts'
import { LONG } from './history.ts'

const LOOKS = 2_000
const PAGE = 500

export const poll: Benchmark = {
  name: 'poll',
  async run(world) {
    const bench = await world.history(world.count(LONG), 'time-ordered')
    const inbox = new Inbox(join(bench.workspace, 'inbound.db'))
    const last = { ...START, seq: inbox.maxSeq() }
    inbox.changed()
    const quiet = times(LOOKS, () => inbox.changed(true))
    const touch = bench.inbound.prepare("update messages_in set status = 'completed' where seq = ?")
    const after = times(
      LOOKS / 10,
      () => {
        inbox.changed()
        inbox.getPendingMessages(last, PAGE, false)
      },
      () => touch.run(last.seq),
    )
    inbox.close()
    return [
      {
        what: `one poll with nothing new, ${world.count(LONG).toLocaleString('en-US')} rows of history`,
        unit: 'µs',
        ours: spread(quiet),
        target: { value: spread(quiet).median, unit: 'µs', better: 'less', must: 50, goal: 10 },
      },
      {
        what: 'the same after a commit that holds no work',
        unit: 'µs',
        ours: spread(after),
        target: { value: round(spread(after).median), unit: 'µs', better: 'less' },
      },
    ] satisfies Row[]
  },
}

/** Microseconds of each; `before` is not counted. */
function times(count: number, work: () => void, before: () => void = () => undefined): number[] {
  return Array.from({ length: count }, () => {
    before()
    const startMs = performance.now()
    work()
    return (performance.now() - startMs) * 1000
  })
}
