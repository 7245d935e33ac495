// Our runtime driven by the first and by the newest host of the runner that it replaces, on machines of three
// zones.
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compiled } from '../support/compiled.ts'
import { project } from '../support/runtime.ts'
import { HANDLER } from './hosts/container.ts'

/** With the minutes by which each is behind UTC in winter. */
const ZONES = { UTC: 0, 'America/New_York': 300, 'Asia/Kolkata': -330 }
const reports = new Map<string, any>()
const ends: (() => unknown)[] = []

beforeAll(async () => {
  const script = await compiled(fileURLToPath(new URL('./hosts/drive.ts', import.meta.url)))
  const drives = Object.keys(ZONES).map(async (zone) => reports.set(zone, await drive(script, zone)))
  await Promise.all(drives)
})

afterAll(async () => {
  for (const end of ends) await end()
})

describe.each(Object.entries(ZONES))('in %s, the hosts', (zone, behindMinutes) => {
  const report = () => reports.get(zone)

  it('of the first shape: both forms of time, a failure, a planned task, a reply for later, a long run', () => {
    expect(report().behindMinutes).toBe(behindMinutes)
    expect(report().seed).toEqual({
      woken: true,
      judged: { woken: false, killed: null, reset: [] },
      claimsAfterStop: [],
      statuses: {
        completed: ['fail', 'hello', 'later', 'past-iso', 'past-sqlite', 'plan', 'planned'],
        pending: ['future-iso', 'future-sqlite', 'hold'],
      },
      sent: ['did past-iso', 'did past-sqlite', 'did water', 'past', 'said hello'],
    })
  })

  it('of the newest shape: the same, context rows, a restart note, a series, a question, a command, files', () => {
    expect(report().head).toEqual({
      woken: true,
      judged: { woken: false, killed: null, reset: [] },
      claimsAfterStop: [],
      statuses: {
        completed: [
          ...['ask', 'cli-resp-r-1', 'context', 'copy', 'daily', 'fail', 'hello', 'later', 'order'],
          ...['past-iso', 'past-sqlite', 'plan', 'planned', 'qr-q', 'restarted', 'stranger'],
        ],
        pending: ['future-iso', 'future-sqlite', 'hold', 'task-daily'],
      },
      sent: expect.arrayContaining(['answered yes', 'did daily', 'did water', 'here', 'past', 'said go on']),
    })
    expect(report().head.sent).not.toContain('psst')
    expect(report().head.sent).not.toContain('future')
    expect(report().head.sent).not.toContain('said context')
    expect([report().nextHour, report().files]).toEqual([9, { 'copy:0': ['a.txt'] }])
  })
})

async function drive(script: string, zone: string): Promise<unknown> {
  const root = project([], { 'all.js': HANDLER }, (end) => void ends.push(end))
  const child = spawn(process.execPath, [script, root], {
    env: { ...process.env, TZ: zone },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return JSON.parse(await text(child.stdout))
}
