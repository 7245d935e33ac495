// A mixed batch in one transaction: times in every form, past, future and invalid; a paused message; unusual
// ids.
import type { Clock } from '../protocol/clock.ts'
import { isoTime, sqliteTime } from '../protocol/time.ts'
import { type Finding, fail, pass, skip } from './checks.ts'
import type { Testbed } from './testbed.ts'

const PAST_MS = 60_000
/** A message and its pause must both be on disk before it is due; some disks are slow. */
const PAUSED_DUE_MS = 700
const WRITES = 10
const LATER_MS = 300

export async function checkMixed(testbed: Testbed, clock: Clock, waitMs: number): Promise<Finding[]> {
  const nowMs = clock.now()
  const forms = new Map(
    Object.entries(timeForms(nowMs - PAST_MS)).map(([form, processAfter], at) => [
      `past-${at}`,
      { form, processAfter },
    ]),
  )
  const pausedDueMs = nowMs + PAUSED_DUE_MS + WRITES * testbed.writer.lastWriteMs
  const laterDueMs = pausedDueMs + LATER_MS
  testbed.send([
    ...[...forms].map(([id, { processAfter }]) => ({ id, processAfter })),
    ...ODD_IDS.map((id) => ({ id })),
    { id: 'bad-time', processAfter: 'tomorrow-ish', answered: false },
    { id: 'paused', processAfter: sqliteTime(pausedDueMs), dueAtMs: pausedDueMs },
    { id: 'later-iso', processAfter: isoTime(laterDueMs), dueAtMs: laterDueMs },
    { id: 'later-sqlite', processAfter: sqliteTime(laterDueMs), dueAtMs: laterDueMs },
  ])
  testbed.writer.pause('paused')
  const pausedInTime = clock.now() < pausedDueMs
  const later = ['later-iso', 'later-sqlite']
  // A runtime that has run those has passed the due time of the paused one.
  await testbed.ended(later, laterDueMs - nowMs + waitMs)
  const ranPaused = testbed.observer.hasBegun('paused')
  testbed.writer.resume('paused')
  await testbed.ended([...forms.keys(), ...ODD_IDS, 'bad-time', 'paused', ...later], waitMs)
  return [
    timeFormsFinding(testbed, forms),
    pausedInTime ? laterFinding(testbed, later) : skip('later', 'too slow here'),
    badTimeFinding(testbed),
    pausedInTime ? pauseFinding(testbed, ranPaused) : skip('pause', 'too slow here'),
    idsFinding(testbed),
  ]
}

/** Legal ids that break a runtime which builds SQL, paths or patterns from them. */
const ODD_IDS = ['ünïcode ✓', `quote ' and "`, '%_%', '../up/and/away', 'a:b:0'] as const

function timeFormsFinding(testbed: Testbed, forms: ReadonlyMap<string, { readonly form: string }>): Finding {
  const open = [...forms].filter(
    ([id]) => !testbed.observer.hasEnded(id) || testbed.observer.ack(id) === 'failed',
  )
  if (open.length === 0) return pass('time-forms', `${forms.size} forms`)
  return fail('time-forms', `not run: ${open.map(([, { form }]) => form).join(', ')}`)
}

function laterFinding(testbed: Testbed, ids: readonly string[]): Finding {
  if (testbed.observer.early.size > 0)
    return fail('later', `before their time: ${[...testbed.observer.early].join(', ')}`)
  return ids.every((id) => testbed.observer.hasEnded(id))
    ? pass('later', `${ids.length} forms`)
    : fail('later', testbed.missing(ids))
}

function badTimeFinding(testbed: Testbed): Finding {
  const ack = testbed.observer.ack('bad-time')
  return ack === 'failed' ? pass('bad-time') : fail('bad-time', `"tomorrow-ish": ${ack ?? 'no ack'}`)
}

function pauseFinding(testbed: Testbed, ranPaused: boolean): Finding {
  if (ranPaused) return fail('pause', 'it ran while it was paused')
  return testbed.observer.hasEnded('paused')
    ? pass('pause')
    : fail('pause', 'it did not run when it was resumed')
}

function idsFinding(testbed: Testbed): Finding {
  const lost = ODD_IDS.filter((id) => !testbed.observer.hasEnded(id))
  return lost.length === 0
    ? pass('ids', `${ODD_IDS.length} odd ones`)
    : fail('ids', `not answered: ${lost.map((id) => JSON.stringify(id)).join(', ')}`)
}

/** One instant in every form that hosts write. */
function timeForms(atMs: number): Readonly<Record<string, string>> {
  const india = isoTime(atMs + 19_800_000).replace('Z', '+05:30')
  return {
    'ISO 8601': isoTime(atMs).replace(/\.\d+/, ''),
    'ISO 8601 with an offset': india,
    'the form of SQLite': sqliteTime(atMs).replace(/\.\d+/, ''),
    'the form of SQLite with milliseconds': sqliteTime(atMs),
    'an empty text': '',
  }
}
