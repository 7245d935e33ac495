// The simulation, a short while of it: what it finds is cut down with `npm run simulate -- --seed <n> --steps <n>`. Below it
// stand runs that once failed, each cut down to its events.
import { afterAll, describe, expect, test } from 'vitest'
import { fateOf } from './cast.ts'
import { type Event, type NewMessage, randomEvents } from './events.ts'
import { HostFile } from './host.ts'
import { simulate } from './simulation.ts'

const SEEDS = 200
const STEPS = 60
/** What it takes when every core is busy with something else. */
const TIMEOUT_MS = 120_000

const file = new HostFile()
afterAll(() => file.close())

test(
  `${SEEDS} seeds of ${STEPS} steps: strict order, replies once, attempts within their limit, and everything ends`,
  async () => {
    const struck: Record<string, number> = {}
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { violation, counts } = await simulate(file, seed, randomEvents(seed, STEPS))
      if (violation)
        throw new Error(`npm run simulate -- --seed ${seed} --steps ${STEPS}`, { cause: violation })
      for (const [what, times] of Object.entries(counts)) struck[what] = (struck[what] ?? 0) + times
    }
    for (const fault of [
      'busy read',
      'busy commit',
      'hot journal',
      'full disk',
      'fenced',
      'crash before a statement',
    ])
      expect(struck[fault], fault).toBeGreaterThan(0)
  },
  TIMEOUT_MS,
)

describe('runs that failed once', () => {
  test('what is read again after a reload, and meets a lock, is not overtaken by what is new', async () => {
    const failsOnce = planOf(({ end, ms }) => end === 'throws' && ms === 0)
    const replies = planOf(({ end, ms }) => end === 'replies' && ms === 0)
    for (let readsBefore = 0; readsBefore < 6; readsBefore++)
      await holds([
        { do: 'pass', ms: 300 },
        { do: 'insert', messages: [quick(failsOnce)], hint: 'now' },
        // Its process starts, it fails, and waits for its next attempt.
        { do: 'pass', ms: 45 },
        { do: 'busy-reads', after: 0, times: 1 },
        { do: 'insert', messages: [quick(replies)], hint: 'now' },
        { do: 'call' },
        { do: 'reload', version: 2 },
        { do: 'busy-reads', after: readsBefore, times: 3 },
        { do: 'pass', ms: 100 },
      ])
  })
})

/** With several seeds, since how long things take follows from it. */
async function holds(events: readonly Event[]): Promise<void> {
  for (let seed = 1; seed <= 12; seed++) {
    const { violation, trace } = await simulate(file, seed, events, true)
    if (violation) throw new Error(`seed ${seed}\n${trace.join('\n')}`, { cause: violation })
  }
}

function quick(plan: number): NewMessage {
  return { plan, kind: 'quick', address: 0, due: 'now', odd: 'no' }
}

/** A message whose first run is like that. */
function planOf(like: (fate: ReturnType<typeof fateOf>) => boolean): number {
  let plan = 1
  while (!like(fateOf('quick', plan, 1))) plan++
  return plan
}
