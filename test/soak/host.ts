// The host simulator: a process of its own, with plain SQLite on inbound.db, as hosts in the field are. It
// inserts messages, copies acks to `status` now and then, and leaves a transaction half written when it is to
// be killed there: a tiny cache makes SQLite write pages out before the commit that never comes. Its start
// plays such a journal back.
import { setTimeout } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { HOST_TABLES } from '../../runtime/protocol/schema.ts'
import { serveCalls } from './serve.ts'
import type { Message } from './workload.ts'

const [inboundPath = '', outboundPath = '', prefix = ''] = process.argv.slice(2)
const BUSY_MS = 5_000
const FULL_DISK_MS = 20
/** Enough to write pages out of a cache of CACHE_PAGES. */
const SPILLED_ROWS = 60
const CACHE_PAGES = 10
/** Never committed; if it is answered all the same, the checker sees a message that does not exist. */
const GHOST: Message = { task: { type: 'reply', replies: 1 }, thread: null, after: null }

const db = new Database(inboundPath, { timeout: BUSY_MS })
await whileFull(() => db.exec(HOST_TABLES))
const nextSeq = db.prepare('select coalesce(max(seq), 0) + 2 from messages_in').pluck()
const insert = db.prepare(
  `insert into messages_in (id, seq, kind, timestamp, process_after, channel_type, platform_id, thread_id, content)
   values (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
)

serveCalls({
  /** In several transactions; resolves when all are committed. */
  async enqueue({ messages, perCommit }: { messages: readonly Message[]; perCommit: number }) {
    for (let from = 0; from < messages.length; from += perCommit)
      await whileFull(
        db.transaction(() => messages.slice(from, from + perCommit).forEach((message) => add(message))),
      )
  },
  /**
   * Copies terminal acks, as a host does once in a while. An outbound.db that cannot be read now is read
   * another time.
   */
  async sync() {
    const ended = terminalAcks()
    const settle = db.prepare("update messages_in set status = ? where id = ? and status = 'pending'")
    await whileFull(db.transaction(() => ended.forEach(([id, status]) => settle.run(status, id))))
  },
  /** Half a transaction, some of it in the file already; nothing but a kill ends it. */
  async spill() {
    await whileFull(() => {
      db.pragma(`cache_size = ${CACHE_PAGES}`)
      db.exec('begin immediate')
      try {
        db.exec(
          `update messages_in set status = 'cancelled', content = content || ' '
           where seq > (select max(seq) from messages_in) - ${2 * SPILLED_ROWS}`,
        )
        for (let n = 0; n < SPILLED_ROWS; n++) add(GHOST, 'x'.repeat(2_000))
      } catch (error) {
        if (db.inTransaction) db.exec('rollback')
        throw error
      }
    })
  },
  /** Keeps every other process out of inbound.db for a while, without writing. */
  async lock(ms: number) {
    db.exec('begin exclusive')
    await setTimeout(ms)
    db.exec('rollback')
  },
})

function add({ task, thread, after }: Message, padding?: string): void {
  const seq = nextSeq.get() as number
  const place = thread === null ? null : 'soak'
  const content = JSON.stringify({ ...task, padding })
  insert.run(`${prefix}${seq}`, seq, 'work', new Date().toISOString(), after, place, place, thread, content)
}

function terminalAcks(): [string, string][] {
  try {
    const outbound = new Database(outboundPath, { readonly: true, timeout: BUSY_MS })
    try {
      return outbound
        .prepare(
          "select message_id, status from processing_ack where status in ('completed', 'failed') order by rowid desc limit 500",
        )
        .raw()
        .all() as [string, string][]
    } finally {
      outbound.close()
    }
  } catch {
    return []
  }
}

/** A full disk passes. */
async function whileFull(write: () => void): Promise<void> {
  for (;;) {
    try {
      return write()
    } catch (error) {
      if (!(error instanceof Database.SqliteError && error.code === 'SQLITE_FULL')) throw error
      await setTimeout(FULL_DISK_MS)
    }
  }
}
