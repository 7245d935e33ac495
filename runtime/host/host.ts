// One session folder seen from the host's side. The host is the only writer of inbound.db and only reads
// outbound.db; every call is complete when it returns, so nothing has to be flushed and a crash loses
// nothing.
import type { Clock } from '../protocol/clock.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { redriveId } from '../protocol/redrive.ts'
import { isoTime } from '../protocol/time.ts'
import { type Adapter, type DeliverOptions, relayParts } from './adapter.ts'
import { Addresses } from './addresses.ts'
import { type AnswerOptions, answerMessage } from './answer.ts'
import { attach } from './attachments.ts'
import { Delivery } from './deliver.ts'
import type { FieldContext } from './fields.ts'
import { IdSource } from './ids.ts'
import { messageRows, type NewMessage, newMessageRow } from './message.ts'
import { instantBefore, type PruneOptions, type PruneReport, prune } from './prune.ts'
import { queuedReplyOf } from './relay.ts'
import { checkRepliesOptions, type HostReply, type RepliesOptions, streamReplies } from './replies.ts'
import { type DeadLetter, listDeadLetters, redeliver } from './sqlite/delivery.ts'
import type { HostFile } from './sqlite/file.ts'
import { type Enqueued, getMessage, insertMessages } from './sqlite/inbox.ts'
import type { HostOutbox } from './sqlite/outbox.ts'
import { insertRedrive } from './sqlite/upkeep.ts'
import { openWaits } from './sqlite/work.ts'
import { type MessageStatus, messageStatus } from './status.ts'
import { type SyncReport, sync } from './sync.ts'
import { Tasks } from './tasks.ts'

export class Host {
  readonly dir: string
  readonly tasks: Tasks
  readonly addresses = new Addresses(() => this.#open())
  readonly #file: HostFile
  readonly #outbox: HostOutbox
  readonly #clock: Clock
  readonly #timeZone: string
  readonly #ids: IdSource
  readonly #closing = new AbortController()
  #delivery: Delivery | undefined

  constructor(dir: string, file: HostFile, outbox: HostOutbox, clock: Clock, timeZone: string) {
    this.dir = dir
    this.#file = file
    this.#outbox = outbox
    this.#clock = clock
    this.#timeZone = timeZone
    this.#ids = new IdSource(clock)
    this.tasks = new Tasks(
      () => this.#open(),
      outbox,
      () => this.#intake(),
    )
  }

  /**
   * Writes one message with its files; when this returns it is on the disk.
   * @throws NanoclawError `bad_message` when a field is not legal, `inbound_unusable` when the file cannot be
   *   written.
   */
  enqueue(message: NewMessage): Enqueued {
    const file = this.#open()
    const row = newMessageRow(message, this.#intake())
    const files = message.attachments ?? []
    const isNew = files.length > 0 && getMessage(file, row.id) === undefined
    return insertMessages(file, [isNew ? attach(this.dir, row, files) : row])[0]!
  }

  /** Writes all messages in one transaction, or none of them. In the order given; one result each. */
  enqueueMany(messages: readonly NewMessage[]): Enqueued[] {
    if (messages.length === 0) return []
    return insertMessages(this.#open(), messageRows(messages, this.#intake()))
  }

  /**
   * All replies, then each new one as it is committed, until the signal aborts or the host is closed. While
   * outbound.db cannot be read (not there yet, locked, its runtime died in mid-write) it waits.
   * @throws NanoclawError `outbound_unusable` when the file is damaged.
   */
  replies(options: RepliesOptions = {}): AsyncIterableIterator<HostReply> {
    this.#open()
    checkRepliesOptions(options)
    const closing = this.#closing.signal
    const signal = options.signal ? AbortSignal.any([options.signal, closing]) : closing
    return streamReplies(this.#outbox, this.#clock, options, signal)
  }

  /**
   * Copies the runtime's acks into inbound.db: completed or failed. Leaves paused, cancelled and ended
   * messages unchanged. Then inserts the next occurrence of each recurring message that has ended. The cost
   * depends on the number of pending messages only.
   */
  sync(): SyncReport {
    return sync(this.#open(), this.#outbox, this.#intake())
  }

  /**
   * The state of a message by both files; undefined for an unknown id.
   * @throws NanoclawError `not_readable_yet` when the state depends on outbound.db and that cannot be read
   */
  status(id: string): MessageStatus | undefined {
    const stored = getMessage(this.#open(), id)
    if (stored?.status !== 'pending') return stored && messageStatus(stored, undefined)
    const [ack] = this.#outbox.patiently(() => this.#outbox.acks([id])).orThrow('status')
    return messageStatus(stored, ack, ack ? [] : openWaits(this.#outbox, id).orThrow('status'))
  }

  /**
   * Runs an ended message once more, as a new message whose id is the old one plus a unique suffix. A counter
   * as suffix would repeat after a prune, and the runtime may still have an ack for that id.
   * @throws NanoclawError `bad_usage` when the message does not exist or has not ended.
   */
  redrive(id: string): Enqueued {
    const state = this.status(id)?.state
    if (state !== 'completed' && state !== 'failed')
      throw new NanoclawError(
        'bad_usage',
        `redrive: message ${JSON.stringify(id)} ${state ? `is ${state}` : 'is not there'}; expected one that has ended`,
      )
    const { now, newId } = this.#intake()
    return insertRedrive(this.#open(), id, redriveId(id, newId().slice('msg-'.length)), now)!
  }

  /**
   * Answers a question that a runtime asked (a reply with content.type `ask_question`), by its
   * content.questionId. The second answer changes nothing.
   * @throws NanoclawError `bad_usage`, `not_readable_yet`
   */
  answer(questionId: string, option: string, options: AnswerOptions = {}): Enqueued {
    this.#open()
    return this.enqueue(answerMessage(this.#outbox, questionId, option, options))
  }

  /**
   * Deletes messages that ended long ago, and their files; keeps what is still needed (see prune.ts). SQLite
   * reuses the space; the file does not shrink. The runtime may still have an ack for a deleted id and then
   * does not run that id again.
   * @throws NanoclawError `bad_usage`
   */
  prune({ olderThan }: PruneOptions): PruneReport {
    const file = this.#open()
    const beforeMs = instantBefore(olderThan, this.#clock.now())
    return this.#outbox.patiently(() => prune(file, this.#outbox, this.dir, beforeMs))
  }

  /**
   * Passes every reply to the adapter when it is due: in order per destination, until it is sent or given up.
   * Executes the actions of replies of kind `system`. One host delivers a folder at a time. Stop it before
   * close().
   * @throws NanoclawError `bad_usage`
   */
  deliver(adapter: Adapter, options: DeliverOptions = {}): Delivery {
    const file = this.#open()
    if (this.#delivery?.running)
      throw new NanoclawError(
        'bad_usage',
        `deliver: this host delivers ${this.dir} already; stop() that first`,
      )
    const post = { dir: this.dir, host: this, file, outbox: this.#outbox, clock: this.#clock }
    this.#delivery = new Delivery(relayParts(post, adapter, options))
    return this.#delivery
  }

  /** Replies whose delivery was given up. */
  deadLetters(): DeadLetter[] {
    return listDeadLetters(this.#open())
  }

  /**
   * Delivers a reply again that was given up, with all its attempts. False: it was not given up.
   * @throws NanoclawError `bad_usage` when outbound.db does not have the reply, `not_readable_yet`
   */
  redeliver(replyId: string): boolean {
    const file = this.#open()
    const found = this.#outbox.patiently(() => this.#outbox.replyById(replyId)).orThrow('redeliver')
    if (!found)
      throw new NanoclawError('bad_usage', `redeliver: there is no reply ${JSON.stringify(replyId)}`)
    return redeliver(file, { ...queuedReplyOf(found), dueAtMs: this.#clock.now() })
  }

  /**
   * Ends every stream of replies and every delivery. May be called twice; any other call afterwards throws.
   */
  close(): void {
    this.#closing.abort()
    this.#delivery?.stop()
    this.#file.close()
  }

  #intake(): FieldContext {
    const nowMs = this.#clock.now()
    return { nowMs, now: isoTime(nowMs), timeZone: this.#timeZone, newId: () => this.#ids.next() }
  }

  #open(): HostFile {
    if (this.#closing.signal.aborted)
      throw new NanoclawError('bad_usage', `the host of ${this.dir} is closed; call openHost again`)
    return this.#file
  }
}
