// What a start has to read: opening outbound.db, taking it over, and the first page of inbound.db behind the
// checkpoint; with a million messages of history and with none. Beside it the whole start as a user waits for
// it, functions built and loaded.
import { join } from 'node:path'
import { Inbox, START } from '../../runtime/store/sqlite/inbox.ts'
import { Outbox } from '../../runtime/store/sqlite/outbox.ts'
import type { Lab } from '../lab.ts'
import { type Row, round, spread } from '../table.ts'
import type { Benchmark } from '../world.ts'
import { LONG } from './history.ts'

const TIMES = 10
const PAGE = 500
const CRASH_LIMIT = 5

export const recovery: Benchmark = {
  name: 'recovery',
  async run(world) {
    const long = await world.history(world.count(LONG), 'time-ordered')
    const empty = await world.history(0, 'time-ordered')
    const ms = { long: [] as number[], empty: [] as number[] }
    for (let n = 0; n < TIMES; n++) {
      ms.long.push(recoverMs(long))
      ms.empty.push(recoverMs(empty))
    }
    const starts = { long: [] as number[], empty: [] as number[] }
    for (let n = 0; n < world.rounds; n++) {
      starts.long.push(await startMs(long))
      starts.empty.push(await startMs(empty))
    }
    const ours = spread(ms.long)
    const against = spread(ms.empty)
    const rows = world.count(LONG).toLocaleString('en-US')
    return [
      {
        what: `recovery at start, ${rows} rows of history`,
        unit: 'ms',
        ours,
        against: { name: 'no history', ...against },
        target: {
          value: ours.median,
          unit: 'ms',
          better: 'less',
          must: 500,
          goal: round(against.median + 5),
        },
        note: 'goal: 5 ms more than without history',
      },
      {
        what: 'the same without a checkpoint, so that all of it is scanned',
        unit: 'ms',
        ours: spread([walkMs(long)]),
      },
      {
        what: 'the whole start, spawn → started',
        unit: 'ms',
        ours: spread(starts.long),
        against: { name: 'no history', ...spread(starts.empty) },
      },
    ] satisfies Row[]
  },
}

function recoverMs({ workspace }: Lab): number {
  const fromMs = performance.now()
  const outbox = new Outbox(join(workspace, 'outbound.db'), 'delete')
  const { checkpoint } = outbox.recover(Date.now(), CRASH_LIMIT)
  const inbox = new Inbox(join(workspace, 'inbound.db'))
  inbox.changed()
  inbox.maxSeq()
  inbox.getPendingByIds(checkpoint.unfinished, false)
  inbox.getPendingMessages({ ...START, seq: checkpoint.seq }, PAGE, false)
  const tookMs = performance.now() - fromMs
  inbox.close()
  outbox.close()
  return tookMs
}

function walkMs({ workspace }: Lab): number {
  const inbox = new Inbox(join(workspace, 'inbound.db'))
  const fromMs = performance.now()
  for (let page = inbox.getPendingMessages(START, PAGE, false); !page.end; )
    page = inbox.getPendingMessages(page.cursor, PAGE, false)
  const tookMs = performance.now() - fromMs
  inbox.close()
  return tookMs
}

async function startMs(bench: Lab): Promise<number> {
  const running = await bench.runtime()
  await running.stop()
  return running.startMs
}
