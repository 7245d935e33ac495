// What outbound.db keeps of messages that have ended, and how it is forgotten. Whether the host has recorded it all is not
// known here; whoever asks to forget has looked (store/retention.ts).
import { HAS_ENDED } from '../../protocol/ack.ts'
import { replyStems } from '../../protocol/reply-id.ts'
import type { WritableDb } from './open.ts'

export interface Ended {
  readonly rowid: number
  readonly id: string
  /** ISO 8601. */
  readonly endedAt: string
}

export class RetentionQueries {
  readonly #db: WritableDb
  /** Throws when somebody else has taken the file over. */
  readonly #check: () => void

  constructor(db: WritableDb, check: () => void) {
    this.#db = db
    this.#check = check
  }

  /** Messages that have ended, in the order of their claims, behind a row. */
  endedAfter(rowid: number, limit: number): Ended[] {
    return this.#db
      .prepare(
        `select rowid, message_id as id, status_changed as "endedAt" from processing_ack
         where rowid > ? and ${HAS_ENDED} and typeof(message_id) = 'text'
         order by rowid limit ?`,
      )
      .all(rowid, limit) as Ended[]
  }

  /** Ids of replies, each with the id of its message. Ours begin as below, which is how they are found by an index. */
  repliesTo(ids: readonly string[]): [reply: string, message: string][] {
    return this.#db
      .prepare(
        `select o.id, o.in_reply_to from json_each(?) m
         join messages_out o on o.id > m.value ->> 0 || ':' and o.id < m.value ->> 0 || ';' and o.in_reply_to = m.value ->> 1`,
      )
      .raw()
      .all(JSON.stringify(ids.flatMap((id) => replyStems(id).map((stem) => [stem, id])))) as [
      string,
      string,
    ][]
  }

  /** Acks, runs and replies, together; but not the reply with the highest number, above which the next one is numbered. */
  forget(ids: readonly string[], replies: readonly string[]): void {
    const [messages, answers] = [JSON.stringify(ids), JSON.stringify(replies)]
    this.#db
      .transaction(() => {
        this.#check()
        this.#db
          .prepare(
            `delete from messages_out where id in (select value from json_each(?))
             and seq is not (select max(seq) from messages_out)`,
          )
          .run(answers)
        this.#db
          .prepare('delete from nanoclaw_run where message_id in (select value from json_each(?))')
          .run(messages)
        this.#db
          .prepare(
            `delete from processing_ack where message_id in (select value from json_each(?))
             and ${HAS_ENDED}`,
          )
          .run(messages)
      })
      .immediate()
  }
}
