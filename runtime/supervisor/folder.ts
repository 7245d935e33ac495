// One supervised session folder. It is always in one of these states, and has at most one instance of a
// runtime:
//
//   idle ── work is due ──► waiting ── a place is free ──► starting ── a sign of life ──► running
//    ▲ ▲                                                      │   │                         │  │
//    │ └──────────── nothing left to do ◄── stopping ◄────────┼───┼── stale, idle, told to ─┘  │
//    │                                                        │   └───── it has ended ─────────┤
//    └── the wait is over ── backing-off ◄── failed ──────────┼────────────────────────────────┘
//                            refused ◄── its configuration is wrong, or it could not be prepared
//
// An end is detected when the process ends. Only the instance that was started here is checked or killed.
import { lstatSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { errorText } from '../protocol/errors.ts'
import { filesIn } from '../protocol/files.ts'
import { statusPath } from '../protocol/status-file.ts'
import { Instance, type InstanceExit } from './instance.ts'
import { decideAfterExit, decideStale, exitReason } from './liveness.ts'
import { type PrepareParts, prepareLaunch } from './prepare.ts'
import type { Presence } from './presence.ts'
import { Quiet } from './quiet.ts'
import type { FolderState } from './state.ts'
import { Wait, type WaitParts } from './wait.ts'
import { type Work, WorkProbe } from './work.ts'

export interface FolderParts extends PrepareParts, WaitParts {
  readonly presence: Presence
  readonly changed: (state: FolderState) => void
  /** Whether this folder may have an instance now; if not, it is visited when a slot is free. */
  readonly takePlace: () => boolean
  readonly leavePlace: () => void
}

interface Life {
  readonly instance: Instance
  readonly spawnedAtMs: number
  readonly startedMs: number
  /** The reason for the stop. */
  asked?: string
  stale?: boolean
}

export class SupervisedFolder {
  readonly #parts: FolderParts
  readonly #look: WorkProbe
  readonly #quiet: Quiet
  readonly #wait: Wait
  readonly #stopping = new AbortController()
  #state: FolderState = { state: 'idle' }
  #life: Life | undefined
  /** Runs from taking a slot until releasing it. */
  #living: Promise<void> | undefined

  constructor(parts: FolderParts) {
    this.#parts = parts
    this.#look = new WorkProbe(parts.folder, parts.clock)
    this.#quiet = new Quiet(this.#look, parts.clock, parts.presence)
    this.#wait = new Wait(parts)
  }

  get state(): FolderState {
    return this.#state
  }

  /** Takes the next step; called once per round and after every event. */
  visit(): void {
    if (this.#stopping.signal.aborted) return
    if (this.#life) return this.#watch(this.#life)
    if (this.#living || !this.#wait.isOver) return
    if (!this.#look.read().due || this.#quiet.isPassedOver()) {
      this.#parts.leavePlace()
      return this.#become({ state: 'idle' })
    }
    if (!this.#parts.takePlace()) return this.#become({ state: 'waiting' })
    this.#living = this.#live().finally(() => {
      this.#living = undefined
      this.#parts.leavePlace()
      this.#parts.visitSoon()
    })
  }

  /** Ends an idle instance in favour of another folder; false when it is not idle. */
  spare(): boolean {
    const life = this.#life
    if (!life || life.asked !== undefined) return false
    const { spareMs, stopGraceMs } = this.#parts.limits
    const work = this.#look.read()
    if (work.due || work.claims.length > 0 || !this.#quiet.for(spareMs)) return false
    this.#end(life, 'it has nothing to do, and another folder waits for its place', stopGraceMs)
    return true
  }

  /** Ends a wait or a refusal. */
  retry(): void {
    this.#wait.forget()
    this.#quiet.forget()
    this.#parts.visitSoon()
  }

  /** No process of the folder runs once this resolves. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the supervisor stops'))
    this.#wait.stop()
    if (this.#life && this.#life.asked === undefined)
      this.#end(this.#life, 'the supervisor stops', this.#parts.limits.stopGraceMs)
    await this.#living
    this.#become({ state: 'idle' })
  }

  async #live(): Promise<void> {
    const { clock } = this.#parts
    this.#become({ state: 'starting' })
    const configuration = this.#parts.configuration()
    try {
      const launch = await prepareLaunch(this.#parts, this.#stopping.signal)
      if (this.#stopping.signal.aborted) return
      const born = { spawnedAtMs: clock.now(), startedMs: clock.monotonic() }
      this.#life = { instance: new Instance(launch, clock, this.#parts.limits.awayMs), ...born }
    } catch (thrown) {
      if (!this.#stopping.signal.aborted) this.#become(this.#wait.unprepared(errorText(thrown)))
      return
    }
    const life = this.#life
    this.#quiet.restart()
    this.#become({ state: 'starting', ...pidOf(life) })
    const ended = await life.instance.ended
    this.#life = undefined
    if (!this.#stopping.signal.aborted) this.#after(life, ended, configuration)
  }

  #watch(life: Life): void {
    if (life.asked !== undefined) return
    const { clock, folder, limits, presence } = this.#parts
    const { spawnedAtMs } = life
    const presentSinceMs = presence.since().atMs
    const work = this.#look.read()
    const heartbeatAtMs = lastSignMs(folder)
    const stale = decideStale(
      { nowMs: clock.now(), spawnedAtMs, heartbeatAtMs, presentSinceMs, ...work },
      limits,
    )
    if (stale !== undefined) {
      life.stale = true
      return this.#end(life, stale, limits.staleGraceMs)
    }
    const lives = (heartbeatAtMs ?? 0) >= spawnedAtMs || work.claims.some(({ atMs }) => atMs >= spawnedAtMs)
    if (lives && this.#state.state === 'starting') this.#become({ state: 'running', ...pidOf(life) })
    this.#restIfIdle(life, work)
  }

  #restIfIdle(life: Life, work: Work): void {
    const { idleMs, leftAloneMs, stopGraceMs } = this.#parts.limits
    if (work.claims.length > 0 || !this.#quiet.for(work.due ? leftAloneMs : idleMs)) return
    // An instance with work that has not begun is stuck and not idle; liveness.ts has the rules for that.
    if (work.due && this.#state.state === 'starting') return
    if (work.due) this.#quiet.passOver()
    this.#end(life, work.due ? 'it takes nothing of what is due' : 'it has nothing to do', stopGraceMs)
  }

  #end(life: Life, reason: string, graceMs: number): void {
    life.asked = reason
    this.#become({ state: 'stopping', reason, ...pidOf(life) })
    life.instance.stop(graceMs)
  }

  #after(life: Life, ended: InstanceExit, configuration: string): void {
    const { clock, limits } = this.#parts
    if (life.stale) return this.#become(this.#wait.failed(`${life.asked}; ${exitReason(ended)}`))
    if (life.asked !== undefined) return this.#rest()
    const ranMs = clock.monotonic() - life.startedMs
    const facts = { failures: this.#wait.failures, workLeft: this.#workLeft(), random: Math.random() }
    const next = decideAfterExit({ ...ended, ranMs, ...facts }, limits)
    switch (next.type) {
      case 'idle':
        return this.#rest()
      case 'pause':
        return this.#become(this.#wait.pause(next.reason, next.failures, next.delayMs))
      case 'refused':
        return this.#become(this.#wait.refuse(next.reason, configuration))
      default:
        next satisfies never
    }
  }

  #workLeft(): boolean {
    try {
      return this.#look.read().due
    } catch {
      // The next visit reports the error of the files.
      return true
    }
  }

  #rest(): void {
    this.#wait.forget()
    this.#become({ state: 'idle' })
  }

  #become(state: FolderState): void {
    if (isDeepStrictEqual(this.#state, state)) return
    this.#state = state
    this.#parts.changed(state)
  }
}

/**
 * A heartbeat means that something runs; this project's runtime also touches its status file, idle or not.
 */
function lastSignMs(folder: string): number | undefined {
  const { heartbeat, outbound } = filesIn(folder)
  const signs = [heartbeat, statusPath(outbound)].flatMap(
    (path) => lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? [],
  )
  return signs.length > 0 ? Math.max(...signs) : undefined
}

function pidOf({ instance: { pid } }: Life): { readonly pid?: number } {
  return pid === undefined ? {} : { pid }
}
