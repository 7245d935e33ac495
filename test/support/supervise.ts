// A supervisor in a test: what it said about its folders, and commands that misbehave on purpose. Limits are
// those of the test, in milliseconds where users wait for minutes.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openHost } from 'nanoclaw-functions/host'
import {
  type Command,
  type FolderState,
  type SuperviseOptions,
  type Supervisor,
  type SupervisorEvent,
  supervise,
} from 'nanoclaw-functions/supervisor'
import { onTestFinished } from 'vitest'
import { tempDir } from './files.ts'
import { until } from './runtime.ts'

export interface Supervised {
  readonly supervisor: Supervisor
  readonly events: readonly SupervisorEvent[]
  /** The states that a folder went through, by name. */
  path(folder: string): string[]
  /** Waits for a state, and returns it. */
  becomes<S extends FolderState['state']>(
    folder: string,
    state: S,
    fits?: (state: Extract<FolderState, { state: S }>) => boolean,
  ): Promise<Extract<FolderState, { state: S }>>
}

/** Looks often and waits briefly, unless the test says otherwise. */
export function supervised(options: SuperviseOptions): Supervised {
  const events: SupervisorEvent[] = []
  const supervisor = supervise({
    pauseMs: 10,
    onEvent: (event) => events.push(event),
    ...options,
    limits: {
      pauseMinMs: 20,
      pauseMaxMs: 80,
      heldMinMs: 20,
      staleGraceMs: 50,
      stopGraceMs: 5_000,
      ...options.limits,
    },
  })
  onTestFinished(() => supervisor.stop())
  const states = (folder: string) =>
    events.filter((event) => event.type === 'state').filter((event) => event.folder === folder)
  return {
    supervisor,
    events,
    path: (folder) => states(folder).map(({ state }) => state),
    async becomes(folder, state, fits = () => true) {
      type Wanted = Extract<FolderState, { state: typeof state }>
      const wanted = () =>
        states(folder).find((event) => event.state === state && fits(event as unknown as Wanted))
      await until(
        () => wanted() !== undefined,
        () => `${folder} never was ${state}: ${JSON.stringify(events)}`,
      )
      return wanted() as unknown as Wanted
    },
  }
}

/** A session folder with this many messages that are due. */
export function session(due = 1): string {
  const dir = tempDir()
  const host = openHost(dir)
  host.enqueueMany(Array.from({ length: due }, (_, n) => ({ id: `m-${n}`, kind: 'echo', content: { n } })))
  host.close()
  return dir
}

/** A shell script as a runtime; each start leaves a line with its pid in `starts` beside the files. */
export const script = (body: string): Command => ({
  argv: ['sh', '-c', `echo $$ >> "$NANOCLAW_WORKSPACE/starts"; ${body}`],
})

/** Pids of the scripts that were started on this folder. */
export function starts(folder: string): number[] {
  const file = join(folder, 'starts')
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : []
}

/** An ended process that is not reaped yet counts as dead. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
