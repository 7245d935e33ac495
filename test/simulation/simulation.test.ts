// The simulation, a short while of it: what it finds is cut down with `npm run simulate -- --seed <n> --steps
// <n>`.
import { afterAll, expect, test } from 'vitest'
import { randomEvents } from './events.ts'
import { Files } from './files.ts'
import { failureOf, KNOWN } from './known.ts'
import { ORDER_SEEDS, ORDERS } from './orders.ts'
import { simulate } from './simulation.ts'

const SEEDS = 120
const STEPS = 60
/** What it takes when every core is busy with something else. */
const TIMEOUT_MS = 120_000
const FAULTS = [
  'busy read',
  'busy commit',
  'failing commit',
  'unanswered commit',
  'hot journal',
  'full disk',
  'fenced',
  'crash before a look',
]

const files = new Files()
afterAll(() => files.close())

test(
  `${SEEDS} seeds of ${STEPS} steps: strict order, replies once, attempts within their limit, and everything ends`,
  async () => {
    const struck: Record<string, number> = {}
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { violation, counts } = await simulate(files, seed, randomEvents(seed, STEPS))
      if (violation)
        throw new Error(`npm run simulate -- --seed ${seed} --steps ${STEPS}`, { cause: violation })
      for (const [what, times] of Object.entries(counts)) struck[what] = (struck[what] ?? 0) + times
    }
    for (const fault of FAULTS) expect(struck[fault], fault).toBeGreaterThan(0)
  },
  TIMEOUT_MS,
)

test.each(KNOWN)(
  'failed once: $title',
  async (known) => {
    expect(await failureOf(files, known)).toBeUndefined()
  },
  TIMEOUT_MS,
)

test.each(ORDERS)(
  '$title',
  async (order) => {
    expect(await failureOf(files, order, ORDER_SEEDS)).toBeUndefined()
  },
  TIMEOUT_MS,
)
