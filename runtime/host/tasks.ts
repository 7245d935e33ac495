// Tasks: messages that wait for their time or come again. A task is called by its series, the id that its first message
// had. Everything here changes inbound.db alone; what a runtime has already begun is not stopped.
import type { Clock } from '../clock.ts'
import type { Duration } from '../protocol/duration.ts'
import type { HostFile } from '../store/host-file.ts'
import { cancelSeries, listTasks, pauseSeries, resumeSeries, type TaskRow, updateSeries } from '../store/host-series.ts'
import { contentField, processAfterField, recurrenceField, unknownField } from './fields.ts'
import { parseRecurrence, type Recurrence, STOPPED } from './recurrence.ts'

export interface Task {
  readonly seriesId: string
  /** The message that runs next. */
  readonly id: string
  readonly kind: string
  /** `stopped`: no next occurrence can be made, because of the expression; update() mends it. `ended`: sync() makes the next one. */
  readonly state: 'pending' | 'paused' | 'ended' | 'stopped'
  readonly processAfter: string | null
  readonly recurrence: Recurrence | null
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
  /** Text as it stands in the file. */
  readonly rawContent: string
}

/** What is left out stays as it is; null clears. */
export interface TaskUpdate {
  readonly content?: unknown
  /** Default when the recurrence changes: its next occurrence. */
  readonly processAfter?: Date | Duration | string | null
  readonly recurrence?: string | Recurrence | null
}

const UPDATE_FIELDS: ReadonlySet<string> = new Set<keyof TaskUpdate>(['content', 'processAfter', 'recurrence'])

/** Each call returns how many messages it changed; 0 means that there is no such task in a state where it would apply. */
export class Tasks {
  readonly #file: () => HostFile
  readonly #clock: Clock
  readonly #timeZone: string

  constructor(file: () => HostFile, clock: Clock, timeZone: string) {
    this.#file = file
    this.#clock = clock
    this.#timeZone = timeZone
  }

  list(): Task[] {
    return listTasks(this.#file()).map(task)
  }

  /** Holds a task back until resume(). A run that has begun goes to its end, and the pause is kept. */
  pause(seriesId: string): number {
    return pauseSeries(this.#file(), seriesId)
  }

  /** The task takes its place behind everything that is waiting now. */
  resume(seriesId: string): number {
    return resumeSeries(this.#file(), seriesId)
  }

  /** No further run, and the series is over. */
  cancel(seriesId: string): number {
    return cancelSeries(this.#file(), seriesId)
  }

  /** @throws NanoclawError `bad_message` */
  update(seriesId: string, update: TaskUpdate): number {
    for (const name in update) if (!UPDATE_FIELDS.has(name)) throw unknownField(name, UPDATE_FIELDS)
    const nowMs = this.#clock.now()
    const recurrence = recurrenceField(update.recurrence, nowMs, this.#timeZone)
    const at = processAfterField(update.processAfter, nowMs) ?? recurrence?.firstAt
    return updateSeries(this.#file(), seriesId, {
      ...(update.content !== undefined && { content: contentField(update.content) }),
      ...(update.recurrence !== undefined && { recurrence: recurrence?.text ?? null }),
      ...(at !== undefined ? { processAfter: at } : update.processAfter === null && { processAfter: null }),
    })
  }
}

function task({ content, status, recurrence, ...row }: TaskRow): Task {
  const stopped = recurrence?.startsWith(STOPPED) ?? false
  const live = status === 'pending' || status === 'paused' ? status : 'ended'
  const text = stopped ? recurrence!.slice(STOPPED.length) : recurrence
  return {
    ...row,
    state: stopped ? 'stopped' : live,
    recurrence: text === null ? null : parseRecurrence(text),
    rawContent: content,
  }
}
