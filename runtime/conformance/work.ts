// An ordinary day: a runtime and its host, and everything that the host may ask of it. One folder, one runtime, in steps
// that do not disturb each other; what a step breaks is told by its own check.
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
/** A start may take longer than an answer. */
const STARTS_MS = 5_000
/** It has to come up before it can see that another is there. */
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

export async function checkWork(stage: Testbed, clock: Clock, waitMs: number): Promise<Finding[]> {
  stage.makeFiles({ outbound: true })
  const startedMs = clock.monotonic()
  stage.start({ TZ: ELSEWHERE })
  const first = stage.send([{ id: 'first', threadId: 'first' }])
  if (!(await stage.ended(first, STARTS_MS + waitMs))) {
    const why = 'no answer'
    return [fail('answers', stage.missing(first)), ...AFTER_THE_FIRST.map((name) => skip(name, why))]
  }
  const answered = pass('answers', seconds(clock.monotonic() - startedMs))
  const firstBeatMs = stage.beatAtMs()
  const burst = await playBurst(stage, waitMs)
  revive(stage)
  const context = await playContext(stage, waitMs)
  revive(stage)
  const mixed = await checkMixed(stage, clock, waitMs)
  revive(stage)
  // Nothing is written from here on: what the host waits for then is only time.
  const last = stage.send([{ id: 'last' }])
  const lastEnded = await stage.ended(last, waitMs)
  const second = stage.runtime.alive ? stage.start() : undefined
  const stays = lastEnded ? await playStay(stage, clock) : skip('stays', 'no answer')
  const beats = heartbeat(stage, firstBeatMs)
  const alone = await playSecond(stage, second, waitMs)
  second?.signal('SIGKILL')
  stage.pen.compare()
  const stop = await playStop(stage, clock)
  return [answered, ...mixed, ...burst, ...context, oneCommit(stage), beats, alone, stays, stop]
}

/** What ended it has been told where it happened; the checks that follow are of other things. */
function revive(stage: Testbed): void {
  if (!stage.runtime.alive) stage.start({ TZ: ELSEWHERE })
}

async function playSecond(
  stage: Testbed,
  second: CommandProcess | undefined,
  waitMs: number,
): Promise<Finding> {
  await second?.ended(Math.max(waitMs, GIVES_WAY_MS))
  if (!second || !stage.runtime.alive) return skip('second', 'it had ended')
  return second.alive ? fail('second', 'both run') : pass('second', second.exit)
}

/** A host copies acks over once a minute; until then every message that has ended is still pending in its file. */
async function playBurst(stage: Testbed, waitMs: number): Promise<Finding[]> {
  const ids = stage.send(names('burst', BURST).map((id) => ({ id, threadId: 'burst' })))
  if (!(await stage.ended(ids, waitMs))) {
    const broken = fail('burst', stage.missing(ids))
    stage.sync()
    await stage.ended(ids, waitMs)
    return [broken, order(stage, ids)]
  }
  return [pass('burst'), order(stage, ids)]
}

function order(stage: Testbed, ids: readonly string[]): Finding {
  const places = new Map(ids.map((id, at) => [id, at]))
  const answered = stage.sight.replies.flatMap(({ inReplyTo }) => places.get(inReplyTo ?? '') ?? [])
  const at = answered.findIndex((place, index) => place < (answered[index - 1] ?? -1))
  if (answered.length === 0) return skip('order', 'no replies')
  return at < 0
    ? pass('order', `${answered.length} replies`)
    : fail('order', `${ids[answered[at]!]} was answered after ${ids[answered[at - 1]!]}`)
}

/** Whoever takes the newest few and wants one among them that wakes it sees only context, for ever. */
async function playContext(stage: Testbed, waitMs: number): Promise<Finding[]> {
  const ids = stage.send([{ id: 'wakes', threadId: 'context' }])
  const rows = names('context', CONTEXT_ROWS).map((id) => ({ id, threadId: 'context', trigger: 0 as const }))
  ids.push(...stage.send(rows.map((row) => ({ ...row, answered: false }))))
  const haveEnded = await stage.ended(ids, waitMs)
  const answered = rows.filter(({ id }) => stage.sight.repliesTo(id).length > 0).map(({ id }) => id)
  const alone =
    answered.length === 0
      ? pass('never-alone', `${CONTEXT_ROWS} rows`)
      : fail('never-alone', `answered: ${answered.slice(0, 3).join(', ')}`)
  if (haveEnded) return [pass('context', `${CONTEXT_ROWS} rows`), alone]
  const broken = fail('context', stage.missing(ids))
  stage.sync()
  return [broken, alone]
}

function oneCommit({ sight: { apart } }: Testbed): Finding {
  return apart.size === 0
    ? pass('one-commit', 'none apart')
    : fail('one-commit', `${apart.size}: ${[...apart].slice(0, 2).join(', ')}`)
}

function heartbeat(stage: Testbed, firstBeatMs: number | null): Finding {
  const beatMs = stage.beatAtMs()
  if (beatMs === null) return fail('heartbeat', 'there is no file .heartbeat')
  if (beatMs === firstBeatMs) return fail('heartbeat', 'it was not touched again after the first answer')
  const oldest = seconds(stage.oldestBeatMs)
  return stage.oldestBeatMs < FRESH_MS
    ? pass('heartbeat', `at most ${oldest}`)
    : fail('heartbeat', `${oldest} old`)
}

async function playStay(stage: Testbed, clock: Clock): Promise<Finding> {
  const upMs = () => (stage.runtime.endedAtMs ?? clock.monotonic()) - stage.sight.lastReplyAtMs
  while (upMs() < STAYS_MS && stage.runtime.alive) {
    await sleep(clock, 50)
    stage.look()
  }
  return upMs() >= STAYS_MS
    ? pass('stays')
    : fail('stays', `${seconds(upMs())} after its last reply ${stage.runtime.end}`)
}

async function playStop(stage: Testbed, clock: Clock): Promise<Finding> {
  if (!stage.runtime.alive) return skip('stop', 'it had ended')
  const askedMs = clock.monotonic()
  stage.runtime.signal('SIGTERM')
  if (!(await stage.runtime.ended(STOPS_MS)))
    return fail('stop', `it runs ${seconds(STOPS_MS)} after SIGTERM`)
  const tookMs = clock.monotonic() - askedMs
  stage.look()
  const left = stage.sight.claims
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
