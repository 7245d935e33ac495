// Stores under test: the SQLite store, and one in memory that answers late.
import { expect, onTestFinished } from 'vitest'
import type { CommitBatch, CommitResult } from '../../runtime/protocol/commit-batch.ts'
import { ReopeningOutbox } from '../../runtime/store/sqlite/reopening-outbox.ts'
import type { Store } from '../../runtime/store/store.ts'
import { openDb, tempDir } from './files.ts'
import type { StoredReply } from './memory-contents.ts'
import { MemoryFile, MemoryStore } from './memory-store.ts'
import { claim, NOW, turn } from './outbox.ts'
import { loseAnswer } from './unanswered.ts'

export const STORES: readonly (readonly [string, () => StoreBench])[] = [
  ['SQLite', sqlite],
  ['memory, answering late', memory],
]

/** A store under test, and what stands in it, read and changed behind its back. */
export interface StoreBench {
  /** Another runtime opens the same store; it owns it after `recover`. */
  open(): Store
  acks(): Record<string, string>
  replies(): readonly StoredReply[]
  /** null: takes the ack away. */
  setAck(id: string, status: string | null): void
  /** A reply with this content cannot be stored from now on. */
  breakOn(content: unknown): void
  /** The next commit takes effect, and reports an error. */
  loseAnswer(): void
}

function sqlite(): StoreBench {
  const path = `${tempDir()}/outbound.db`
  new ReopeningOutbox(path, 'delete').close()
  const db = openDb(path)
  return {
    open: () => new ReopeningOutbox(path, 'delete'),
    acks: () =>
      Object.fromEntries(
        db.prepare('select message_id, status from processing_ack').raw().all() as [string, string][],
      ),
    replies: () =>
      db
        .prepare('select id, seq, in_reply_to as "inReplyTo", content from messages_out order by seq')
        .all() as StoredReply[],
    setAck(id, status) {
      db.prepare('delete from processing_ack where message_id = ?').run(id)
      if (status !== null) db.prepare("insert into processing_ack values (?, ?, '')").run(id, status)
    },
    breakOn: (content) =>
      db.exec(`create trigger broken before insert on messages_out when new.content = '${JSON.stringify(content)}'
        begin select raise(abort, 'this reply cannot be stored'); end`),
    loseAnswer,
  }
}

function memory(): StoreBench {
  const file = new MemoryFile()
  let isLost = false
  const around = (_: CommitBatch, write: () => CommitResult) => {
    const answer = write()
    if (!isLost) return answer
    isLost = false
    throw new Error('the connection has gone')
  }
  return {
    open: () => new MemoryStore(file, { around }),
    acks: () => Object.fromEntries([...file.contents.acks].map(([id, { status }]) => [id, status])),
    replies: () => file.contents.replies,
    setAck(id, status) {
      file.contents.acks.delete(id)
      if (status !== null) file.contents.acks.set(id, { status, changed: '' })
    },
    breakOn: (content) => {
      file.unwritable = JSON.stringify(content)
    },
    loseAnswer: () => {
      isLost = true
    },
  }
}

/** Opened and taken over, as by a start; a message in `claims` is claimed. */
export async function takenOver(bench: StoreBench, claims: readonly string[] = [], crashLimit = 3) {
  const store = bench.open()
  onTestFinished(() => store.close())
  const recovery = store.recover(NOW, crashLimit)
  if (claims.length > 0) await store.commit(turn({ claims: claims.map((id) => claim(id)) }))
  return { bench, store, recovery }
}

/** Commits, and no answer comes. */
export async function unanswered(
  bench: StoreBench,
  store: Store,
  batch: Partial<CommitBatch>,
): Promise<void> {
  bench.loseAnswer()
  await expect((async () => store.commit(turn(batch)))()).rejects.toThrow()
}
