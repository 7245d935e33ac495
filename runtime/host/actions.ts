// Actions that a runtime requests from its host through replies of kind `system`: `content.action` names the
// action, the content holds its payload. This file has the five task actions; a host adds its own. Every
// action is idempotent.
import { NonRetryableError } from '../protocol/errors.ts'
import type { NewMessage } from './message.ts'
import type { HostReply } from './replies.ts'
import type { Enqueued } from './sqlite/inbox.ts'
import type { Tasks } from './tasks.ts'

/** The part of a host that actions use. */
export interface TaskHost {
  readonly tasks: Tasks
  enqueue(message: NewMessage): Enqueued
}

export interface ActionContext {
  readonly host: TaskHost
  readonly reply: HostReply
  readonly idempotencyKey: string
  readonly attempt: number
  readonly signal: AbortSignal
}

/** Throws when the action failed: it is retried, or given up at once for a NonRetryableError. */
export type Action = (payload: Payload, context: ActionContext) => unknown

type Payload = Readonly<Record<string, unknown>>

export const TASK_ACTIONS: Readonly<Record<string, Action>> = {
  schedule_task: scheduleTask,
  cancel_task: (payload, { host }) => host.tasks.cancel(taskId(payload)),
  pause_task: (payload, { host }) => host.tasks.pause(taskId(payload)),
  resume_task: (payload, { host }) => host.tasks.resume(taskId(payload)),
  update_task: updateTask,
}

/** @throws NonRetryableError when the host has no action of that name */
export function actionOf(reply: HostReply, actions: Readonly<Record<string, Action>>): Action {
  const name: unknown = reply.content?.action
  if (typeof name === 'string' && Object.hasOwn(actions, name)) return actions[name]!
  const known = Object.keys(actions).join(', ')
  throw new NonRetryableError(`there is no action ${JSON.stringify(name)}; this host knows ${known}`)
}

function scheduleTask(payload: Payload, { host, reply }: ActionContext): void {
  const { prompt, script = null, processAfter, recurrence } = payload
  // The oldest runners sent no address: the task then takes the address of this reply.
  const {
    platformId = reply.platformId,
    channelType = reply.channelType,
    threadId = reply.threadId,
  } = payload
  const said = given({ processAfter, recurrence, platformId, channelType, threadId })
  host.enqueue({ ...said, id: taskId(payload), kind: 'task', content: { prompt, script } })
}

function updateTask(payload: Payload, { host }: ActionContext): void {
  const id = taskId(payload)
  const task = host.tasks.list().find((each) => each.seriesId === id || each.id === id)
  if (!task) throw new NonRetryableError(`there is no task ${JSON.stringify(id)} that still has to run`)
  const { prompt, script, processAfter, recurrence } = payload
  const changed = given({ prompt, script })
  const content = Object.keys(changed).length > 0 ? { ...objectIn(task.rawContent), ...changed } : undefined
  host.tasks.update(id, given({ content, processAfter, recurrence }))
}

function taskId({ taskId: id }: Payload): string {
  if (typeof id !== 'string') throw new NonRetryableError(`taskId is ${JSON.stringify(id)}; expected text`)
  return id
}

/** Drops undefined fields and keeps null, which clears a field. The host checks every value. */
function given(values: Payload): Record<string, never> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Record<
    string,
    never
  >
}

function objectIn(text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}
