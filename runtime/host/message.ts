// The fields that a caller may set on a message, and their conversion to a row. All checks happen here,
// before any file is touched.
import type { Duration } from '../protocol/duration.ts'
import { NanoclawError } from '../protocol/errors.ts'
import type { Attachment } from './attachments.ts'
import {
  contentField,
  type FieldContext,
  flagField,
  idField,
  invalidField,
  optionalTextField,
  processAfterField,
  recurrenceField,
  textField,
  timestampField,
  unknownField,
} from './fields.ts'
import type { Recurrence } from './recurrence.ts'
import type { NewMessageRow } from './sqlite/inbox.ts'

export interface NewMessage {
  /** Default: a new id. Enqueueing an id a second time changes nothing and returns `duplicate: true`. */
  readonly id?: string
  /** The kind of the message, usually the name of the function that takes it. */
  readonly kind: string
  /**
   * A JSON value (protocol/json.ts). A string becomes `{ text }`, as in a handler's replies; other values are
   * stored unchanged.
   */
  readonly content: unknown
  /** The reply address; messages with the same address run in order. */
  readonly platformId?: string | null
  readonly channelType?: string | null
  readonly threadId?: string | null
  /**
   * Not before this: a Date, ISO 8601 text (without a zone it is UTC), or a length of time from now. Default:
   * at once, or the first occurrence of a recurrence.
   */
  readonly processAfter?: Date | Duration | string | null
  /**
   * Repeat: a cron expression in the time zone of this host, which the task keeps, or with a zone of its own.
   * sync() makes the next occurrence.
   */
  readonly recurrence?: string | Recurrence | null
  /** False: context for an agent; it starts no run by itself. Default true. */
  readonly trigger?: boolean
  /** Only a newly started runtime takes it. Default false. */
  readonly onWake?: boolean
  /** The task that this message belongs to. Default: its own id. */
  readonly seriesId?: string
  /** The session that receives the answer. */
  readonly sourceSessionId?: string | null
  /**
   * Files, written to `inbox/<id>/` and named in the content under `attachments`. Only for enqueue, one
   * message at a time.
   */
  readonly attachments?: readonly Attachment[]
  /** Creation time of the message. Default: now. */
  readonly timestamp?: Date | string
}

const FIELDS: ReadonlySet<string> = new Set<keyof NewMessage>([
  'id',
  'kind',
  'content',
  'platformId',
  'channelType',
  'threadId',
  'processAfter',
  'recurrence',
  'trigger',
  'onWake',
  'seriesId',
  'sourceSessionId',
  'attachments',
  'timestamp',
])

/**
 * Converts lazily, one row at a time, so that a hundred thousand rows need not exist at once.
 * @throws NanoclawError `bad_message`, naming the place in the list.
 */
export function* messageRows(
  messages: readonly NewMessage[],
  intake: FieldContext,
): Generator<NewMessageRow, void, undefined> {
  for (const [index, message] of messages.entries()) {
    try {
      const row = newMessageRow(message, intake)
      if (message.attachments !== undefined)
        throw invalidField('attachments', message.attachments, 'none in a list of messages; use enqueue')
      yield row
    } catch (error) {
      if (!(error instanceof NanoclawError)) throw error
      throw new NanoclawError('bad_message', `messages[${index}]: ${error.message}`, { cause: error.cause })
    }
  }
}

/** @throws NanoclawError `bad_message` */
export function newMessageRow(message: NewMessage, intake: FieldContext): NewMessageRow {
  if (typeof message !== 'object' || message === null || Array.isArray(message))
    throw invalidField(
      'the message',
      message,
      "an object such as { kind: 'chat', content: { text: 'hello' } }",
    )
  for (const name in message) if (!FIELDS.has(name)) throw unknownField(name, FIELDS)

  if (message.attachments !== undefined && !Array.isArray(message.attachments))
    throw invalidField('attachments', message.attachments, 'a list of files')

  const id = message.id === undefined ? intake.newId() : idField('id', message.id)
  const recurrence = recurrenceField(message.recurrence, intake.nowMs, intake.timeZone)
  return {
    id,
    kind: textField('kind', message.kind),
    timestamp: timestampField(message.timestamp, intake.now),
    processAfter: processAfterField(message.processAfter, intake.nowMs) ?? recurrence?.firstAt ?? null,
    recurrence: recurrence?.text ?? null,
    timeZone: recurrence?.timeZone,
    seriesId: message.seriesId === undefined ? id : idField('seriesId', message.seriesId),
    trigger: flagField('trigger', message.trigger, true),
    platformId: optionalTextField('platformId', message.platformId),
    channelType: optionalTextField('channelType', message.channelType),
    threadId: optionalTextField('threadId', message.threadId),
    content: contentField(message.content),
    sourceSessionId: optionalTextField('sourceSessionId', message.sourceSessionId),
    onWake: flagField('onWake', message.onWake, false),
  }
}
