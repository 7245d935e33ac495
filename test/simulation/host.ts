// The host: the one who writes inbound.db, a real file here, and now and then deletes claims from
// outbound.db. It does what hosts do, at any time; each change is one commit.
import { renameSync } from 'node:fs'
import type { Database, Statement } from 'better-sqlite3'
import { replyId } from '../../runtime/protocol/reply-id.ts'
import type { Disk } from './disk.ts'
import type { Event, NewMessage, RowChange } from './events.ts'
import type { FolderFiles } from './files.ts'
import { ADDRESSES, isOver, type KnownWait, messageOf, type Told, timeOf } from './messages.ts'
import { optionOf } from './wait-books.ts'

/** No address, among those of messages. */
const NOWHERE = 3

type Change = Extract<Event, { readonly do: RowChange }>

export class Host {
  /** In the order in which they came. */
  readonly messages = new Map<string, Told>()
  readonly #files: FolderFiles
  readonly #disk: Disk
  readonly #nowMs: () => number
  readonly #isLoose: boolean
  readonly #sql: Readonly<Record<keyof typeof SQL, Statement>>
  #seqMax = 0
  /** Numbers begin above it. */
  #seqBelow = 0
  #away = false

  constructor(files: FolderFiles, disk: Disk, nowMs: () => number) {
    this.#files = files
    this.#disk = disk
    this.#nowMs = nowMs
    this.#sql = prepare(files.inbound)
    this.#isLoose = files.isLoose
  }

  /** Returns what was new. */
  insert({ messages }: Extract<Event, { do: 'insert' }>): readonly Told[] {
    return this.#insertAll(messages, (from) => messageOf(from, this.#nowMs()))
  }

  /** Answers one of these questions; returns the answers. */
  answer(
    { plan, pick, how }: Extract<Event, { do: 'answer' }>,
    asked: readonly KnownWait[],
  ): readonly Told[] {
    const some = asked.filter(({ state }) => (state === 'open') === (how !== 'over'))
    const question = some[pick % Math.max(some.length, 1)]
    if (!question) return []
    const { questionId } = question
    const says = how === 'unknown' ? ['none of these'] : [0, 1].map((n) => optionOf(question, pick + n))
    return this.#insertAll(says.slice(0, how === 'twice' ? 2 : 1), (selectedOption, n) => {
      const row = { kind: 'system', address: NOWHERE, due: 'now', odd: 'context', plan: plan + n } as const
      return messageOf(row, this.#nowMs(), { type: 'question_response', questionId, selectedOption })
    })
  }

  /** Writes in a conversation in which one of these questions is open; returns what. */
  say(
    { plan, pick, times, due }: Extract<Event, { do: 'say' }>,
    asked: readonly KnownWait[],
  ): readonly Told[] {
    const places = asked.flatMap(({ state, address }) => (state === 'open' ? (address ?? []) : []))
    const place = places[pick % Math.max(places.length, 1)]
    const address = ADDRESSES.findIndex((name) => name !== null && place?.includes(`"${name}"`))
    return this.#insertAll(Array.from({ length: times }), (_, n) => {
      const row = { kind: 'chat', address: address < 0 ? pick % NOWHERE : address, odd: 'no' } as const
      return messageOf({ ...row, plan: plan + n, due }, this.#nowMs())
    })
  }

  #insertAll<T>(all: readonly T[], messageOf: (each: T, n: number) => Told): readonly Told[] {
    return this.#files.inbound.transaction(() =>
      all.flatMap((each, n) => {
        const message = messageOf(each, n)
        if (this.messages.has(message.id)) return []
        this.messages.set(message.id, message)
        this.#put(message)
        return message
      }),
    )()
  }

  /** Another file: its rows begin a little below the numbers that the one before ended with. Returns them. */
  replace({ messages }: { readonly messages: readonly NewMessage[] }): readonly Told[] {
    return this.#files.inbound.transaction(() => {
      for (const message of this.messages.values()) if (message.status !== 'deleted') this.#delete(message)
      this.#seqMax = Math.max(0, this.#seqMax - 2 * Math.ceil(messages.length / 2))
      this.#seqBelow = this.#seqMax
      return this.insert({ do: 'insert', messages, hint: 'lost' })
    })()
  }

  /** Changes one row; returns which. */
  change({ do: what, pick }: Change): Told | undefined {
    const message = this.#candidate(what, pick)
    if (!message) return undefined
    message.strict = false
    switch (what) {
      case 'earlier':
      case 'later': {
        const { id, plan } = message
        Object.assign(message, timeOf(what === 'later' ? 'soon' : 'past', plan, this.#nowMs()))
        this.#sql.setTime.run(message.processAfter, id)
        break
      }
      case 'spoil':
        Object.assign(message, timeOf('unreadable', message.plan, this.#nowMs()))
        this.#sql.setTime.run(message.processAfter, message.id)
        break
      case 'pause':
        this.#setStatus(message, 'paused')
        break
      case 'resume':
        this.#setStatus(message, 'pending')
        break
      case 'cancel':
        this.#setStatus(message, 'completed')
        break
      case 'delete':
        this.#delete(message)
        break
      case 'again':
        if (message.status !== 'deleted') this.#sql.delete.run(message.id)
        message.renumbered = true
        this.#put(message)
        break
      default:
        return what satisfies never
    }
    return message
  }

  /** Records what has ended, and delivers its replies. */
  sync({ prune }: Extract<Event, { do: 'sync' }>): void {
    this.#files.inbound.transaction(() => {
      const inFile = [...this.messages.values()].filter(({ status }) => status !== 'deleted')
      for (const message of inFile)
        if (isOver(message) && message.status !== 'completed') this.#setStatus(message, 'completed')
      for (const message of inFile) if (isOver(message)) this.#deliver(message)
      const done = inFile.filter(({ status }) => status === 'completed')
      if (prune) for (const message of done.slice(0, -5)) this.#delete(message)
    })()
  }

  /** Deletes claims; returns of which messages. */
  unclaim({ pick, all, backOff }: Extract<Event, { do: 'unclaim' }>): readonly Told[] {
    const claimed = [...this.messages.values()].filter(({ ack }) => ack === 'processing')
    const taken = all ? claimed : claimed.slice(pick % Math.max(claimed.length, 1)).slice(0, 1)
    for (const message of taken) {
      message.strict = false
      message.ack = 'none'
      if (backOff) {
        Object.assign(message, timeOf('soon', message.plan, this.#nowMs()))
        this.#sql.setTime.run(message.processAfter, message.id)
      }
      this.#disk.unclaim(message.id)
    }
    return taken
  }

  /** Takes the file away, or puts it back. */
  away(away: boolean): void {
    if (away === this.#away) return
    this.#away = away
    const path = this.#files.inbound.name
    if (away) renameSync(path, `${path}.away`)
    else renameSync(`${path}.away`, path)
  }

  #candidate(what: Change['do'], pick: number): Told | undefined {
    const fits = CANDIDATES[what]
    const candidates = [...this.messages.values()].filter(fits)
    return candidates[pick % Math.max(candidates.length, 1)]
  }

  #put(message: Told): void {
    if (message.seq !== null) {
      const last = Math.max(this.#sql.maxSeq.pluck().get() as number, this.#seqBelow)
      const before = message.seq
      message.seq = this.#isLoose && last > this.#seqBelow && message.plan % 3 > 0 ? last : last + 2
      // A file that has the row of the checkpoint at its number is taken for the one that was read.
      if (message.seq === before) message.seq += 2
      if (message.seq <= this.#seqMax) message.strict = false
      this.#seqMax = Math.max(this.#seqMax, message.seq)
    }
    message.status = 'pending'
    message.forgotten = false
    const { id, seq, kind, processAfter, address, content, onWake, context } = message
    const flags = [onWake, !context].map(Number)
    this.#sql.insert.run(id, seq, kind, processAfter, address && 'chat', address, content, ...flags)
  }

  #deliver(message: Told): void {
    for (let n = message.delivered; n < message.replies.length; n++)
      this.#sql.deliver.run(replyId(message.id, n))
    message.delivered = message.replies.length
  }

  #setStatus(message: Told, status: 'pending' | 'paused' | 'completed'): void {
    message.status = status
    this.#sql.setStatus.run(status, message.id)
  }

  #delete(message: Told): void {
    message.status = 'deleted'
    this.#sql.delete.run(message.id)
  }
}

const CANDIDATES: Readonly<Record<Change['do'], (message: Told) => boolean>> = {
  earlier: ({ status }) => status === 'pending',
  later: ({ status }) => status === 'pending',
  // What has no function is not read again before there is one.
  spoil: ({ status, kind }) => status === 'pending' && kind !== 'late' && kind !== 'nobody',
  pause: ({ status }) => status === 'pending',
  resume: ({ status }) => status === 'paused',
  cancel: ({ status }) => status === 'pending' || status === 'paused',
  delete: ({ status }) => status !== 'deleted',
  again: ({ status, ack }) => status === 'deleted' || ack === 'completed' || ack === 'failed',
}

const SQL = {
  maxSeq: 'select coalesce(max(seq), 0) from messages_in',
  insert: `insert into messages_in (id, seq, kind, timestamp, process_after, channel_type, platform_id, content, on_wake, trigger)
    values (?, ?, ?, '2026-11-24 12:00:00', ?, ?, ?, ?, ?, ?)`,
  setTime: 'update messages_in set process_after = ? where id = ?',
  setStatus: 'update messages_in set status = ? where id = ?',
  delete: 'delete from messages_in where id = ?',
  deliver: "insert or ignore into delivered (message_out_id, delivered_at) values (?, '2026-11-24 12:00:00')",
}

function prepare(db: Database): Readonly<Record<keyof typeof SQL, Statement>> {
  const entries = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)])
  return Object.fromEntries(entries)
}
