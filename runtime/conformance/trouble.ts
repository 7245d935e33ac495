// Faults: the runtime is killed while it runs messages; the host starts late, holds a lock, dies in the
// middle of a commit.
import { fileURLToPath } from 'node:url'
import type { Clock } from '../protocol/clock.ts'
import { ExaminedFile } from '../store/sqlite/examine.ts'
import { type Finding, fail, pass, skip } from './checks.ts'
import { CommandProcess } from './command.ts'
import { sleep, until } from './sleep.ts'
import type { Testbed } from './testbed.ts'
import { names } from './work.ts'

const KILLED_WITH = 24
const KILLED_THREADS = 4
/** Wait after the last end, to detect further replies. */
const SETTLE_MS = 300
const COMES_UP_MS = 5_000
const LOCKED_MS = 500
const HOT_MS = 500
const DIES_MS = 5_000
const DYING_HOST = fileURLToPath(new URL('./dying-host.js', import.meta.url))

/** Kills at the first readable reply: other messages are claimed, running, or done and not read yet. */
export async function checkKill(testbed: Testbed, clock: Clock, waitMs: number): Promise<Finding[]> {
  testbed.makeFiles({ outbound: false })
  testbed.start()
  const ids = testbed.send(
    names('killed', KILLED_WITH).map((id, at) => ({ id, threadId: `killed-${at % KILLED_THREADS}` })),
  )
  const answered = () => {
    testbed.look()
    return testbed.observer.replies.length > 0 || !testbed.runtime.alive
  }
  await until(clock, waitMs, answered)
  if (testbed.observer.replies.length === 0) return [skip('kill', 'no answer')]
  testbed.runtime.signal('SIGKILL')
  await testbed.runtime.ended(waitMs)
  testbed.start()
  // Copying acks helps a runtime that reads only the newest messages; the check `burst` covers that.
  testbed.sync()
  const done = await testbed.ended(ids, waitMs)
  await sleep(clock, SETTLE_MS)
  testbed.look()
  testbed.writer.compare()
  const several = ids.filter((id) => testbed.observer.repliesTo(id).length > 1)
  if (several.length > 0)
    return [fail('kill', `answered more than once: ${several.slice(0, 3).join(', ')} (${several.length})`)]
  return [
    done ? pass('kill', `${ids.length} messages`) : fail('kill', `after the restart ${testbed.missing(ids)}`),
  ]
}

export async function checkHostFaults(testbed: Testbed, clock: Clock, waitMs: number): Promise<Finding[]> {
  await bringUp(testbed, clock)
  const late = await comeLate(testbed, waitMs)
  if (!testbed.runtime.alive) await bringUp(testbed, clock)
  const locked = await lockFile(testbed, waitMs)
  if (!testbed.runtime.alive) await bringUp(testbed, clock)
  const hot = await dieInCommit(testbed, clock, waitMs)
  testbed.writer.compare()
  return [late, locked, hot]
}

/** Waits for the first heartbeat: the next step needs a running message. */
async function bringUp(testbed: Testbed, clock: Clock): Promise<void> {
  const before = testbed.beatAtMs()
  testbed.start()
  await until(clock, COMES_UP_MS, () => testbed.beatAtMs() !== before || !testbed.runtime.alive)
}

async function comeLate(testbed: Testbed, waitMs: number): Promise<Finding> {
  const waited = testbed.runtime.alive
  const how = testbed.runtime.end
  testbed.makeFiles({ outbound: true })
  const ids = testbed.send([{ id: 'late' }])
  if (!waited) return fail('late-file', how)
  return (await testbed.ended(ids, waitMs)) ? pass('late-file') : fail('late-file', testbed.missing(ids))
}

async function lockFile(testbed: Testbed, waitMs: number): Promise<Finding> {
  await testbed.writer.lock(LOCKED_MS)
  if (!testbed.runtime.alive) return fail('locked', testbed.runtime.end)
  const ids = testbed.send([{ id: 'unlocked' }])
  return (await testbed.ended(ids, waitMs)) ? pass('locked') : fail('locked', testbed.missing(ids))
}

async function dieInCommit(testbed: Testbed, clock: Clock, waitMs: number): Promise<Finding> {
  testbed.writer.compare()
  const env = { PATH: process.env.PATH }
  const host = new CommandProcess([process.execPath, DYING_HOST, testbed.paths.inbound], env, clock)
  await until(clock, DIES_MS, () => host.has('spilled') || !host.alive)
  host.signal('SIGKILL')
  await host.ended(DIES_MS)
  if (readable(testbed.paths.inbound)) return skip('hot-journal', `no journal: ${host.exit}`)
  testbed.writer.accept()
  await sleep(clock, HOT_MS)
  if (!testbed.runtime.alive) return fail('hot-journal', testbed.runtime.end)
  const ids = testbed.send([{ id: 'healed' }])
  return (await testbed.ended(ids, waitMs)) ? pass('hot-journal') : fail('hot-journal', testbed.missing(ids))
}

function readable(path: string): boolean {
  const file = new ExaminedFile(path)
  file.close()
  return file.state.readable
}
