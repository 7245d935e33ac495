// A bad day: the runtime is killed in its work; the host comes late, sits on a lock, dies in the middle of a commit.
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
/** After the last has ended: would anything more come? */
const SETTLE_MS = 300
const COMES_UP_MS = 5_000
const LOCKED_MS = 500
const HOT_MS = 500
const DIES_MS = 5_000
const DYING_HOST = fileURLToPath(new URL('./dying-host.js', import.meta.url))

/** Killed as soon as its first reply can be read: others are claimed then, running, or done and not yet read. */
export async function checkKill(stage: Testbed, clock: Clock, waitMs: number): Promise<Finding[]> {
  stage.makeFiles({ outbound: false })
  stage.start()
  const ids = stage.send(
    names('killed', KILLED_WITH).map((id, at) => ({ id, threadId: `killed-${at % KILLED_THREADS}` })),
  )
  const answered = () => {
    stage.look()
    return stage.sight.replies.length > 0 || !stage.runtime.alive
  }
  await until(clock, waitMs, answered)
  if (stage.sight.replies.length === 0) return [skip('kill', 'no answer')]
  stage.runtime.signal('SIGKILL')
  await stage.runtime.ended(waitMs)
  stage.start()
  // Copying acks helps one that sees only the newest few; that is another check's business.
  stage.sync()
  const done = await stage.ended(ids, waitMs)
  await sleep(clock, SETTLE_MS)
  stage.look()
  stage.pen.compare()
  const several = ids.filter((id) => stage.sight.repliesTo(id).length > 1)
  if (several.length > 0)
    return [fail('kill', `answered more than once: ${several.slice(0, 3).join(', ')} (${several.length})`)]
  return [
    done ? pass('kill', `${ids.length} messages`) : fail('kill', `after the restart ${stage.missing(ids)}`),
  ]
}

export async function checkHostFaults(stage: Testbed, clock: Clock, waitMs: number): Promise<Finding[]> {
  await bringUp(stage, clock)
  const late = await comeLate(stage, waitMs)
  if (!stage.runtime.alive) await bringUp(stage, clock)
  const locked = await lockFile(stage, waitMs)
  if (!stage.runtime.alive) await bringUp(stage, clock)
  const hot = await dieInCommit(stage, clock, waitMs)
  stage.pen.compare()
  return [late, locked, hot]
}

/** Until its heart beats: what follows should meet it at work. */
async function bringUp(stage: Testbed, clock: Clock): Promise<void> {
  const before = stage.beatAtMs()
  stage.start()
  await until(clock, COMES_UP_MS, () => stage.beatAtMs() !== before || !stage.runtime.alive)
}

async function comeLate(stage: Testbed, waitMs: number): Promise<Finding> {
  const waited = stage.runtime.alive
  const how = stage.runtime.end
  stage.makeFiles({ outbound: true })
  const ids = stage.send([{ id: 'late' }])
  if (!waited) return fail('late-file', how)
  return (await stage.ended(ids, waitMs)) ? pass('late-file') : fail('late-file', stage.missing(ids))
}

async function lockFile(stage: Testbed, waitMs: number): Promise<Finding> {
  await stage.pen.lock(LOCKED_MS)
  if (!stage.runtime.alive) return fail('locked', stage.runtime.end)
  const ids = stage.send([{ id: 'unlocked' }])
  return (await stage.ended(ids, waitMs)) ? pass('locked') : fail('locked', stage.missing(ids))
}

async function dieInCommit(stage: Testbed, clock: Clock, waitMs: number): Promise<Finding> {
  stage.pen.compare()
  const env = { PATH: process.env.PATH }
  const host = new CommandProcess([process.execPath, DYING_HOST, stage.paths.inbound], env, clock)
  await until(clock, DIES_MS, () => host.has('spilled') || !host.alive)
  host.signal('SIGKILL')
  await host.ended(DIES_MS)
  if (readable(stage.paths.inbound)) return skip('hot-journal', `no journal: ${host.exit}`)
  stage.pen.accept()
  await sleep(clock, HOT_MS)
  if (!stage.runtime.alive) return fail('hot-journal', stage.runtime.end)
  const ids = stage.send([{ id: 'healed' }])
  return (await stage.ended(ids, waitMs)) ? pass('hot-journal') : fail('hot-journal', stage.missing(ids))
}

function readable(path: string): boolean {
  const file = new ExaminedFile(path)
  file.close()
  return file.state.readable
}
