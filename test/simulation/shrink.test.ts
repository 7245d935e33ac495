// A bug put into the core for as long as the test runs: what the simulation finds of it comes down to a few
// events.
import { afterAll, expect, test, vi } from 'vitest'
import { Outbox } from '../../runtime/store/sqlite/outbox.ts'
import { type Event, randomEvents } from './events.ts'
import { Files } from './files.ts'
import { shrink } from './shrink.ts'
import { simulate } from './simulation.ts'

const STEPS = 60
/** One message, the full disk, and the calls in between. */
const FEW = 12
const DEADLINE_MS = 60_000
/** A commit fails with these, too, so that less would do than a full disk. */
const OTHERS: ReadonlySet<Event['do']> = new Set(['take-over', 'failing-commits', 'busy-commits'])
/** What the planted bug needs. */
const NEEDED: ReadonlySet<Event['do']> = new Set(['insert', 'full'])

const files = new Files()
afterAll(() => files.close())

async function findingIn(seed: number, events: readonly Event[]): Promise<string | undefined> {
  return (await simulate(files, seed, events)).violation?.message
}

async function firstFailure() {
  for (let seed = 1; ; seed++) {
    const events = randomEvents(seed, STEPS).filter((event) => !OTHERS.has(event.do))
    if (await findingIn(seed, events)) return { seed, events }
  }
}

/** A commit that fails is taken for one that did not. */
function plantBug() {
  const { commit } = Outbox.prototype
  return vi.spyOn(Outbox.prototype, 'commit').mockImplementation(function (this: Outbox, turn) {
    try {
      return commit.call(this, turn)
    } catch {
      const nothing = { journals: new Map(), waiting: new Map(), answered: [], unused: new Set<string>() }
      return { lost: new Set(), refused: new Set(), ...nothing }
    }
  })
}

test(
  'a run that fails is cut down to the events without which it would hold',
  async () => {
    const bug = plantBug()
    try {
      const { seed, events } = await firstFailure()
      const fails = async (fewer: readonly Event[]) => (await findingIn(seed, fewer)) !== undefined
      const few = await shrink(events, fails, DEADLINE_MS)
      expect(few.length, JSON.stringify(few)).toBeLessThanOrEqual(FEW)
      const left = new Set(few.map((event) => event.do).filter((what) => what !== 'call' && what !== 'pass'))
      expect(left).toEqual(NEEDED)
      expect(few.flatMap((event) => (event.do === 'insert' ? event.messages : []))).toHaveLength(1)
      expect(await fails(few)).toBe(true)
      for (const event of few) expect(await fails(few.filter((other) => other !== event))).toBe(false)
    } finally {
      bug.mockRestore()
    }
  },
  2 * DEADLINE_MS,
)
