// One session folder seen from the host's side. The host is the only writer of inbound.db and only reads outbound.db;
// every call does its whole work before it returns, so there is nothing to flush and nothing that a crash could lose.
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Clock, realClock } from '../clock.ts'
import { NanoclawError } from '../protocol/errors.ts'
import { createOutbound, HostFile } from '../store/host-file.ts'
import { type Enqueued, getMessage, insertMessages } from '../store/host-inbox.ts'
import { HostOutbox } from '../store/host-outbox.ts'
import { IdSource } from './ids.ts'
import { messageRow, messageRows, type NewMessage } from './message.ts'
import { checkRepliesOptions, type HostReply, type RepliesOptions, streamReplies } from './replies.ts'
import { type MessageStatus, messageStatus } from './status.ts'
import { type SyncReport, syncAcks } from './sync.ts'

export interface HostOptions {
  /**
   * Keep inbound.db open between calls. Faster, and right when host and runtime share one kernel. Leave it off when the
   * folder is a mount between machines (VirtioFS, NFS): there the other side sees a change for certain once the file is closed.
   */
  readonly keepOpen?: boolean
  readonly clock?: Clock
}

/**
 * Opens a session folder, and makes what is missing: the folder (for its owner alone), inbound.db in the newest shape
 * (an older file gains what it lacks), outbound.db when there is none.
 * @throws NanoclawError `inbound_unusable` when inbound.db is no database, or not one that can be written.
 */
export function openHost(dir: string, { keepOpen = false, clock = realClock }: HostOptions = {}): Host {
  const folder = resolve(dir)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = new HostFile(join(folder, 'inbound.db'), keepOpen)
  createOutbound(join(folder, 'outbound.db'))
  return new Host(folder, file, new HostOutbox(join(folder, 'outbound.db')), clock)
}

export class Host {
  readonly dir: string
  readonly #file: HostFile
  readonly #outbox: HostOutbox
  readonly #clock: Clock
  readonly #ids: IdSource
  readonly #closing = new AbortController()

  constructor(dir: string, file: HostFile, outbox: HostOutbox, clock: Clock) {
    this.dir = dir
    this.#file = file
    this.#outbox = outbox
    this.#clock = clock
    this.#ids = new IdSource(clock)
  }

  /**
   * Writes one message; when this returns it is on the disk.
   * @throws NanoclawError `bad_message` when a field is not legal, `inbound_unusable` when the file cannot be written.
   */
  enqueue(message: NewMessage): Enqueued {
    const row = messageRow(message, this.#clock.now(), () => this.#ids.next())
    return insertMessages(this.#open(), [row])[0]!
  }

  /** Writes all messages in one transaction, or none of them. In the order given; one result each. */
  enqueueMany(messages: readonly NewMessage[]): Enqueued[] {
    if (messages.length === 0) return []
    return insertMessages(
      this.#open(),
      messageRows(messages, this.#clock.now(), () => this.#ids.next()),
    )
  }

  /**
   * All replies, then each new one as it is committed, until the signal aborts or the host is closed. While outbound.db
   * cannot be read (not there yet, locked, its runtime died in mid-write) it waits.
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
   * Marks in inbound.db how messages ended: completed or failed, as the runtime said. Paused, cancelled and ended messages
   * are not touched. Its cost is that of the messages still pending.
   */
  sync(): SyncReport {
    return syncAcks(this.#open(), this.#outbox)
  }

  /** Where a message stands by both files, or undefined when there is no such message. */
  status(id: string): MessageStatus | undefined {
    const stored = getMessage(this.#open(), id)
    return stored && messageStatus(stored, this.#outbox.ackOf(id))
  }

  /** Ends every stream of replies. May be called twice; any other call afterwards throws. */
  close(): void {
    this.#closing.abort()
    this.#file.close()
  }

  #open(): HostFile {
    if (this.#closing.signal.aborted)
      throw new NanoclawError('bad_usage', `the host of ${this.dir} is closed; call openHost again`)
    return this.#file
  }
}
