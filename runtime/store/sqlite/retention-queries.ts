// The retention queries of outbound.db. Whether the host has recorded everything is not known here:
// store/retention.ts looks before it asks to forget.
import { HAS_ENDED } from '../../protocol/ack.ts'
import { replyStems } from '../../protocol/reply-id.ts'
import type { EndedMessage, RetentionQueries } from '../store.ts'
import type { WritableDb } from './open.ts'

export class OutboundRetention implements RetentionQueries {
  readonly #db: WritableDb
  /** @throws NanoclawError `fenced` */
  readonly #check: () => void

  constructor(db: WritableDb, check: () => void) {
    this.#db = db
    this.#check = check
  }

  endedAfter(place: number, limit: number): EndedMessage[] {
    return this.#db
      .prepare(
        `select rowid as place, message_id as id, status_changed as "endedAt" from processing_ack
         where rowid > ? and ${HAS_ENDED} and typeof(message_id) = 'text'
         order by rowid limit ?`,
      )
      .all(place, limit) as EndedMessage[]
  }

  /** Ids of our replies begin as below, which is how they are found by an index. */
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
          .prepare('delete from nanoclaw_step where message_id in (select value from json_each(?))')
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
