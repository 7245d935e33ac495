// The store in memory stands in for others in the simulation, which must find there what it finds in
// outbound.db. So both get the same batches, and have to answer alike.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CommitBatch, RunResult } from '../../runtime/protocol/commit-batch.ts'
import { Outbox } from '../../runtime/store/sqlite/outbox.ts'
import type { Store } from '../../runtime/store/store.ts'
import { openDb } from '../support/files.ts'
import { MemoryFile, MemoryStore } from '../support/memory-store.ts'
import { claim, ending, NOW, reply, turn } from '../support/outbox.ts'

const IDS = ['a', 'b', 'c', 'd'] as const
const CRASH_LIMIT = 3

/** What happens to a message in one step: how its run ends, where it has one, and whether it is claimed. */
const deed = fc.record({
  ends: fc.constantFrom(
    'no',
    'completed',
    'failed',
    'threw',
    'turned-away',
    'killed',
    'stopped',
    'handed-back',
  ),
  begins: fc.constantFrom('no', 'alone', 'beside', 'rejected', 'context'),
  unclaimed: fc.constantFrom(false, false, false, true),
})
const step = fc.record({
  deeds: fc.tuple(deed, deed, deed, deed),
  afterMs: fc.constantFrom(0, 10, 5_000),
  runtime: fc.constantFrom('goes-on', 'goes-on', 'goes-on', 'dies', 'stops'),
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

test('the store in memory answers as outbound.db does, whatever is written', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const [sqlite, memory] = [await follow(steps, inSqlite()), await follow(steps, inMemory())]
      expect(memory).toEqual(sqlite)
    }),
    { numRuns: 200 },
  )
})

interface Bench {
  readonly open: () => Store
  readonly unclaim: (id: string) => void
}

function inSqlite(): Bench {
  const db = openDb(':memory:')
  return {
    open: () => new Outbox(db, 'delete'),
    unclaim: (id) =>
      db.prepare("delete from processing_ack where message_id = ? and status = 'processing'").run(id),
  }
}

function inMemory(): Bench {
  const file = new MemoryFile()
  return {
    open: () => new MemoryStore(file, { later: async () => undefined }),
    unclaim: (id) => {
      if (file.contents.acks.get(id)?.status === 'processing') file.contents.acks.delete(id)
    },
  }
}

/** All that a store has answered. */
async function follow(steps: readonly Step[], { open, unclaim }: Bench): Promise<unknown[]> {
  const said: unknown[] = []
  let nowMs = NOW
  let store = open()
  let epoch = 0
  const running = new Map<string, number>()
  const begin = (stoppedEpoch: number) => {
    const recovery = store.recover(nowMs, CRASH_LIMIT, stoppedEpoch)
    epoch = recovery.epoch
    running.clear()
    const { checkpoint, quarantined } = recovery
    const unfinished = new Set(checkpoint.unfinished)
    said.push({
      ...recovery,
      scope: null,
      checkpoint: { ...checkpoint, unfinished },
      quarantined: new Set(quarantined),
    })
  }
  begin(0)
  for (const { deeds, afterMs, runtime } of steps) {
    nowMs += afterMs
    const batch = batchOf(deeds, nowMs, running, store)
    IDS.forEach((id, n) => deeds[n]!.unclaimed && unclaim(id))
    const { lost, refused } = await store.commit(batch)
    for (const { id } of batch.results) running.delete(id)
    for (const { id, run } of batch.claims) if (!refused.has(id)) running.set(id, run)
    if (runtime !== 'goes-on') {
      store = open()
      begin(runtime === 'stops' ? epoch : 0)
    }
    const waits = store.waiting(undefined, 10).map(({ id }) => id)
    said.push({
      batch,
      lost,
      refused,
      history: historyIn(store),
      open: store.unfinished(IDS, 10, batch.nowMs),
      waits: waits.sort(),
    })
  }
  return said
}

/** Pauses are left to chance in part: whether there is one has to be the same. */
function historyIn(store: Store): unknown[] {
  return IDS.map((id) => {
    const history = store.history([id]).get(id)
    return history && { ...history, nextAtMs: history.nextAtMs !== null, waitMs: history.waitMs !== null }
  })
}

function batchOf(deeds: Step['deeds'], nowMs: number, running: ReadonlyMap<string, number>, store: Store) {
  const results: RunResult[] = []
  const claims: CommitBatch['claims'][number][] = []
  const rejections: CommitBatch['rejections'][number][] = []
  IDS.forEach((id, n) => {
    const { ends, begins } = deeds[n]!
    const run = running.get(id)
    const { runs = 0, attempts = 0, done = false } = store.history([id]).get(id) ?? {}
    if (run !== undefined && ends !== 'no') results.push({ ...endOf(id, ends, nowMs), run })
    if (run !== undefined || done || begins === 'no') return
    if (begins === 'rejected') rejections.push({ id, reason: 'bad_process_after', detail: '' })
    else if (begins === 'context') rejections.push({ id, reason: 'context', detail: '', ack: 'completed' })
    else
      claims.push(
        claim(id, {
          run: runs + 1,
          attempt: attempts + 1,
          alone: begins === 'alone',
          worker: begins === 'alone' ? n : 9,
        }),
      )
  })
  return turn({ nowMs, results, claims, rejections })
}

function endOf(id: string, ends: Exclude<Step['deeds'][number]['ends'], 'no'>, nowMs: number): RunResult {
  const retry = { type: 'retry', nextAtMs: nowMs + 1_000 } as const
  switch (ends) {
    case 'completed':
      return ending(id, { type: 'completed', replies: [reply(id)] })
    case 'failed':
      return ending(id, { type: 'failed' })
    case 'threw':
      return ending(id, retry)
    case 'turned-away':
      return ending(id, retry, { reason: 'retry_after' })
    case 'killed':
      return ending(id, retry, { outcome: 'killed' })
    case 'stopped':
      return ending(id, { type: 'released', keep: true }, { reason: 'shutdown' })
    case 'handed-back':
      return ending(id, { type: 'released', keep: false }, { reason: 'handed-back' })
    default:
      return ends satisfies never
  }
}
