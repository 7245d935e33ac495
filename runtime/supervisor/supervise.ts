// Supervision of many session folders: starts a runtime where work is due and stops it where no work is left,
// up to a limit. All state is in the object that supervise() returns; two of them may exist in one process.
import { realpathSync, statSync } from 'node:fs'
import { Rounds } from '../host/rounds.ts'
import { type Clock, realClock } from '../protocol/clock.ts'
import { errorText, NanoclawError } from '../protocol/errors.ts'
import type { Command } from './containers.ts'
import { SupervisedFolder } from './folder.ts'
import { LIMITS, type Limits } from './liveness.ts'
import { Places } from './places.ts'
import type { Prepare } from './prepare.ts'
import { Presence } from './presence.ts'
import type { FolderState, SupervisorEvent } from './state.ts'

export interface SuperviseOptions {
  readonly command: Command
  /** Called before each start: environment and mounts to add. An error from it prevents the start. */
  readonly prepare?: Prepare
  /** Instances at the same time, stopping ones included. Default 16: an idle one costs some 70 MB. */
  readonly instancesMax?: number
  /**
   * Files and folders of the runtime's configuration. A folder whose runtime has ended with 78 is started
   * again once one of them has changed; without any, only after retry().
   */
  readonly configuration?: readonly string[]
  readonly limits?: Partial<Limits>
  /** Pause between two rounds over all folders, milliseconds. Default 1,000. nudge() does not wait for it. */
  readonly pauseMs?: number
  readonly onEvent?: (event: SupervisorEvent) => void
  readonly clock?: Clock
}

/**
 * How long a round may block the event loop at a time: below what people notice, above the cost of one visit.
 */
const SLICE_MS = 5

/** @throws NanoclawError `bad_usage`, naming the option */
export function supervise(options: SuperviseOptions): Supervisor {
  return new Supervisor(options)
}

export class Supervisor {
  readonly #options: SuperviseOptions
  readonly #clock: Clock
  readonly #rounds: Rounds
  readonly #places: Places
  readonly #limits: Limits
  readonly #presence: Presence
  readonly #folders = new Map<string, SupervisedFolder>()
  readonly #troubled = new Set<string>()

  constructor(options: SuperviseOptions) {
    this.#options = options
    this.#clock = options.clock ?? realClock
    this.#limits = { ...LIMITS, ...options.limits }
    this.#places = new Places({
      max: atLeastOne('instancesMax', options.instancesMax ?? 16),
      call: (folder) => this.#rounds.soon(folder),
      isEnding: (folder) => this.#folders.get(folder)?.state.state === 'stopping',
      spare: (folder) => this.#folders.get(folder)?.spare() ?? false,
    })
    this.#rounds = new Rounds({
      clock: this.#clock,
      pauseMs: atLeastOne('pauseMs', options.pauseMs ?? 1_000),
      sliceMs: SLICE_MS,
      visit: (folder) => this.#visit(folder),
      failed: (folder, error) => this.#failed(folder, error),
    })
    this.#presence = new Presence(this.#clock, this.#limits.awayMs)
  }

  /**
   * Supervises this session folder from now on. Adding it twice, also by another path to it, changes nothing.
   * @throws NanoclawError `bad_usage` when the folder does not exist
   */
  add(folder: string): void {
    const path = existing(folder)
    if (path === undefined || !statSync(path).isDirectory())
      throw new NanoclawError('bad_usage', `supervise: ${folder} is not a directory; openHost creates one`)
    if (this.#folders.has(path)) return
    this.#folders.set(path, this.#supervised(path))
    this.#rounds.add(path)
  }

  /** Stops the folder's instance, waits for its end, and no longer supervises the folder. */
  async remove(folder: string): Promise<void> {
    const path = this.#pathOf(folder)
    await this.#folders.get(path)?.stop()
    this.#places.leave(path)
    this.#rounds.remove(path)
    this.#folders.delete(path)
    this.#troubled.delete(path)
  }

  /**
   * Visits this folder at once: call it after enqueue, so that the message does not wait for the next round.
   */
  nudge(folder: string): void {
    this.#rounds.soon(this.#pathOf(folder))
  }

  /** Retries a folder that is refused or backs off; without an argument, all of them. */
  retry(folder?: string): void {
    const paths = folder === undefined ? [...this.#folders.keys()] : [this.#pathOf(folder)]
    for (const path of paths) this.#folders.get(path)?.retry()
  }

  /** Undefined: not supervised. */
  state(folder: string): FolderState | undefined {
    return this.#folders.get(this.#pathOf(folder))?.state
  }

  /** By the real paths of the folders. */
  states(): ReadonlyMap<string, FolderState> {
    return new Map([...this.#folders].map(([path, { state }]) => [path, state]))
  }

  /** Stops every instance, with SIGTERM and then SIGKILL, and waits for their ends. May be called twice. */
  async stop(): Promise<void> {
    this.#rounds.stop()
    this.#presence.stop()
    await Promise.all([...this.#folders.values()].map((supervised) => supervised.stop()))
  }

  #supervised(folder: string): SupervisedFolder {
    const { command, prepare = () => ({}), onEvent } = this.#options
    return new SupervisedFolder({
      folder,
      clock: this.#clock,
      limits: this.#limits,
      presence: this.#presence,
      command,
      prepare,
      changed: (state) => onEvent?.({ type: 'state', folder, ...state }),
      takePlace: () => this.#places.take(folder),
      leavePlace: () => this.#places.leave(folder),
      configuration: () => this.#configuration(),
      visitSoon: () => this.#rounds.soon(folder),
    })
  }

  #visit(folder: string): void {
    this.#folders.get(folder)?.visit()
    this.#troubled.delete(folder)
  }

  #failed(folder: string, error: unknown): void {
    if (this.#troubled.has(folder)) return
    this.#troubled.add(folder)
    this.#options.onEvent?.({ type: 'trouble', folder, error: errorText(error) })
  }

  #configuration(): string {
    const stats = (this.#options.configuration ?? []).map((path) => statSync(path, { throwIfNoEntry: false }))
    return stats.map((found) => (found ? `${found.ino},${found.size},${found.mtimeMs}` : '-')).join(';')
  }

  /** Folders are keyed by their real paths; a removed folder by its former one. */
  #pathOf(folder: string): string {
    return this.#folders.has(folder) ? folder : (existing(folder) ?? folder)
  }
}

function existing(folder: string): string | undefined {
  try {
    return realpathSync(folder)
  } catch {
    return undefined
  }
}

function atLeastOne(option: string, value: number): number {
  if (Number.isFinite(value) && value >= 1) return value
  throw new NanoclawError('bad_usage', `supervise: ${option} is ${value}; expected a number, 1 or more`)
}
