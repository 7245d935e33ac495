// Tasks: scheduled or recurring messages. A task's id is that of its series: the id of its first message. All
// calls change inbound.db alone; a run that has begun is not stopped.
import type { Duration } from '../protocol/duration.ts'
import { sqliteTime } from '../protocol/time.ts'
import {
  contentField,
  type FieldContext,
  processAfterField,
  recurrenceField,
  unknownField,
} from './fields.ts'
import { parseRecurrence, type Recurrence, STOPPED } from './recurrence.ts'
import type { HostFile } from './sqlite/file.ts'
import { type AckRow, type HostOutbox, Read } from './sqlite/outbox.ts'
import {
  cancelSeries,
  listTasks,
  liveIds,
  pauseSeries,
  resumeSeries,
  type TaskChange,
  type TaskRow,
  updateSeries,
} from './sqlite/tasks.ts'
import { sync } from './sync.ts'

export interface Task {
  readonly seriesId: string
  /** The message that runs next. */
  readonly id: string
  readonly kind: string
  /**
   * `stopped`: the expression has no next occurrence; update() repairs it. `ended`: sync() makes the next
   * one.
   */
  readonly state: 'pending' | 'paused' | 'ended' | 'stopped'
  readonly processAfter: string | null
  readonly recurrence: Recurrence | null
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
  /** Text as stored. */
  readonly rawContent: string
}

/** A missing field stays unchanged; null clears it. */
export interface TaskUpdate {
  readonly content?: unknown
  /** Default when the recurrence changes: its next occurrence. */
  readonly processAfter?: Date | Duration | string | null
  readonly recurrence?: string | Recurrence | null
}

const UPDATE_FIELDS: ReadonlySet<string> = new Set<keyof TaskUpdate>([
  'content',
  'processAfter',
  'recurrence',
])

/**
 * Each call returns how many messages it changed; 0: no such task, or not in a state to which the call
 * applies.
 */
export class Tasks {
  readonly #file: () => HostFile
  readonly #outbox: HostOutbox
  readonly #intake: () => FieldContext

  constructor(file: () => HostFile, outbox: HostOutbox, intake: () => FieldContext) {
    this.#file = file
    this.#outbox = outbox
    this.#intake = intake
  }

  list(): Task[] {
    return listTasks(this.#file()).map(task)
  }

  /** Pauses a task until resume(). A run that has begun continues to its end, and the pause stays. */
  pause(seriesId: string): number {
    return pauseSeries(this.#file(), seriesId)
  }

  /** The task is queued after everything that waits now. */
  resume(seriesId: string): number {
    return resumeSeries(this.#file(), seriesId)
  }

  /** Ends the task: no further run, and the series ends. */
  cancel(seriesId: string): number {
    return cancelSeries(this.#file(), seriesId)
  }

  /**
   * Changes the next occurrence and queues it after everything that waits now. An occurrence that has begun
   * keeps its time.
   * @throws NanoclawError `bad_message`, `not_readable_yet` when outbound.db cannot be read to see what has
   *   begun; nothing is changed then
   */
  update(seriesId: string, update: TaskUpdate): number {
    for (const name in update) if (!UPDATE_FIELDS.has(name)) throw unknownField(name, UPDATE_FIELDS)
    const file = this.#file()
    const intake = this.#intake()
    const change = taskChange(update, intake)
    // Inserts the successors of ended occurrences first, so that there is one live message to change.
    const acks = this.#outbox.patiently(() => {
      const { readable, reason } = sync(file, this.#outbox, intake)
      // Without this, an ended occurrence whose ack is not copied yet would be changed instead of its
      // successor.
      if (!readable) return Read.unreadable<AckRow[]>(reason ?? '')
      return this.#outbox.acks(liveIds(file, seriesId))
    })
    const begun = new Set(acks.orThrow('tasks.update').map(({ id }) => id))
    return updateSeries(file, seriesId, change, begun, sqliteTime(intake.nowMs))
  }
}

function taskChange(
  { content, processAfter, recurrence }: TaskUpdate,
  { nowMs, timeZone }: FieldContext,
): TaskChange {
  const repeat = recurrenceField(recurrence, nowMs, timeZone)
  const at = processAfter === null ? null : (processAfterField(processAfter, nowMs) ?? repeat?.firstAt)
  return {
    ...(content !== undefined && { content: contentField(content) }),
    ...(recurrence !== undefined && { recurrence: repeat?.text ?? null, timeZone: repeat?.timeZone ?? null }),
    ...(at !== undefined && { processAfter: at }),
  }
}

function task({ content, status, recurrence, timeZone, ...row }: TaskRow): Task {
  const stopped = recurrence?.startsWith(STOPPED) ?? false
  const live = status === 'pending' || status === 'paused' ? status : 'ended'
  const text = stopped ? recurrence!.slice(STOPPED.length) : recurrence
  return {
    ...row,
    state: stopped ? 'stopped' : live,
    recurrence: text === null ? null : { ...(timeZone !== null && { timeZone }), ...parseRecurrence(text) },
    rawContent: content,
  }
}
