// Normal operation: a runtime, its host, and every kind of request. One folder, one runtime, in independent
// steps; each step has its own check.
import type { Clock } from '../protocol/clock.ts'
import { type CheckName, type Finding, fail, pass, skip } from './checks.ts'
import type { CommandProcess } from './command.ts'
import { checkMixed } from './mixed.ts'
import { sleep } from './sleep.ts'
import type { Testbed } from './testbed.ts'

/** Far from UTC, so that a time without a zone that is read as local time is hours off. */
const ELSEWHERE = 'America/New_York'
const BURST = 30
const CONTEXT_ROWS = 10
/** A start may take longer than a reply. */
const STARTS_MS = 5_000
/** The second runtime must start before it can detect the first. */
const GIVES_WAY_MS = 3_000
const STAYS_MS = 2_000
const STOPS_MS = 10_000
/** Hosts call a runtime busy while its heartbeat is younger. */
const FRESH_MS = 6_000

const AFTER_THE_FIRST: readonly CheckName[] = [
  'time-forms',
  'later',
  'bad-time',
  'burst',
  'order',
  'context',
  'never-alone',
  'pause',
  'ids',
  'one-commit',
  'heartbeat',
  'second',
  'stays',
  'stop',
]

export async function checkWork(testbed: Testbed, clock: Clock, waitMs: number): Promise<Finding[]> {
  testbed.makeFiles({ outbound: true })
  const startedMs = clock.monotonic()
  testbed.start({ TZ: ELSEWHERE })
  const first = testbed.send([{ id: 'first', threadId: 'first' }])
  if (!(await testbed.ended(first, STARTS_MS + waitMs))) {
    const why = 'no answer'
    return [fail('answers', testbed.missing(first)), ...AFTER_THE_FIRST.map((name) => skip(name, why))]
  }
  const answered = pass('answers', seconds(clock.monotonic() - startedMs))
  const firstBeatMs = testbed.beatAtMs()
  const burst = await playBurst(testbed, waitMs)
  revive(testbed)
  const context = await playContext(testbed, waitMs)
  revive(testbed)
  const mixed = await checkMixed(testbed, clock, waitMs)
  revive(testbed)
  // The host writes nothing from here on; the remaining checks only wait.
  const last = testbed.send([{ id: 'last' }])
  const lastEnded = await testbed.ended(last, waitMs)
  const second = testbed.runtime.alive ? testbed.start() : undefined
  const stays = lastEnded ? await playStay(testbed, clock) : skip('stays', 'no answer')
  const beats = heartbeat(testbed, firstBeatMs)
  const alone = await playSecond(testbed, second, waitMs)
  second?.signal('SIGKILL')
  testbed.writer.compare()
  const stop = await playStop(testbed, clock)
  return [answered, ...mixed, ...burst, ...context, oneCommit(testbed), beats, alone, stays, stop]
}

/** An earlier check has reported the end of the runtime; later checks start a new one. */
function revive(testbed: Testbed): void {
  if (!testbed.runtime.alive) testbed.start({ TZ: ELSEWHERE })
}

async function playSecond(
  testbed: Testbed,
  second: CommandProcess | undefined,
  waitMs: number,
): Promise<Finding> {
  await second?.ended(Math.max(waitMs, GIVES_WAY_MS))
  if (!second || !testbed.runtime.alive) return skip('second', 'it had ended')
  return second.alive ? fail('second', 'both run') : pass('second', second.exit)
}

/** A host copies acks once a minute; until then every ended message is still pending in its file. */
async function playBurst(testbed: Testbed, waitMs: number): Promise<Finding[]> {
  const ids = testbed.send(names('burst', BURST).map((id) => ({ id, threadId: 'burst' })))
  if (!(await testbed.ended(ids, waitMs))) {
    const broken = fail('burst', testbed.missing(ids))
    testbed.sync()
    await testbed.ended(ids, waitMs)
    return [broken, order(testbed, ids)]
  }
  return [pass('burst'), order(testbed, ids)]
}

function order(testbed: Testbed, ids: readonly string[]): Finding {
  const places = new Map(ids.map((id, at) => [id, at]))
  const answered = testbed.observer.replies.flatMap(({ inReplyTo }) => places.get(inReplyTo ?? '') ?? [])
  const at = answered.findIndex((place, index) => place < (answered[index - 1] ?? -1))
  if (answered.length === 0) return skip('order', 'no replies')
  return at < 0
    ? pass('order', `${answered.length} replies`)
    : fail('order', `${ids[answered[at]!]} was answered after ${ids[answered[at - 1]!]}`)
}

/**
 * A runtime that reads the newest few rows and needs one with trigger 1 among them would see only context,
 * for ever.
 */
async function playContext(testbed: Testbed, waitMs: number): Promise<Finding[]> {
  const ids = testbed.send([{ id: 'wakes', threadId: 'context' }])
  const rows = names('context', CONTEXT_ROWS).map((id) => ({ id, threadId: 'context', trigger: 0 as const }))
  ids.push(...testbed.send(rows.map((row) => ({ ...row, answered: false }))))
  const haveEnded = await testbed.ended(ids, waitMs)
  const answered = rows.filter(({ id }) => testbed.observer.repliesTo(id).length > 0).map(({ id }) => id)
  const alone =
    answered.length === 0
      ? pass('never-alone', `${CONTEXT_ROWS} rows`)
      : fail('never-alone', `answered: ${answered.slice(0, 3).join(', ')}`)
  if (haveEnded) return [pass('context', `${CONTEXT_ROWS} rows`), alone]
  const broken = fail('context', testbed.missing(ids))
  testbed.sync()
  return [broken, alone]
}

function oneCommit({ observer: { apart } }: Testbed): Finding {
  return apart.size === 0
    ? pass('one-commit', 'none apart')
    : fail('one-commit', `${apart.size}: ${[...apart].slice(0, 2).join(', ')}`)
}

function heartbeat(testbed: Testbed, firstBeatMs: number | null): Finding {
  const beatMs = testbed.beatAtMs()
  if (beatMs === null) return fail('heartbeat', 'there is no file .heartbeat')
  if (beatMs === firstBeatMs) return fail('heartbeat', 'it was not touched again after the first answer')
  const oldest = seconds(testbed.oldestBeatMs)
  return testbed.oldestBeatMs < FRESH_MS
    ? pass('heartbeat', `at most ${oldest}`)
    : fail('heartbeat', `${oldest} old`)
}

async function playStay(testbed: Testbed, clock: Clock): Promise<Finding> {
  const upMs = () => (testbed.runtime.endedAtMs ?? clock.monotonic()) - testbed.observer.lastReplyAtMs
  while (upMs() < STAYS_MS && testbed.runtime.alive) {
    await sleep(clock, 50)
    testbed.look()
  }
  return upMs() >= STAYS_MS
    ? pass('stays')
    : fail('stays', `${seconds(upMs())} after its last reply ${testbed.runtime.end}`)
}

async function playStop(testbed: Testbed, clock: Clock): Promise<Finding> {
  if (!testbed.runtime.alive) return skip('stop', 'it had ended')
  const askedMs = clock.monotonic()
  testbed.runtime.signal('SIGTERM')
  if (!(await testbed.runtime.ended(STOPS_MS)))
    return fail('stop', `it runs ${seconds(STOPS_MS)} after SIGTERM`)
  const tookMs = clock.monotonic() - askedMs
  testbed.look()
  const left = testbed.observer.claims
  return left.length === 0
    ? pass('stop', seconds(tookMs))
    : fail('stop', `still processing: ${left.slice(0, 3).join(', ')}`)
}

export function names(stem: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${stem}-${at + 1}`)
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
