// A mixed post, in one transaction: times in every form, past and to come and unreadable, a message that is paused, odd ids.
import type { Clock } from '../protocol/clock.ts'
import { isoTime, sqliteTime } from '../protocol/time.ts'
import { type Finding, fail, pass, skip } from './checks.ts'
import type { Testbed } from './testbed.ts'

const PAST_MS = 60_000
/** A message that is to be paused must be on the disk, and its pause too, before it is due; some disks are slow. */
const PAUSED_DUE_MS = 700
const WRITES = 10
const LATER_MS = 300

export async function checkMixed(stage: Testbed, clock: Clock, waitMs: number): Promise<Finding[]> {
  const nowMs = clock.now()
  const forms = new Map(
    Object.entries(timeForms(nowMs - PAST_MS)).map(([form, processAfter], at) => [
      `past-${at}`,
      { form, processAfter },
    ]),
  )
  const pausedDueMs = nowMs + PAUSED_DUE_MS + WRITES * stage.pen.lastWriteMs
  const laterDueMs = pausedDueMs + LATER_MS
  stage.send([
    ...[...forms].map(([id, { processAfter }]) => ({ id, processAfter })),
    ...ODD_IDS.map((id) => ({ id })),
    { id: 'bad-time', processAfter: 'tomorrow-ish', answered: false },
    { id: 'paused', processAfter: sqliteTime(pausedDueMs), dueAtMs: pausedDueMs },
    { id: 'later-iso', processAfter: isoTime(laterDueMs), dueAtMs: laterDueMs },
    { id: 'later-sqlite', processAfter: sqliteTime(laterDueMs), dueAtMs: laterDueMs },
  ])
  stage.pen.pause('paused')
  const pausedInTime = clock.now() < pausedDueMs
  const later = ['later-iso', 'later-sqlite']
  // Whoever has run those has passed the time of the one that is paused.
  await stage.ended(later, laterDueMs - nowMs + waitMs)
  const ranPaused = stage.sight.hasBegun('paused')
  stage.pen.resume('paused')
  await stage.ended([...forms.keys(), ...ODD_IDS, 'bad-time', 'paused', ...later], waitMs)
  return [
    timeFormsFinding(stage, forms),
    pausedInTime ? laterFinding(stage, later) : skip('later', 'too slow here'),
    badTimeFinding(stage),
    pausedInTime ? pauseFinding(stage, ranPaused) : skip('pause', 'too slow here'),
    idsFinding(stage),
  ]
}

/** What a platform may call a message, and what breaks whoever builds SQL, paths or patterns of it. */
const ODD_IDS = ['ünïcode ✓', `quote ' and "`, '%_%', '../up/and/away', 'a:b:0'] as const

function timeFormsFinding(stage: Testbed, forms: ReadonlyMap<string, { readonly form: string }>): Finding {
  const open = [...forms].filter(([id]) => !stage.sight.hasEnded(id) || stage.sight.ack(id) === 'failed')
  if (open.length === 0) return pass('time-forms', `${forms.size} forms`)
  return fail('time-forms', `not run: ${open.map(([, { form }]) => form).join(', ')}`)
}

function laterFinding(stage: Testbed, ids: readonly string[]): Finding {
  if (stage.sight.early.size > 0)
    return fail('later', `before their time: ${[...stage.sight.early].join(', ')}`)
  return ids.every((id) => stage.sight.hasEnded(id))
    ? pass('later', `${ids.length} forms`)
    : fail('later', stage.missing(ids))
}

function badTimeFinding(stage: Testbed): Finding {
  const ack = stage.sight.ack('bad-time')
  return ack === 'failed' ? pass('bad-time') : fail('bad-time', `"tomorrow-ish": ${ack ?? 'no ack'}`)
}

function pauseFinding(stage: Testbed, ranPaused: boolean): Finding {
  if (ranPaused) return fail('pause', 'it ran while it was paused')
  return stage.sight.hasEnded('paused') ? pass('pause') : fail('pause', 'it did not run when it was resumed')
}

function idsFinding(stage: Testbed): Finding {
  const lost = ODD_IDS.filter((id) => !stage.sight.hasEnded(id))
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
